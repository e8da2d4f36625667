"""Which host keys are trusted, who decided it, and that a changed key never slips in."""

from collections.abc import Callable

import pytest
from sqlalchemy import event, func, select

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.audit import queries
from opsconsole.db.database import Database
from opsconsole.errors import Conflict, Forbidden, NotFound
from opsconsole.inventory import hostkey_desk, hostkeys
from opsconsole.inventory.known_hosts import KnownKey, fingerprint
from opsconsole.inventory.models import HostKey, KeyStatus
from tests.support.clock import START
from tests.support.factories import make_key

ADMIN = Actor(1, "boss", Role.ADMIN, address="10.0.0.9")
OLD, NEW, RSA = make_key(), make_key(), make_key("ssh-rsa")
WEB1 = ("web1", 22)


def trusted(database: Database, address: str = "web1", port: int = 22) -> tuple[KnownKey, ...]:
    with database.read() as session:
        return hostkeys.trusted_keys(session, [(address, port)]).get((address, port), ())


def offer(database: Database, key: KnownKey, address: str = "web1", port: int = 22) -> None:
    with database.transaction() as session:
        hostkeys.offer(session, address, port, key, now=START)


def trust(database: Database, key: KnownKey, actor: Actor = ADMIN, address: str = "web1", port: int = 22) -> HostKey:
    with database.transaction() as session:
        wanted = [hostkey_desk.KeyRef(address, port, fingerprint(key))]
        return hostkey_desk.trust(session, wanted, actor=actor, now=START)[0]


def remember(database: Database, key: KnownKey, source: str = "known_hosts") -> bool:
    with database.transaction() as session:
        return hostkeys.remember(session, *WEB1, key, source=source, now=START)


def seed(database: Database, text: str, wanted: list[tuple[str, int]] | None = None) -> int:
    with database.transaction() as session:
        return hostkeys.seed_known_hosts(session, text, now=START, wanted=wanted)


def line(names: str, key: KnownKey, marker: str = "") -> str:
    return f"{marker} {names} {key.algorithm} {key.key}\n"


def test_an_offered_key_is_not_trusted_until_a_person_says_so(either_database: Database) -> None:
    offer(either_database, OLD, "Web1")
    offer(either_database, OLD)
    assert trusted(either_database) == ()
    with either_database.read() as session:
        [row] = hostkey_desk.keys(session, status=[KeyStatus.OFFERED])
        assert (row.address, row.port, row.fingerprint, row.source) == ("web1", 22, fingerprint(OLD), "host")
    row = trust(either_database, OLD, address="WEB1")
    assert (row.status, row.decided_by, row.decided_at) == ("trusted", "boss", START)
    assert trusted(either_database) == trusted(either_database, "WEB1") == (OLD,)
    assert trusted(either_database, "web1", 2222) == trusted(either_database, "web2") == ()
    with either_database.read() as session:
        [audited] = queries.recent(session)
        assert (audited.action, audited.actor, audited.object) == ("host_key.trusted", "boss", "host_key:web1")
        told = {"fingerprint": fingerprint(OLD), "algorithm": "ssh-ed25519"}
        assert audited.detail == told | {"was": "offered", "replaced": []}


def test_trusting_again_changes_nothing(either_database: Database) -> None:
    offer(either_database, OLD, port=2222)
    trust(either_database, OLD, port=2222)
    trust(either_database, OLD, port=2222)
    with either_database.read() as session:
        assert [row.object for row in queries.recent(session)] == ["host_key:[web1]:2222"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER])
def test_only_an_administrator_trusts(database: Database, role: Role) -> None:
    offer(database, OLD)
    with pytest.raises(Forbidden):
        trust(database, OLD, Actor(2, "li.wei", role))
    assert trusted(database) == ()


def test_a_key_that_was_never_seen_cannot_be_trusted(either_database: Database) -> None:
    offer(either_database, OLD)
    with pytest.raises(NotFound):
        trust(either_database, NEW)
    with pytest.raises(NotFound):
        trust(either_database, OLD, port=2222)


def test_a_new_key_takes_the_place_of_the_old_one(either_database: Database) -> None:
    text = line("web1", OLD) + line("web1", RSA)
    assert seed(either_database, text) == 2
    offer(either_database, NEW)
    assert trusted(either_database) == (OLD, RSA)
    trust(either_database, NEW)
    assert set(trusted(either_database)) == {RSA, NEW}
    # The file still has the old key: it does not come back by itself.
    assert seed(either_database, text) == 0
    assert not remember(either_database, OLD)
    offer(either_database, OLD)
    assert set(trusted(either_database)) == {RSA, NEW}
    # The host may have been put back from a backup: a person can say so.
    trust(either_database, OLD)
    assert set(trusted(either_database)) == {RSA, OLD}


