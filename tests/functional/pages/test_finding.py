"""The global search, on its page and in the API, and the list of keys."""

import time
from collections.abc import Callable

from sqlalchemy import insert

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.inventory.groups import set_group
from opsconsole.inventory.models import Host
from tests.functional.pages.people import Person
from tests.support.clock import START
from tests.support.factories import make_host

People = Callable[..., Person]


def titles(person: Person, q: str, kind: str | None = None) -> list[str]:
    answer = person.get("/api/v1/search", query_string={"q": q})
    assert answer.status_code == 200
    return [item["title"] for item in answer.json["found"] if kind in {None, item["kind"]}]


def test_each_kind_is_found_and_only_what_one_may_see(person: People, database: Database) -> None:
    with database.transaction() as session:
        for name in ("aweb1", "web1", "web10"):
            make_host(session, name)
        set_group(session, "webs", ["web1"])
    operator, other, viewer = person(), person(), person(Role.VIEWER)
    job = operator.job("web1", "df -h /web")
    operator.run("web1", "uptime -p", action="save", save_name="web uptime")
    assert "web uptime" in titles(operator, "UPTIME", "saved")
    # What begins so stands before what merely holds it.
    assert titles(operator, "web1", "host") == ["web1", "web10", "aweb1"]
    assert titles(operator, "@webs", "group") == ["@webs"]
    assert titles(operator, "df -h", "job") == titles(operator, f"#{job}") == [f"#{job} df -h /web"]
    assert titles(operator, f"{job}", "job")[0] == f"#{job} df -h /web"
    assert titles(other, "df -h", "job") == titles(other, f"#{job}") == []
    assert titles(viewer, "uptime") == []
    assert "Workers" in titles(viewer, "work", "page")
    assert titles(viewer, "run a") == []
    assert "Run a command" in titles(operator, "run a")
    for odd in ("%", "_", "\\", "\N{SUPERSCRIPT TWO}", "9" * 200, "#", "'; drop"):
        assert operator.get("/api/v1/search", query_string={"q": odd}).status_code == 200
    assert operator.get("/api/v1/search", query_string={"q": "a\0"}).status_code == 422


def test_the_page_is_a_form_and_says_when_nothing_is_called_so(operator: Person) -> None:
    job = operator.job("web1", "echo '<b>'")
    page = operator.text("/search?q=echo")
    assert f'href="/jobs/{job}"' in page
    assert "&lt;b&gt;" in page
    assert "Nothing is called “no such thing”" in operator.text("/search?q=no+such+thing")
    # Before anything is typed there are the pages, and the latest jobs.
    assert f"#{job}" in operator.text("/search/found")
    assert "html" not in operator.text("/search/found")


def test_what_is_not_shown_is_told(person: People, database: Database) -> None:
    with database.transaction() as session:
        for n in range(7):
            make_host(session, f"web{n}")
    operator = person()
    few = operator.text("/search/found?q=web")
    assert few.count('href="/hosts/web') == 6
    assert "There are more" in few
    assert "There are more" not in operator.text("/search?q=web")
    assert "There are more" not in operator.text("/search/found")


def test_the_list_of_keys_is_a_page(operator: Person) -> None:
    page = operator.text("/keyboard")
    assert "Ctrl K" in page
    assert 'name="keys" value="on" checked' in page


def test_it_is_quick_with_five_thousand_hosts(operator: Person, database: Database) -> None:
    rows = [{"key": f"web-{n:05}", "name": f"web-{n:05}", "created_at": START, "tags": {}} for n in range(5000)]
    with database.transaction() as session:
        session.execute(insert(Host), rows)
    started = time.process_time()
    assert titles(operator, "04999", "host") == ["web-04999"]
    # Some milliseconds; a machine under load is no fault.
    assert time.process_time() - started < 0.5
