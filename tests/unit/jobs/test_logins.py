"""What each host is logged in to with: the nearest says it, and nobody aims a stored credential at another host."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from opsconsole.accounts.permissions import Role
from opsconsole.credentials import service
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.models import Credential, CredentialSecret
from opsconsole.credentials.vault import Vault
from opsconsole.db.database import Database
from opsconsole.errors import Invalid
from opsconsole.inventory.groups import set_group
from opsconsole.inventory.models import Host, HostGroup
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.inventory.service import upsert_host
from opsconsole.jobs import authentication
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.launch import Order
from opsconsole.secret import Secret
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import Desk, Hand, open_desk
from tests.support.factories import make_host


@pytest.fixture
def desk(settings: Settings, database: Database, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, database, clock) as opened:
        with database.transaction() as session:
            for name in ("web1", "web2", "db1"):
                make_host(session, name, user="admin")
            set_group(session, "web", ["web1", "web2"])
        store(opened, "fleet", scope=["*"])
        store(opened, "web", scope=["@web"])
        yield opened


def store(desk: Desk, name: str, **values: Any) -> None:
    wanted = {"kind": "password", "secrets": {"password": Secret(f"pw of {name}")}, **values}
    vault = Vault(Cipher(desk.settings.secret()))
    with desk.database.transaction() as session:
        groups = InventoryResolver(session)
        service.add_credential(session, vault, name, wanted, groups=groups, actor=desk.actor, now=desk.clock.now())


def change(desk: Desk, name: str, **values: Any) -> None:
    vault = Vault(Cipher(desk.settings.secret()))
    with desk.database.transaction() as session:
        groups = InventoryResolver(session)
        service.change_credential(
            session, vault, name, values, version=None, groups=groups, actor=desk.actor, now=desk.clock.now()
        )


def say(desk: Desk, model: Any, name: str, credential: str | None) -> None:
    with desk.database.transaction() as session:
        session.execute(update(model).where(model.name == name).values(credential=credential))


def planned(desk: Desk, targets: str, **fields: Any) -> dict[str, tuple[str | None, str]]:
    with desk.database.read() as session:
        plan = desk.launcher.plan(session, Order(targets, "id", **fields), desk.actor)
    return {host["host"]: (host["credential"], host["credential_from"]) for host in plan["hosts"]}


def claimed(desk: Desk, hand: Hand, targets: str, **fields: Any) -> Claim:
    job_id = desk.order(targets, **fields)
    desk.sweep()
    claim = hand.take(desk.runs(job_id)[0].id)
    assert claim is not None
    return claim


def test_the_nearest_that_says_so_counts(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"use_ambient_keys": True})
    assert planned(desk, "web1") == {"web1": ("own keys", "worker")}
    desk.settings = desk.settings.model_copy(update={"credential": "key:test"})
    assert planned(desk, "web1") == {"web1": ("key test", "setting")}
    say(desk, HostGroup, "web", "cred:web")
    say(desk, Host, "web2", "cred:fleet")
    assert planned(desk, "web1,web2,db1") == {
        "web1": ("credential web", "group web"),
        "web2": ("credential fleet", "host"),
        "db1": ("key test", "setting"),
    }
    say(desk, Host, "web2", "ambient")
    assert planned(desk, "web2") == {"web2": ("own keys", "host")}
    assert planned(desk, "web1,web2", credential="cred:fleet") == {
        "web1": ("credential fleet", "job"),
        "web2": ("credential fleet", "job"),
    }
    job_id = desk.order("web1,web2,db1")
    assert [run.credential for run in desk.runs(job_id)] == ["cred:web", "ambient", "key:test"]


def test_the_worker_logs_in_with_what_the_row_says(desk: Desk, hand: Hand) -> None:
    say(desk, HostGroup, "web", "cred:web")
    for fields in ({}, {"credential": "cred:fleet"}):
        claim = claimed(desk, hand, "web1", **fields)
        name = fields.get("credential", "cred:web").partition(":")[2]
        assert claim.problem is None
        assert claim.auth.password == Secret(f"pw of {name}")
        assert f"pw of {name}" not in repr(claim)
    with desk.database.read() as session:
        assert service.get_credential(session, "web").last_used_at == desk.clock.now()


def test_the_user_that_a_credential_is_for_logs_in(desk: Desk) -> None:
    change(desk, "web", user="deploy")
    assert [run.user for run in desk.runs(desk.order("web1", credential="cred:web"))] == ["deploy"]
    assert [run.user for run in desk.runs(desk.order("deploy@web1", credential="cred:web", user="deploy"))] == [
        "deploy"
    ]
    assert [run.user for run in desk.runs(desk.order("web1", credential="cred:fleet"))] == ["admin"]


@pytest.mark.parametrize(
    ("targets", "fields", "words"),
    [
        ("db1", {}, "not for this host"),
        ("web1,db1", {}, "not for this host. Asked for: db1"),
        # Anybody with an account on the host may listen there.
        ("web1:2222", {}, "for port 22 of this host alone"),
        ("mine.example.com", {}, "not for this host"),
        ("mine.example.com", {"credential": "cred:fleet"}, "not for this host"),
        ("web1", {"credential": "cred:nosuch"}, "There is no credential"),
        ("root@web1", {"credential": "cred:narrow"}, "for the user deploy alone"),
        ("web1", {"credential": "cred:narrow", "user": "root"}, "for the user deploy alone"),
    ],
)
def test_a_person_cannot_aim_a_credential_elsewhere(
    desk: Desk, targets: str, fields: dict[str, Any], words: str
) -> None:
    store(desk, "narrow", scope=["@web"], user="deploy")
    with pytest.raises(Invalid) as caught:
        desk.order(targets, by=desk.person(Role.OPERATOR), **{"credential": "cred:web", **fields})
    assert words in caught.value.detail
    assert [fault.field for fault in caught.value.errors] == ["credential"]
    with desk.database.read() as session:
        assert session.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 0


def test_what_a_group_says_wrongly_keeps_only_its_hosts_waiting(desk: Desk, hand: Hand) -> None:
    say(desk, HostGroup, "web", "cred:web")
    say(desk, Host, "db1", "cred:web")
    with desk.database.read() as session:
        plan = desk.launcher.plan(session, Order("web1,db1", "id"), desk.actor)
    assert plan["policy"]["reasons"] == ["db1: The credential 'web' is not for this host."]
    assert [host["credential"] for host in plan["hosts"]] == ["credential web", None]
    claim = claimed(desk, hand, "db1")
    assert claim.problem is not None
    assert claim.problem.reason == "credential"
    assert claim.auth.password is None


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        ("removed", "no longer there"),
        ("narrowed", "no longer for this host"),
        ("group", "no longer for this host"),
        ("user", "for the user other alone"),
        ("swapped", "changed behind the console's back"),
        ("no data key", "another secret key"),
    ],
)
def test_what_allowed_it_at_launch_is_asked_again_when_it_is_claimed(
    desk: Desk, hand: Hand, monkeypatch: pytest.MonkeyPatch, meanwhile: str, words: str
) -> None:
    monkeypatch.setattr(authentication, "_SCOPE_SECONDS", 0.0)
    assert claimed(desk, hand, "web1", credential="cred:web").problem is None
    job_id = desk.order("web1", credential="cred:web")
    desk.sweep()
    if meanwhile == "narrowed":
        change(desk, "web", scope=["web2"])
    if meanwhile == "user":
        change(desk, "web", user="other")
    with desk.database.transaction() as session:
        if meanwhile == "removed":
            service.remove_credential(session, "web", actor=desk.actor, now=desk.clock.now())
        if meanwhile == "group":
            set_group(session, "web", ["web2"])
        if meanwhile == "swapped":
            other = session.scalars(
                select(CredentialSecret.sealed)
                .join(Credential)
                .where(Credential.name == "fleet", CredentialSecret.field == "password")
            ).one()
            mine = update(CredentialSecret).where(CredentialSecret.field == "password")
            session.execute(mine.values(sealed=other))
        if meanwhile == "no data key":
            session.execute(delete(service.DataKeyWrap))
    claim = hand.take(desk.runs(job_id)[0].id)
    assert claim is not None
    assert claim.problem is not None
    assert claim.problem.reason == "credential"
    assert words in claim.problem.detail
    assert claim.auth.password is None


def test_rows_from_before_stored_credentials_still_name_key_files(desk: Desk, hand: Hand) -> None:
    with desk.database.transaction() as session:
        upsert_host(session, "old1", credential="test", now=desk.clock.now())
    job_id = desk.order("old1")
    with desk.database.transaction() as session:
        session.execute(text("UPDATE host_runs SET credential = 'test'"))
    desk.sweep()
    claim = hand.take(desk.runs(job_id)[0].id)
    assert claim is not None
    assert claim.auth.identity == "key test"
    assert claim.problem is None