def test_a_known_key_is_remembered(either_database: Database) -> None:
    assert remember(either_database, OLD)
    assert remember(either_database, OLD)
    assert remember(either_database, RSA, "demo")
    assert trusted(either_database) == (OLD, RSA)


def test_an_offered_key_can_be_remembered(either_database: Database) -> None:
    offer(either_database, OLD)
    assert remember(either_database, OLD)
    assert trusted(either_database) == (OLD,)


def test_accept_new_takes_the_first_key_and_no_other(either_database: Database) -> None:
    assert remember(either_database, OLD, "accept_new")
    assert remember(either_database, OLD, "accept_new")
    assert not remember(either_database, NEW, "accept_new")
    offer(either_database, NEW)
    assert not remember(either_database, NEW, "accept_new")
    assert trusted(either_database) == (OLD,)
    with either_database.read() as session:
        told = [(row.action, row.actor) for row in reversed(queries.recent(session))]
        assert told == [("host_key.accepted", "console"), ("host_key.changed", "console")]


def test_a_host_that_shows_ever_new_keys_fills_nothing(either_database: Database) -> None:
    remember(either_database, OLD)
    shown = [make_key() for _ in range(12)]
    for key in shown:
        offer(either_database, key)
    with either_database.read() as session:
        kept = [row.key for row in hostkey_desk.keys(session, status=[KeyStatus.ALARM])]
    assert kept == [key.key for key in shown[-5:]]
    assert trusted(either_database) == (OLD,)


def test_a_file_is_taken_over(either_database: Database) -> None:
    text = line("web1,10.0.0.1,[Web1]:2222", OLD) + line("*.example.com", NEW) + line("*", NEW, "@cert-authority")
    assert seed(either_database, text) == 3
    assert seed(either_database, text) == 0
    assert trusted(either_database) == trusted(either_database, "10.0.0.1") == (OLD,)
    assert trusted(either_database, "web1", 2222) == (OLD,)
    with either_database.read() as session:
        assert session.scalar(select(func.count()).select_from(HostKey)) == 3


def test_only_what_is_wanted_is_taken_over(either_database: Database) -> None:
    assert seed(either_database, line("web1,web2,[web1]:2222", OLD), [("WEB1", 22), ("web3", 22)]) == 1
    assert trusted(either_database) == (OLD,)


def test_what_the_file_revokes_is_never_trusted(either_database: Database) -> None:
    assert remember(either_database, OLD)
    seed(either_database, line("web1", NEW) + line("web1", NEW, "@revoked") + line("*", OLD, "@revoked"))
    assert trusted(either_database) == ()
    for key in (OLD, NEW):
        assert not remember(either_database, key)
        offer(either_database, key)
        with pytest.raises(Conflict):
            trust(either_database, key)
    assert trusted(either_database) == ()


def test_what_is_known_of_a_place(either_database: Database) -> None:
    seed(either_database, line("web1", OLD, "@revoked") + line("web2", NEW) + line("web2", RSA))
    offer(either_database, OLD, "web2")
    offer(either_database, OLD, "web3")
    places = [("Web1", 22), ("web1", 2222), ("web2", 22), ("web3", 22)]
    with either_database.read() as session:
        assert hostkeys.known(session, places) == {
            ("Web1", 22): hostkeys.Known(revoked=(OLD,)),
            ("web2", 22): hostkeys.Known(trusted=(NEW, RSA), alarms=(OLD,)),
        }


def audited(database: Database) -> list[str]:
    with database.read() as session:
        return [row.action for row in reversed(queries.recent(session))]


def alarmed(database: Database) -> bool:
    with database.read() as session:
        return bool(hostkeys.known(session, [WEB1])[WEB1].alarms)


def test_another_key_than_the_trusted_one_raises_an_alarm_once(either_database: Database) -> None:
    remember(either_database, OLD)
    for _ in range(3):
        offer(either_database, NEW)
    assert alarmed(either_database)
    assert audited(either_database) == ["host_key.changed"]
    # Neither a policy nor a file ends it.
    assert not remember(either_database, NEW)
    assert not remember(either_database, NEW, "accept_new")
    seed(either_database, line("web1", NEW))
    assert alarmed(either_database)


