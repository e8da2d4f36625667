"""The demo fleet comes into the inventory and goes out of it again, and a person's own entries stay."""

from sqlalchemy import select

from opsconsole.clock import SystemClock
from opsconsole.db.database import Database
from opsconsole.inventory import groups, hostkeys, service
from opsconsole.inventory.known_hosts import KnownKey
from opsconsole.inventory.models import Host, HostKey
from opsconsole.launcher import demo, demo_inventory
from opsconsole.launcher.up import make_plan
from opsconsole.settings import Settings

NOW = SystemClock().now()
KEY = KnownKey("ssh-ed25519", "AAAA")


def _enter(database: Database, count: int, port: int = 2222) -> None:
    hosts = demo.fleet(count)
    with database.transaction() as session:
        demo_inventory.enter(session, hosts, port, "me", {host.name: KEY for host in hosts}, NOW)


def _leave(database: Database) -> None:
    with database.transaction() as session:
        demo_inventory.leave(session)


def _names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Host.name).order_by(Host.key)))


def _groups(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {group.name: group.count for group in groups.groups(session)}


def _trusted(database: Database) -> list[tuple[str, int]]:
    with database.read() as session:
        rows = session.execute(select(HostKey.address, HostKey.port).order_by(HostKey.address))
        return [(address, port) for address, port in rows]


def test_nothing_of_it_lingers_and_own_hosts_stay(database: Database) -> None:
    with database.transaction() as session:
        service.upsert_host(session, "web1", now=NOW)
        groups.set_group(session, "web", ["web1"])
        hostkeys.remember(session, "web1", 22, KEY, source=hostkeys.Source.ACCEPT_NEW, now=NOW)
    _enter(database, 3)
    assert _names(database) == ["demo01", "demo02", "demo03", "web1"]
    assert _groups(database) == {"demo": 3, "web": 1}
    _leave(database)
    assert _names(database) == ["web1"]
    assert _groups(database) == {"web": 1}
    assert _trusted(database) == [("web1", 22)]
    _leave(database)
    assert _names(database) == ["web1"]


def test_a_group_that_others_have_joined_stays(database: Database) -> None:
    _enter(database, 2)
    with database.transaction() as session:
        service.upsert_host(session, "web1", now=NOW)
        groups.set_group(session, demo.GROUP, ["demo01", "web1"])
    _leave(database)
    assert _groups(database) == {"demo": 1}


def test_a_smaller_fleet_on_another_port_leaves_nothing_of_the_larger_one(database: Database) -> None:
    _enter(database, 3)
    _enter(database, 2, port=2300)
    assert _names(database) == ["demo01", "demo02"]
    assert _groups(database) == {"demo": 2}
    assert _trusted(database) == [("127.0.1.1", 2300), ("127.0.1.2", 2300)]


def test_its_key_is_offered_only_while_it_serves(settings: Settings) -> None:
    demo.key_file(settings).parent.mkdir(parents=True)
    demo.key_file(settings).write_text("a former start's")
    chosen = {"data_dir": settings.data_dir}
    assert demo.CREDENTIAL in make_plan(chosen, 2).settings.key_files
    assert demo.CREDENTIAL not in make_plan(chosen, 0).settings.key_files
