"""From the inventory to the Run page without script: the picker, and the ticked hosts of the Hosts page."""

import re
from collections.abc import Callable

import pytest

from opsconsole.accounts.permissions import Role
from opsconsole.inventory.groups import add_group
from opsconsole.runtime import Runtime
from tests.functional.pages.people import Person
from tests.support.clock import START
from tests.support.factories import actor_for, make_host


@pytest.fixture
def operator(operator: Person, person: Callable[..., Person], runtime: Runtime) -> Person:
    admin = person(Role.ADMIN)
    with runtime.database.transaction() as session:
        for name in ("web1", "web2", "web3", "db1"):
            make_host(session, name)
        add_group(session, "web", {"hosts": ["web1", "web2", "web3"]}, actor=actor_for(admin.user), now=START)
    return operator


def _targets(page: str) -> str:
    found = re.search(r'<textarea[^>]* name="targets"[^>]*>([^<]*)</textarea>', page)
    assert found
    return found[1]


def test_groups_and_hosts_are_picked_for_the_run_page(operator: Person) -> None:
    page = operator.text("/run/hosts")
    assert re.findall(r'name="host" value="([^"]+)"', page) == ["@web", "db1", "web1", "web2", "web3"]
    assert re.findall(r'name="host" value="([^"]+)"', operator.text("/run/hosts?q=@web!web2")) == ["web1", "web3"]
    assert "No host matches." in operator.text("/run/hosts?q=nothing")
    assert 'role="alert"' in operator.text("/run/hosts?q=web[1-")
    answer = operator.get("/run/hosts?host=@web&host=db1&add=1")
    assert _targets(operator.text(answer.headers["Location"])) == "@web,db1"
    assert operator.get("/run/hosts?add=1").headers["Location"] == "/run"


def test_ticked_hosts_go_to_the_run_page(operator: Person) -> None:
    page = operator.text("/hosts")
    assert 'formaction="/hosts/run"' in page
    assert "Freeze" not in page
    answer = operator.send("/hosts", {"host": ["web1", "web2", "db1"]}, to="/hosts/run")
    assert _targets(answer.get_data(as_text=True)) == "db1,web[1-2]"
    answer = operator.send("/hosts", {"everything": "1", "q": "@web!web2"}, to="/hosts/run")
    assert _targets(answer.get_data(as_text=True)) == "web[1,3]"
    answer = operator.send("/hosts", {}, to="/hosts/run")
    assert "Tick the hosts to run on." in answer.get_data(as_text=True)


def test_who_may_not_run_is_offered_nothing(person: Callable[..., Person], operator: Person) -> None:
    viewer = person(Role.VIEWER)
    assert "/hosts/run" not in viewer.text("/hosts")
    viewer.text("/run/hosts", 403)
    assert viewer.send("/hosts", {"host": ["web1"]}, to="/hosts/run").status_code == 403
