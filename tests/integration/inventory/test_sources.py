"""Sources of hosts: real programs and a real web server on loopback, and what they may not do."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.db.database import Database
from opsconsole.errors import Forbidden, Invalid, OpsconsoleError, Unavailable
from opsconsole.inventory import sources
from opsconsole.inventory.fetching import Allowed, check_url, fetch
from opsconsole.inventory.groups import set_group
from opsconsole.inventory.models import InventorySource
from opsconsole.inventory.snapshot import Snapshot, snapshot
from opsconsole.settings import Settings
from opsconsole.tasks.chores import refresh_sources
from tests.support.clock import START, FakeClock
from tests.support.factories import make_host

ADMIN = Actor(1, "admin", Role.ADMIN)


class Fleet:
    """A program that prints what the test wrote into a file."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "inventory"
        self.answer = folder / "answer.json"
        self.program.write_text(f'#!/bin/sh\nenv > "{folder}/environment"\nexec cat "{self.answer}"\n')
        self.program.chmod(0o700)
        self.environment = folder / "environment"

    def says(self, *hosts: str, **groups: list[str]) -> None:
        named = {name: {"hosts": members} for name, members in groups.items()}
        hostvars = {host: {"ansible_host": f"10.0.0.{number}"} for number, host in enumerate(hosts, 1)}
        self.answer.write_text(json.dumps({"_meta": {"hostvars": hostvars}, **named}))


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def transact(database: Database) -> Callable[[Callable[[Session], Any]], Any]:
    def run(work: Callable[[Session], Any]) -> Any:
        with database.transaction() as session:
            return work(session)

    return run


def add(database: Database, fleet: Fleet, *, every: int = 3600) -> None:
    with database.transaction() as session:
        sources.add_source(
            session,
            "cmdb",
            argv=[str(fleet.program), "--list"],
            url=None,
            timeout_seconds=20,
            interval_seconds=every,
            allowed=allowed(fleet),
            actor=ADMIN,
            now=START,
        )


def allowed(fleet: Fleet) -> Allowed:
    return Allowed(programs=(str(fleet.program),))


def refresh(database: Database, fleet: Fleet, *, actor: Actor | None = ADMIN) -> None:
    sources.refresh(transact(database), "cmdb", allowed=allowed(fleet), key_files={}, actor=actor, now=lambda: START)


def known(database: Database) -> Snapshot:
    with database.read() as session:
        return snapshot(session)


def source(database: Database) -> InventorySource:
    with database.read() as session:
        return sources.get_source(session, "cmdb")


def test_its_hosts_come_change_and_go_and_those_of_people_stay(either_database: Database, fleet: Fleet) -> None:
    database = either_database
    with database.transaction() as session:
        make_host(session, "mine", address="192.0.2.1")
    add(database, fleet)
    fleet.says("a", "b", "mine", web=["a", "b", "mine"])
    refresh(database, fleet)
    assert {key: host.values["address"] for key, host in known(database).hosts.items()} == {
        "a": "10.0.0.1",
        "b": "10.0.0.2",
        "mine": "192.0.2.1",
    }
    fleet.says("b", "c", web=["b", "c"])
    refresh(database, fleet)
    after = known(database)
    assert sorted(after.hosts) == ["b", "c", "mine"]
    assert after.groups["web"].hosts == ("b", "c")
    assert (source(database).host_count, source(database).error) == (2, None)
    with database.transaction() as session:
        sources.remove_source(session, "cmdb", actor=ADMIN, now=START)
    assert {host.source_id for host in known(database).hosts.values()} == {None}


def test_it_reaches_nothing_that_groups_of_people_decide_on(database: Database, fleet: Fleet) -> None:
    with database.transaction() as session:
        make_host(session, "mine")
        set_group(session, "real", ["mine"])
    add(database, fleet)
    fleet.says("a", web=["a"])
    refresh(database, fleet)
    jumping = {"hosts": ["mine"], "vars": {"ansible_ssh_common_args": "-J evil"}}
    for groups, told in (
        ({"real": {"hosts": ["evil"]}}, "Group real is not this source's"),
        ({"web": {"hosts": ["evil"], "children": ["real"]}, "real": {}}, "Group web is to hold real, which is not"),
        ({"top": {"children": ["low"]}, "low": jumping}, "hosts that are not this source's: mine"),
    ):
        fleet.answer.write_text(json.dumps(groups))
        with pytest.raises(Invalid):
            refresh(database, fleet)
        assert told in str(source(database).error)
        after = known(database)
        assert (sorted(after.hosts), after.groups["real"].hosts) == (["a", "mine"], ("mine",))