@pytest.mark.parametrize(
    ("decision", "left", "told"),
    [
        (hostkey_desk.trust, (NEW,), "host_key.trusted"),
        (hostkey_desk.revoke, (OLD,), "host_key.revoked"),
        (hostkey_desk.remove, (OLD,), "host_key.removed"),
    ],
)
def test_an_alarm_ends_by_a_decision(
    either_database: Database, decision: Callable[..., object], left: tuple[KnownKey, ...], told: str
) -> None:
    remember(either_database, OLD)
    offer(either_database, NEW)
    with either_database.transaction() as session:
        decision(session, [hostkey_desk.KeyRef("WEB1", 22, fingerprint(NEW))], actor=ADMIN, now=START)
    assert not alarmed(either_database)
    assert trusted(either_database) == left
    assert audited(either_database) == ["host_key.changed", told]
    # A revoked one stays out for good; one that was only forgotten raises the alarm again.
    offer(either_database, NEW)
    assert alarmed(either_database) == (decision is hostkey_desk.remove)


def test_an_offered_key_becomes_an_alarm_when_another_was_trusted_meanwhile(either_database: Database) -> None:
    offer(either_database, NEW)
    offer(either_database, OLD)
    trust(either_database, OLD)
    assert not alarmed(either_database)
    offer(either_database, NEW)
    assert alarmed(either_database)


def test_many_are_decided_together_or_none(either_database: Database) -> None:
    hosts = [f"web{number}" for number in range(1, 41)]
    for host in hosts:
        offer(either_database, OLD, host)
    wanted = [hostkey_desk.KeyRef(host, 22, fingerprint(OLD)) for host in hosts]
    for decision in (hostkey_desk.trust, hostkey_desk.revoke, hostkey_desk.remove):
        with pytest.raises(Forbidden), either_database.transaction() as session:
            decision(session, wanted, actor=Actor(2, "li.wei", Role.OPERATOR), now=START)
        with pytest.raises(NotFound), either_database.transaction() as session:
            decision(session, [*wanted, hostkey_desk.KeyRef("web1", 23, "SHA256:x")], actor=ADMIN, now=START)
    with either_database.transaction() as session:
        assert hostkey_desk.counts(session)[KeyStatus.OFFERED] == 40
        assert len(hostkey_desk.trust(session, wanted, actor=ADMIN, now=START)) == 40
    assert audited(either_database) == ["host_key.trusted"] * 40
    with either_database.transaction() as session:
        assert hostkey_desk.counts(session)[KeyStatus.TRUSTED] == 40
        assert hostkey_desk.remove(session, wanted, actor=ADMIN, now=START) == 40
        assert not any(hostkey_desk.counts(session).values())


def test_a_trusted_key_that_nobody_decided_on_can_be_confirmed(either_database: Database) -> None:
    remember(either_database, OLD)
    remember(either_database, NEW)
    assert trust(either_database, NEW).decided_by == "boss"
    assert trusted(either_database) == (OLD, NEW)


def test_five_thousand_hosts_are_looked_up_with_one_query(either_database: Database) -> None:
    text = "".join(line(f"host{number},[host{number}]:2222", OLD) for number in range(0, 5000, 5))
    assert seed(either_database, text) == 2000
    wanted = [(f"Host{number}", 22) for number in range(5000)]
    seen: list[str] = []
    event.listen(either_database.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    with either_database.read() as session:
        found = hostkeys.trusted_keys(session, wanted)
    assert len([statement for statement in seen if statement.startswith("SELECT")]) == 1
    assert found == {(f"Host{number}", 22): (OLD,) for number in range(0, 5000, 5)}


def test_keys_are_searched(database: Database) -> None:
    remember(database, OLD)
    offer(database, NEW, "web2")
    with database.read() as session:
        assert [row.address for row in hostkey_desk.keys(session)] == ["web1", "web2"]
        assert [row.address for row in hostkey_desk.keys(session, q="WEB2")] == ["web2"]
        assert [row.address for row in hostkey_desk.keys(session, q=fingerprint(OLD)[7:20])] == ["web1"]
        assert hostkey_desk.keys(session, q="%") == []
        assert [row.address for row in hostkey_desk.keys(session, q="web2:22")] == ["web2"]
        assert hostkey_desk.keys(session, q="web2:23") == []
