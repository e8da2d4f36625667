"""The page of all host keys without script: the queue, many decided at once, a changed one apart from new ones."""

import re

from opsconsole.db.database import Database
from opsconsole.inventory import hostkey_desk, hostkeys, service
from opsconsole.inventory.known_hosts import KnownKey
from opsconsole.inventory.models import KeyStatus
from tests.functional.pages.people import Person
from tests.support.clock import START, FakeClock
from tests.support.factories import actor_for, make_key

OLD, NEW = make_key(), make_key()


def offered(database: Database, hosts: list[str], key: KnownKey = NEW) -> None:
    with database.transaction() as session:
        for host in hosts:
            hostkeys.offer(session, host, 22, key, now=START)


def ref(host: str, key: KnownKey = NEW) -> str:
    return f"{host}|22|{hostkeys.fingerprint(key)}"


def counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {status.value: count for status, count in hostkey_desk.counts(session).items() if count}


def test_many_first_contacts_are_trusted_at_once(admin: Person, database: Database) -> None:
    hosts = [f"new{number}" for number in range(1, 31)]
    offered(database, hosts)
    page = admin.text("/host-keys?ticked=1")
    ticked = re.findall(r'name="key" value="([^"]+)" [^>]*checked', page)
    assert sorted(ticked) == sorted(ref(host) for host in hosts)
    answer = admin.send("/host-keys", {"key": ticked, "action": "trust", "q": "new"})
    assert answer.status_code == 303
    assert "30 keys were decided on." in admin.text(answer.headers["Location"])
    assert counts(database) == {KeyStatus.TRUSTED: 30}
    assert "No host key waits" in admin.text("/host-keys")
    assert hostkeys.fingerprint(NEW) in admin.text("/host-keys?status=trusted&q=new3")


def test_a_changed_key_is_loud_and_never_ticked_for_one(admin: Person, database: Database, clock: FakeClock) -> None:
    with database.transaction() as session:
        hostkeys.remember(session, "10.1.2.3", 22, OLD, source="known_hosts", now=clock.now())
        service.add_host(session, "db-7", {"address": "10.1.2.3"}, actor=actor_for(admin.user), now=clock.now())
    offered(database, ["10.1.2.3"])
    assert "ANOTHER host key than the trusted one at 10.1.2.3." in admin.text("/jobs")
    page = admin.text("/host-keys?ticked=1")
    assert "CHANGED, blocked" in page
    assert ">db-7<" in page
    assert f"trusted until now: {hostkeys.fingerprint(OLD)}" in page
    assert "checked" not in page
    assert "CHANGED, blocked" in admin.text("/hosts/db-7")
    assert "CHANGED, blocked" in admin.text("/host-keys?q=db-7")
    admin.send("/host-keys", {"key": ref("10.1.2.3"), "action": "revoke"})
    assert "ANOTHER host key" not in admin.text("/jobs")
    assert counts(database) == {KeyStatus.TRUSTED: 1, KeyStatus.REVOKED: 1}


def test_an_operator_looks_and_decides_nothing(operator: Person, database: Database) -> None:
    offered(database, ["new1"])
    page = operator.text("/host-keys")
    assert hostkeys.fingerprint(NEW) in page
    assert "An administrator decides" in page
    assert '<button class="btn pri" name="action"' not in page
    assert operator.send("/host-keys", {"key": ref("new1"), "action": "trust"}).status_code == 403


def test_forms_that_make_no_sense_change_nothing(admin: Person, database: Database) -> None:
    offered(database, ["new1"])
    for fields, status in (
        ({"action": "trust"}, 422),
        ({"action": "melt", "key": ref("new1")}, 422),
        ({"action": "trust", "key": "new1"}, 422),
        ({"action": "trust", "key": ref("new1", OLD)}, 404),
    ):
        answer = admin.send("/host-keys", fields)
        assert answer.status_code == status
        assert "Nothing was changed." in answer.get_data(as_text=True)
    assert counts(database) == {KeyStatus.OFFERED: 1}


def test_authorities_are_added_revoked_and_removed(admin: Person, database: Database) -> None:
    assert "No authority vouches" in admin.text("/host-keys/authorities")
    fields = {"action": "add", "patterns": "*.example.com", "key": f"{OLD.algorithm} {OLD.key} team"}
    page = "/host-keys/authorities"
    assert admin.send(page, fields).status_code == 303
    told = admin.text(page)
    assert "*.example.com" in told
    assert hostkeys.fingerprint(OLD) in told
    again = admin.send(page, fields)
    assert (again.status_code, "Nothing was changed." in again.get_data(as_text=True)) == (409, True)
    wrong = admin.send(page, {**fields, "key": "<b>"})
    assert (wrong.status_code, "&lt;b&gt;" in wrong.get_data(as_text=True)) == (422, True)
    admin.send(page, {"action": "revoke:1"})
    assert "revoke:1" not in admin.text(page)
    assert admin.send(page, {"action": "remove:1"}).status_code == 303
    assert admin.send(page, {"action": "remove:1"}).status_code == 404
    assert "No authority vouches" in admin.text(page)


def test_an_operator_changes_no_authority(operator: Person) -> None:
    assert "No authority vouches" in operator.text("/host-keys/authorities")
    assert operator.send("/host-keys/authorities", {"action": "remove:1"}).status_code == 403


def test_keys_are_asked_for_and_the_page_tells_how_far_that_is(operator: Person) -> None:
    answer = operator.send("/host-keys", {"targets": "web[1-3]"}, to="/host-keys/scan")
    assert answer.status_code == 303
    assert "0 of 3 hosts were asked for their keys." in operator.text(answer.headers["Location"])
    wrong = operator.send("/host-keys", {"targets": "web["}, to="/host-keys/scan")
    assert (wrong.status_code, "Nothing was changed." in wrong.get_data(as_text=True)) == (422, True)
    assert operator.get("/host-keys?scan=none").status_code == 200
