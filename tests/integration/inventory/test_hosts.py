"""Hosts and groups, and how target expressions find them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from opsconsole.db.database import Database
from opsconsole.errors import Invalid
from opsconsole.hostset import GroupResolver, evaluate
from opsconsole.inventory import groups, service
from opsconsole.inventory.models import Host
from opsconsole.inventory.resolver import InventoryResolver
from tests.support.clock import START
from tests.support.factories import make_host


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Gathers the SELECTs that are run."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


@pytest.fixture
def fleet(either_database: Database) -> Database:
    with either_database.transaction() as session:
        for number in range(1, 6):
            make_host(session, f"web{number:02}", tags={"env": "prod" if number < 3 else "test"})
        make_host(session, "db1.Example.com", address="10.0.0.7", port=2222, user="root", tags={"rack": "7"})
        groups.set_group(session, "web", ["web03", "WEB01", "web02", "web01"])
        groups.set_group(session, "empty", [])
    return either_database


def test_a_host_is_made_once_and_then_changed(either_database: Database) -> None:
    with either_database.transaction() as session:
        first = make_host(session, "Web1", address="10.0.0.1", tags={"env": "prod"})
    with either_database.transaction() as session:
        again = make_host(session, " web1 ", port=2222, user="deploy")
        assert again.id == first.id
    with either_database.read() as session:
        [host] = service.hosts(session)
        assert (host.key, host.name, host.address, host.port, host.user) == ("web1", "web1", None, 2222, "deploy")
        assert (host.tags, host.created_at) == ({}, START)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-oProxyCommand=x",
        "a;b|c",
        "a\0b",
        "$(id)",
        "a b",
        "web[1-2]",
        "root@web1",
        "web1:22",
        "@web",
        "127.1",
        "x" * 300,
    ],
)
def test_names_that_cannot_be(database: Database, name: str) -> None:
    with database.transaction() as session:
        with pytest.raises(Invalid) as caught:
            make_host(session, name)
        assert {fault.field for fault in caught.value.errors} == {"name"}
        assert service.hosts(session) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "-x"),
        ("address", "10.0.0.1:22"),
        ("port", 0),
        ("port", 65536),
        ("user", "-l"),
        ("user", "a b"),
        ("user", ""),
        ("tags", {"a b": "x"}),
        ("tags", {"env": "a,b"}),
        ("tags", {"": "x"}),
    ],
)
def test_values_that_cannot_be(database: Database, field: str, value: object) -> None:
    with database.transaction() as session, pytest.raises(Invalid) as caught:
        service.upsert_host(session, "web1", now=START, **{field: value})
    assert [fault.field for fault in caught.value.errors] == [field]


def test_addresses_and_international_names_are_hosts(database: Database) -> None:
    with database.transaction() as session:
        assert [make_host(session, name).name for name in ("10.0.0.1", "FE80::1", "münchen.example")] == [
            "10.0.0.1",
            "fe80::1",
            "xn--mnchen-3ya.example",
        ]


def test_a_group_has_its_own_order(fleet: Database) -> None:
    with fleet.transaction() as session:
        assert InventoryResolver(session).group("web") == ("web03", "web01", "web02")
        groups.set_group(session, "web", ["web02", "web04", "web03"])
        assert InventoryResolver(session).group("web") == ("web02", "web04", "web03")
        assert groups.groups(session) == [groups.GroupSize("empty", 0), groups.GroupSize("web", 3)]


def test_a_group_takes_known_hosts_only(fleet: Database) -> None:
    with fleet.transaction() as session:
        with pytest.raises(Invalid, match="web99"):
            groups.set_group(session, "web", ["web01", "web99"])
        for name in ("", "a b", "a,b", "@x", "a&b", "a*", "x" * 101):
            with pytest.raises(Invalid):
                groups.set_group(session, name, [])
    with fleet.read() as session:
        assert InventoryResolver(session).group("web") == ("web03", "web01", "web02")


def test_hosts_are_listed_in_pages_and_searched(fleet: Database) -> None:
    with fleet.read() as session:
        first = service.hosts(session, limit=4)
        rest = service.hosts(session, after=first[-1].key, limit=4)
        assert [host.name for host in [*first, *rest]] == [
            "db1.Example.com",
            *(f"web{number:02}" for number in range(1, 6)),
        ]
        assert [host.name for host in service.hosts(session, q=" WEB0")] == [
            f"web{number:02}" for number in range(1, 6)
        ]
        assert [host.name for host in service.hosts(session, q="0.0.7")] == ["db1.Example.com"]
        assert service.hosts(session, q="%") == service.hosts(session, q="_") == []


def test_many_hosts_are_located_with_one_query(fleet: Database) -> None:
    names = [*(f"other{number}" for number in range(5000)), "WEB01", "db1.example.COM"]
    with fleet.read() as session, statements(fleet) as seen:
        found = service.locate(session, names)
        assert len(seen) == 1
        assert sorted(found) == ["db1.example.com", "web01"]
        assert found["db1.example.com"].port == 2222


def test_more_hosts_than_one_statement_takes(either_database: Database) -> None:
    with either_database.transaction() as session:
        session.add_all(Host(key=f"h{number}", name=f"h{number}", tags={}, created_at=START) for number in range(300))
        session.flush()
        assert len(service.locate(session, [f"h{number}" for number in range(45_000)])) == 300


def names(database: Database, expression: str, exclude: str = "") -> list[str]:
    with database.read() as session:
        groups: GroupResolver = InventoryResolver(session)
        return [spec.name for spec in evaluate(expression, exclude, groups=groups).hosts]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("@web", ["web03", "web01", "web02"]),
        ("@web!web01", ["web03", "web02"]),
        ("@env:prod", ["web01", "web02"]),
        ("@rack:7", ["db1.Example.com"]),
        ("web*", ["web01", "web02", "web03", "web04", "web05"]),
        ("~web0[45]", ["web04", "web05"]),
        ("@web&@env:prod", ["web01", "web02"]),
    ],
)
def test_expressions_ask_the_inventory(fleet: Database, expression: str, found: list[str]) -> None:
    assert sorted(names(fleet, expression)) == sorted(found)


@pytest.mark.parametrize("expression", ["@nothing", "@empty", "@env:none", "@nokey:x", "nothing*"])
def test_what_names_nobody_is_an_error_and_never_everybody(fleet: Database, expression: str) -> None:
    with pytest.raises(Invalid):
        names(fleet, expression)


def test_the_inventory_is_read_once(fleet: Database) -> None:
    with fleet.read() as session, statements(fleet) as seen:
        groups = InventoryResolver(session)
        evaluate("@web,@web,web*,~db.*,@env:prod,@env:test,@rack:7", groups=groups)
    assert len(seen) == 3


def test_nothing_is_read_for_plain_names(fleet: Database) -> None:
    with fleet.read() as session, statements(fleet) as seen:
        evaluate("a,b,c[1-9]", groups=InventoryResolver(session))
    assert seen == []


def test_it_suggests_groups_and_tags(fleet: Database) -> None:
    with fleet.read() as session:
        assert InventoryResolver(session).suggestions() == ["empty", "env", "rack", "web"]


def test_hosts_of_jobs_come_from_whoever_knows_jobs(database: Database) -> None:
    with database.read() as session:
        assert InventoryResolver(session).job_hosts(7, "f") is None
        assert InventoryResolver(session, job_hosts=lambda job, letters: [f"{job}{letters}"]).job_hosts(7, "f") == [
            "7f"
        ]
