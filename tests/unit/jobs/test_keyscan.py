"""Host keys collected by the workers, from the person who asks to the keys that await a decision."""

from collections.abc import Sequence

import pytest

from opsconsole.accounts.permissions import Role
from opsconsole.credentials.cipher import Cipher
from opsconsole.errors import Forbidden, Invalid, NotFound
from opsconsole.inventory import hostkey_desk, hostkeys
from opsconsole.inventory.known_hosts import KnownKey
from opsconsole.inventory.models import KeyStatus
from opsconsole.jobs import keyscan
from opsconsole.jobs.claims import ClaimReader
from opsconsole.jobs.keyscan import KeyScanner, KeyScans
from opsconsole.jobs.ports import Hop, Unreached
from opsconsole.jobs.states import Reason
from tests.support.desk import Desk
from tests.support.factories import make_key
from tests.support.fake_ssh import FakeConnector, session

ED, OTHER_ED, RSA = make_key(), make_key(), make_key("ssh-rsa")


def ask(desk: Desk, targets: str, role: Role = Role.OPERATOR) -> str:
    with desk.database.transaction() as database:
        return KeyScans(desk.settings).ask(database, targets, desk.person(role), now=desk.clock.now())


def due(desk: Desk) -> list[int]:
    with desk.database.transaction() as database:
        return keyscan.due(database, desk.clock.now())


def answer(desk: Desk, keys: Sequence[KnownKey] | Unreached) -> FakeConnector:
    """Has all questions answered in the same way."""
    connector = FakeConnector(keys if isinstance(keys, Unreached) else session())
    connector.keys = () if isinstance(keys, Unreached) else tuple(keys)
    reader = ClaimReader(
        desk.settings,
        Cipher(desk.settings.secret()),
        worker_id=lambda: "w1",
        worker_name="here:w1:1",
        home=desk.settings.data_dir,
    )
    scanner = KeyScanner(
        desk.database, reader, connector, now=desk.clock.now, kick=lambda: None, offload=lambda call: call()
    )
    for scan_id in due(desk):
        scanner.scan(scan_id)
        # A message that comes twice asks nothing again.
        scanner.scan(scan_id)
    return connector


def kept(desk: Desk) -> list[tuple[str, str, str]]:
    with desk.database.read() as database:
        return [(key.address, key.fingerprint, key.status) for key in hostkey_desk.keys(database)]


def row(host: str, key: KnownKey, status: KeyStatus) -> tuple[str, str, str]:
    return host, hostkeys.fingerprint(key), status.value


def test_what_hosts_show_awaits_a_decision(desk: Desk) -> None:
    batch = ask(desk, "web[1-2]")
    connector = answer(desk, [ED, RSA])
    assert [(target.host, target.port) for target in connector.scans] == [("web1", 22), ("web2", 22)]
    assert connector.connects == []
    assert sorted(kept(desk)) == sorted(
        row(host, key, KeyStatus.OFFERED) for host in ("web1", "web2") for key in (ED, RSA)
    )
    with desk.database.read() as database:
        told = keyscan.told(database, batch)
        assert (told["count"], told["done"], [host["found"] for host in told["hosts"]]) == (2, 2, [2, 2])
        assert {key.source for key in hostkey_desk.keys(database)} == {"scan"}
        with pytest.raises(NotFound):
            keyscan.told(database, "other")
    assert due(desk) == []


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        # One kind more is no change.
        ([ED, RSA], [row("web1", ED, KeyStatus.TRUSTED), row("web1", RSA, KeyStatus.OFFERED)]),
        ([OTHER_ED, RSA], None),
        ([RSA], [row("web1", RSA, KeyStatus.ALARM), row("web1", ED, KeyStatus.TRUSTED)]),
    ],
)
def test_a_scan_sees_a_changed_key(
    desk: Desk, shown: list[KnownKey], status: list[tuple[str, str, str]] | None
) -> None:
    with desk.database.transaction() as database:
        hostkeys.remember(database, "web1", 22, ED, source="known_hosts", now=desk.clock.now())
    ask(desk, "web1")
    answer(desk, shown)
    if status is None:
        assert row("web1", OTHER_ED, KeyStatus.ALARM) in kept(desk)
    else:
        assert sorted(kept(desk)) == sorted(status)
    # What is blocked is not asked either.
    blocked = any(found == KeyStatus.ALARM for _, _, found in kept(desk))
    batch = ask(desk, "web1")
    assert len(answer(desk, shown).scans) == (0 if blocked else 1)
    with desk.database.read() as database:
        (host,) = keyscan.told(database, batch)["hosts"]
    assert ("until an administrator decides" in (host["detail"] or "")) == blocked


def test_a_jump_host_that_shows_an_unknown_key_is_what_waits(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"jump": "bastion", "use_ambient_keys": True})
    batch = ask(desk, "web1")
    hop = Hop("bastion", "bastion", 22, "ops", None)  # type: ignore[arg-type]
    failed = Unreached(Reason.JUMP, "Jump host bastion: The host key is not known yet.", offered=RSA, hop=hop)
    connector = answer(desk, failed)
    assert [step.host for step in connector.scans[0].via] == ["bastion"]
    assert kept(desk) == [row("bastion", RSA, KeyStatus.OFFERED)]
    with desk.database.read() as database:
        (host,) = keyscan.told(database, batch)["hosts"]
    assert (host["done"], host["found"], host["detail"]) == (True, 0, failed.detail)


def test_who_may_ask_and_for_what(desk: Desk) -> None:
    with pytest.raises(Forbidden):
        ask(desk, "web1", Role.VIEWER)
    with pytest.raises(Invalid):
        ask(desk, "web[")
    desk.settings = desk.settings.model_copy(update={"allow_unlisted_hosts": False})
    with pytest.raises(Invalid, match="Not in the inventory"):
        ask(desk, "web1")


def test_questions_are_sent_again_and_never_too_many_at_once(desk: Desk) -> None:
    ask(desk, "web[1-60]")
    first = due(desk)
    assert len(first) == 50
    assert due(desk) == []
    desk.clock.advance(91)
    assert due(desk) == first
