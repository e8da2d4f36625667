"""Credentials are bound to their rows and scopes, nobody can read them back, and only administrators change them."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Role, Scope
from opsconsole.audit.models import AuditRecord
from opsconsole.credentials import scope, service
from opsconsole.credentials.choice import Choice, credential_name
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.models import Credential, CredentialSecret
from opsconsole.credentials.service import Opened
from opsconsole.credentials.vault import Vault
from opsconsole.db.database import Database
from opsconsole.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from opsconsole.hostset import EmptyInventory
from opsconsole.secret import Secret
from tests.support.clock import START
from tests.support.factories import make_user

VAULT = Vault(Cipher("a secret key of this console"))


class Groups(EmptyInventory):
    """An inventory of three hosts."""

    def group(self, name: str) -> Sequence[str] | None:
        return {"web": ("web1", "web2"), "empty": ()}.get(name)

    def tagged(self, key: str, value: str) -> Sequence[str]:
        return ("DB1",) if (key, value) == ("role", "db") else ()

    def has_tag_key(self, key: str) -> bool:
        return key == "role"

    def all_names(self) -> Sequence[str]:
        return ("web1", "web2", "DB1")


@pytest.fixture
def admin(database: Database) -> Actor:
    with database.transaction() as session:
        return Actor(make_user(session, role=Role.ADMIN).id, "root", Role.ADMIN)


def add(session: Session, admin: Actor, name: str = "web", **values: Any) -> Credential:
    wanted = {"kind": "password", "scope": ["@web"], "secrets": {"password": Secret(f"pw of {name}")}} | values
    return service.add_credential(session, VAULT, name, wanted, groups=Groups(), actor=admin, now=START)


def change(
    session: Session, admin: Actor, which: str = "web", /, *, version: int | None = None, **values: Any
) -> Credential:
    return service.change_credential(
        session, VAULT, which, values, version=version, groups=Groups(), actor=admin, now=START
    )


def opened(session: Session, name: str = "web", vault: Vault = VAULT) -> Opened | Unavailable:
    return service.opened(session, vault, [name])[name]


def password(session: Session, name: str = "web") -> str:
    found = opened(session, name)
    assert isinstance(found, Opened), found
    return found.secrets["password"].reveal()


def test_what_is_added_opens_for_who_logs_in_and_is_nowhere_in_clear(database: Database, admin: Actor) -> None:
    with database.transaction() as session:
        add(session, admin, user="deploy", notes="for the shop")
    with database.read() as session:
        assert password(session) == "pw of web"
        rows = [
            repr(tuple(row))
            for table in ("credentials", "credential_secrets", "data_keys", "data_key_wraps", "audit_records")
            for row in session.execute(text(f"SELECT * FROM {table}"))
        ]
        assert len(rows) >= 5
        assert not [row for row in rows if "pw of web" in row]
        audited = session.scalars(select(AuditRecord).where(AuditRecord.action == "credential.added")).one()
        assert audited.object == "credential:web"
        assert audited.detail["scope"] == ["@web"]


def test_two_rows_that_were_swapped_open_for_nobody(database: Database, admin: Actor) -> None:
    """A database writer gets an error, not the other secret."""
    with database.transaction() as session:
        one, two = add(session, admin, "one"), add(session, admin, "two")
        sealed = {row.credential_id: row.sealed for row in session.scalars(select(CredentialSecret))}
        for row_id, other in ((one.id, two.id), (two.id, one.id)):
            session.execute(
                update(CredentialSecret)
                .where(CredentialSecret.credential_id == row_id)
                .values(sealed=sealed[other])
                .execution_options(synchronize_session=False)
            )
    with database.read() as session:
        for name in ("one", "two"):
            found = opened(session, name)
            assert isinstance(found, Unavailable)
            assert found.code == "secret_tampered"


def test_a_secret_that_was_taken_away_is_noticed(database: Database, admin: Actor) -> None:
    with database.transaction() as session:
        row = add(session, admin)
        session.execute(
            delete(CredentialSecret).where(CredentialSecret.credential_id == row.id, CredentialSecret.field != "row")
        )
    with database.read() as session:
        found = opened(session, "web")
        assert isinstance(found, Unavailable)
        assert found.code == "secret_tampered"


@pytest.mark.parametrize(
    "values",
    [
        {"scope": ["*"]},
        {"user": "root"},
        {"name": "other"},
        {"public": {"x": 1}},
        {"kind": "private_key"},
    ],
)
def test_a_row_widened_behind_the_consoles_back_opens_for_nobody(
    database: Database, admin: Actor, values: dict[str, Any]
) -> None:
    with database.transaction() as session:
        add(session, admin)
        session.execute(update(Credential).values(values).execution_options(synchronize_session=False))
    with database.read() as session:
        found = opened(session, str(values.get("name", "web")))
        assert isinstance(found, Unavailable)


def test_the_names_of_two_rows_cannot_be_swapped(database: Database, admin: Actor) -> None:
    with database.transaction() as session:
        for name in ("one", "two"):
            add(session, admin, name)
        for old, new in (("one", "x"), ("two", "one"), ("x", "two")):
            session.execute(text("UPDATE credentials SET name = :new WHERE name = :old"), {"old": old, "new": new})
    with database.read() as session:
        assert isinstance(opened(session, "one"), Unavailable)


def test_another_secret_key_opens_nothing_and_says_why(database: Database, admin: Actor) -> None:
    other = Vault(Cipher("the key of another console"))
    with database.transaction() as session:
        add(session, admin)
        VAULT.self_test(session)
        with pytest.raises(Unavailable) as caught:
            other.self_test(session)
        assert caught.value.code == "secret_key_mismatch"
        found = opened(session, vault=other)
        assert isinstance(found, Unavailable)
        assert found.code == "secret_key_mismatch"


def test_the_self_test_of_a_new_console_writes_nothing(database: Database) -> None:
    with database.read() as session:
        VAULT.self_test(session)
        assert session.execute(text("SELECT count(*) FROM data_keys")).scalar_one() == 0


def test_changes_keep_the_secret_unless_another_is_given(database: Database, admin: Actor) -> None:
    with database.transaction() as session:
        add(session, admin)
    with database.transaction() as session:
        changed = change(session, admin, version=1, name="shop", scope=["*"], user="deploy", notes="n")
        assert (changed.name, changed.version) == ("shop", 2)
    with database.transaction() as session:
        assert password(session, "shop") == "pw of web"
        change(session, admin, "shop", secrets={"password": Secret("new")})
    with database.transaction() as session:
        assert password(session, "shop") == "new"
        told = session.scalars(select(AuditRecord).order_by(AuditRecord.id.desc())).first()
        assert told is not None
        assert told.detail == {"secrets": ["password"]}
        with pytest.raises(Conflict):
            change(session, admin, "shop", version=1, notes="late")
        with pytest.raises(Invalid):
            change(session, admin, "shop", kind="private_key")
        with pytest.raises(NotFound):
            change(session, admin, "web", notes="x")


def test_what_was_removed_is_gone_and_its_number_is_never_given_again(database: Database, admin: Actor) -> None:
    with database.transaction() as session:
        first = add(session, admin).id
    with database.transaction() as session:
        service.remove_credential(session, "web", actor=admin, now=START)
        assert session.execute(text("SELECT count(*) FROM credential_secrets")).scalar_one() == 0
    with database.transaction() as session:
        assert add(session, admin).id > first
        with pytest.raises(Conflict):
            add(session, admin)


@pytest.mark.parametrize(
    "actor",
    [Actor(1, "x", Role.OPERATOR), Actor(1, "x", Role.APPROVER), Actor(1, "x", Role.ADMIN, "t", Scope.READ)],
)
def test_only_administrators_change_credentials(database: Database, admin: Actor, actor: Actor) -> None:
    with database.transaction() as session:
        add(session, admin)
        with pytest.raises(Forbidden):
            add(session, actor, "mine")
        with pytest.raises(Forbidden):
            change(session, actor, scope=["*"])
        with pytest.raises(Forbidden):
            service.remove_credential(session, "web", actor=actor, now=START)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "-x"}, "name"),
        ({"name": "x" * 57}, "name"),
        ({"kind": "pigeon"}, "kind"),
        ({"user": "-root"}, "user"),
        ({"user": "a b"}, "user"),
        ({"scope": []}, "scope"),
        ({"scope": [" "]}, "scope"),
        ({"scope": ["@nosuch"]}, "scope"),
        ({"scope": ["web1:2222"]}, "scope"),
        ({"scope": ["root@web1"]}, "scope"),
        ({"scope": ["failed:#1"]}, "scope"),
        ({"scope": ["(@web"]}, "scope"),
        ({"scope": ["x"] * 1 + [f"h{n}" for n in range(60)]}, "scope"),
        ({"notes": "x" * 4001}, "notes"),
        ({"secrets": {}}, "password"),
    ],
)
def test_a_faulty_field_is_named(database: Database, admin: Actor, values: dict[str, Any], field: str) -> None:
    with database.transaction() as session:
        with pytest.raises(Invalid) as caught:
            add(session, admin, **values)
        assert {fault.field for fault in caught.value.errors} == {field}


def test_a_scope_covers_what_it_names_now() -> None:
    groups = Groups()
    assert scope.cleaned(["@web ", "", "@web", "db9"], groups) == ["@web", "db9"]
    assert scope.cleaned(["@empty", "~/nothing/"], groups) == ["@empty", "~/nothing/"]
    assert scope.hosts_in(["@web", "@role:db", "other"], groups) == {"web1", "web2", "db1", "other"}
    assert scope.hosts_in(["*"], groups) == {"web1", "web2", "db1"}
    # A group that is gone covers nobody, and takes nothing from the others.
    assert scope.hosts_in(["@gone", "@empty", "web1"], groups) == {"web1"}


@pytest.mark.parametrize(
    ("written", "kind", "name"),
    [
        ("auto", "auto", None),
        ("ambient", "ambient", None),
        ("password", "password", None),
        ("key:web", "key", "web"),
        ("cred:web", "cred", "web"),
    ],
)
def test_how_a_job_says_what_to_log_in_with(written: str, kind: str, name: str | None) -> None:
    assert Choice.of_order(written) == Choice(kind, name)
    assert str(Choice(kind, name)) == written


@pytest.mark.parametrize("written", ["", "key", "key:", "cred:", "cred", "auto:x", "vault:x", "x", "cred:" + "x" * 61])
def test_what_is_no_way_to_log_in_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        Choice.of_order(written)


def test_a_host_says_a_key_file_by_its_name_alone() -> None:
    assert Choice.of_host("web") == Choice("key", "web")
    assert Choice.of_host("cred:web") == Choice("cred", "web")
    assert Choice.of_host("ambient") == Choice("ambient")
    assert credential_name(" web ") == "web"
