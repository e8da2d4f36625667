"""Running as another account: with which password, from where, and that nobody aims a stored one elsewhere."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete

from opsconsole.credentials import service
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.models import Credential, JobSecret
from opsconsole.credentials.vault import Vault
from opsconsole.db.database import Database
from opsconsole.errors import Invalid
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.ports import Become, BecomeMethod
from opsconsole.jobs.states import Reason
from opsconsole.secret import Secret
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import Desk, open_desk
from tests.support.factories import make_host


@pytest.fixture
def desk(settings: Settings, database: Database, clock: FakeClock) -> Iterator[Desk]:
    with open_desk(settings, database, clock) as opened:
        with database.transaction() as session:
            for name in ("web1", "web2"):
                make_host(session, name, user="deploy")
        store(opened, "ops", scope=["web1"], user="deploy")
        yield opened


def store(desk: Desk, name: str, **values: Any) -> None:
    """Keeps a password."""
    wanted = {"kind": "password", "secrets": {"password": Secret(f"pw of {name}")}, **values}
    with desk.database.transaction() as session:
        groups, vault = InventoryResolver(session), Vault(Cipher(desk.settings.secret()))
        service.add_credential(session, vault, name, wanted, groups=groups, actor=desk.actor, now=desk.clock.now())


def claimed(desk: Desk, forgets: Any = None, **fields: Any) -> Claim:
    """Returns the claim of a job on web1; rows of ``forgets`` are removed before."""
    hand = desk.hand(f"w{len(desk.hands)}")
    job_id = desk.order("web1", **{"credential": "password", "password": Secret("login's"), **fields})
    desk.sweep()
    if forgets is not None:
        with desk.database.transaction() as session:
            session.execute(delete(forgets))
    claim = hand.take(desk.runs(job_id)[0].id)
    assert claim is not None
    return claim


def test_without_another_account_there_is_none(desk: Desk) -> None:
    assert claimed(desk).become is None


@pytest.mark.parametrize(
    ("fields", "password"),
    [
        ({}, None),
        ({"run_as_credential": "none"}, None),
        ({"run_as_password": Secret("typed")}, "typed"),
        ({"run_as_credential": "login"}, "login's"),
        ({"run_as_credential": "cred:ops"}, "pw of ops"),
    ],
)
def test_each_way_has_its_password(desk: Desk, fields: dict[str, Any], password: str | None) -> None:
    claim = claimed(desk, run_as="root", **fields)
    assert claim.problem is None
    assert isinstance(claim.become, Become)
    assert (claim.become.user, claim.become.method) == ("root", BecomeMethod.SUDO)
    told = claim.become.password.reveal() if claim.become.password else None
    assert told == password
    assert password is None or password in {secret.reveal() for secret in claim.secrets}
    assert claim.command().become == claim.become


@pytest.mark.parametrize(
    ("fields", "forgets", "words"),
    [
        ({"run_as_password": Secret("typed")}, JobSecret, "no longer stored"),
        ({"run_as_credential": "cred:ops"}, Credential, "no longer there"),
    ],
)
def test_a_password_that_is_gone_starts_nothing(desk: Desk, fields: Any, forgets: Any, words: str) -> None:
    claim = claimed(desk, forgets, run_as="root", **fields)
    assert claim.problem is not None
    assert claim.problem.reason is Reason.CREDENTIAL
    assert words in claim.problem.detail


@pytest.mark.parametrize(
    ("targets", "method", "words"),
    [
        ("web2", "sudo", "not for this host"),
        ("root@web1", "sudo", "deploy alone"),
        ("web1", "su", "deploy alone"),
        ("web1:2222", "sudo", "port 22"),
    ],
)
def test_a_stored_password_is_not_aimed_elsewhere(desk: Desk, targets: str, method: str, words: str) -> None:
    login = {"credential": "password", "password": Secret("x")}
    with pytest.raises(Invalid) as raised:
        desk.order(targets, **login, run_as="root", run_as_method=method, run_as_credential="cred:ops")
    assert raised.value.errors[0].field == "run_as_credential"
    assert words in raised.value.detail


@pytest.mark.parametrize("credential", ["key:test", "ambient"])
def test_a_login_by_key_has_no_password_to_give(desk: Desk, credential: str) -> None:
    desk.settings = desk.settings.model_copy(update={"use_ambient_keys": True, "key_files": {"test": "/x"}})
    with pytest.raises(Invalid) as raised:
        desk.order("web1", credential=credential, run_as="root", run_as_credential="login")
    assert raised.value.errors[0].field == "run_as_credential"


def test_a_credential_that_is_no_password_is_refused_at_launch(desk: Desk) -> None:
    store(desk, "agent", kind="agent", secrets={}, scope=["web1"])
    with pytest.raises(Invalid, match="no password: sudo takes nothing else"):
        desk.order("web1", credential="password", password=Secret("x"), run_as="root", run_as_credential="cred:agent")