def test_the_last_good_copy_stays_when_it_fails(database: Database, fleet: Fleet) -> None:
    add(database, fleet)
    fleet.says("a", "b", web=["a", "b"])
    refresh(database, fleet)
    fetched = source(database).fetched_at
    for answer in ("", "not json", "{}", '{"web": {"hosts": ["a;b"]}}', '{"web": {"hosts": []}}'):
        fleet.answer.write_text(answer)
        with pytest.raises(OpsconsoleError):
            refresh(database, fleet)
        assert source(database).error
        assert source(database).fetched_at == fetched
        assert sorted(known(database).hosts) == ["a", "b"]


def test_by_itself_it_does_not_take_most_of_its_hosts_away(database: Database, fleet: Fleet) -> None:
    add(database, fleet)
    many = [f"h{number}" for number in range(40)]
    fleet.says(*many)
    refresh(database, fleet)
    fleet.says(*many[:5])
    with pytest.raises(OpsconsoleError):
        refresh(database, fleet, actor=None)
    assert len(known(database).hosts) == 40
    refresh(database, fleet)
    assert len(known(database).hosts) == 5


def test_the_clock_asks_those_that_are_due_and_goes_on_after_a_failure(
    database: Database, fleet: Fleet, settings: Settings
) -> None:
    add(database, fleet, every=600)
    fleet.says("a")
    chosen = settings.model_copy(update={"source_programs": (str(fleet.program),)})
    clock = FakeClock()
    refresh_sources(chosen, database, clock, lambda call: call())
    assert sorted(known(database).hosts) == ["a"]
    fleet.says("a", "b")
    refresh_sources(chosen, database, clock, lambda call: call())
    assert sorted(known(database).hosts) == ["a"]
    clock.advance(601)
    fleet.answer.write_text("x")
    refresh_sources(chosen, database, clock, lambda call: call())
    assert source(database).error


def test_a_program_learns_nothing_of_the_console(
    database: Database, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSCONSOLE_SECRET_KEY", "very secret key of the console")
    add(database, fleet)
    fleet.says("a")
    refresh(database, fleet)
    assert "secret" not in fleet.environment.read_text().lower()


def test_only_programs_that_the_settings_name_are_run(database: Database, fleet: Fleet) -> None:
    for argv in (["/bin/sh", "-c", "id"], ["inventory"], [f"{fleet.program}/../inventory"], []):
        with database.transaction() as session, pytest.raises(Invalid):
            sources.add_source(
                session,
                "x",
                argv=argv,
                url=None,
                timeout_seconds=1,
                interval_seconds=0,
                allowed=allowed(fleet),
                actor=ADMIN,
                now=START,
            )
    add(database, fleet)
    fleet.says("a")
    with pytest.raises(Invalid):
        sources.refresh(transact(database), "cmdb", allowed=Allowed(), key_files={}, actor=ADMIN, now=lambda: START)
    assert known(database).hosts == {}


def test_operators_have_no_say_in_sources(database: Database, fleet: Fleet) -> None:
    with database.transaction() as session, pytest.raises(Forbidden):
        sources.remove_source(session, "cmdb", actor=Actor(2, "op", Role.OPERATOR), now=START)


def test_programs_that_hang_or_never_stop_printing_are_ended(tmp_path: Path) -> None:
    for text, words in (("sleep 60 & sleep 60", "within"), ("exec yes", "8 MiB"), ("exit 3", "status 3")):
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o700)
        started = time.monotonic()
        with pytest.raises(Unavailable, match=words):
            fetch([str(program)], None, timeout=3, allowed=Allowed(programs=(str(program),)))
        assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "url",
    [
        "http://cmdb.test/inventory/../secret",
        "http://cmdb.test/inventory/%2e%2e/secret",
        "http://cmdb.test/inventoryx",
        "http://cmdb.test:81/inventory/",
        "https://cmdb.test/inventory/",
        "http://cmdb.test@evil.test/inventory/",
        "http://user@cmdb.test/inventory/",
        "http://169.254.169.254/inventory/",
        "file:///etc/passwd",
        "http://cmdb.test/inventory/\r\nx: y",
        "http://[::1/inventory/",
        "",
    ],
)
def test_addresses_outside_of_those_allowed_are_refused(url: str) -> None:
    with pytest.raises(Invalid):
        check_url(url, Allowed(urls=("http://cmdb.test/inventory/",)))


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/inventory/moved":
            self.send_response(302)
            self.send_header("Location", "/inventory/list")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        if self.path == "/inventory/flood":
            try:
                for _ in range(200):
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass
            return
        self.wfile.write(b'{"web": ["a"]}')

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/inventory/"
        listening.shutdown()
        thread.join()


def test_an_address_is_read_within_bounds_and_leads_nowhere_else(server: str) -> None:
    below = Allowed(urls=(server,))
    assert fetch(None, f"{server}list", timeout=10, allowed=below) == b'{"web": ["a"]}'
    with pytest.raises(Unavailable, match="302"):
        fetch(None, f"{server}moved", timeout=10, allowed=below)
    with pytest.raises(Unavailable, match="8 MiB"):
        fetch(None, f"{server}flood", timeout=30, allowed=below)
