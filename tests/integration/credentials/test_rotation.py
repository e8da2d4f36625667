"""Keys are rotated while others seal and open: nothing is lost, what was swapped stays closed. On both databases."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.audit.models import AuditRecord
from opsconsole.credentials import service
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.models import CredentialSecret, DataKey, DataKeyWrap, JobSecret
from opsconsole.credentials.rotation import Rotation, key_states
from opsconsole.credentials.service import Opened
from opsconsole.credentials.vault import Vault, job_place
from opsconsole.db.database import Database
from opsconsole.errors import Conflict, Unavailable
from opsconsole.hostset import EmptyInventory
from opsconsole.secret import Secret
from tests.support.clock import START
from tests.support.factories import make_user

OLD, NEW = Cipher("the secret key of this console"), Cipher("the secret key that comes after it")
VAULT = Vault(OLD)


@pytest.fixture
def database(either_database: Database) -> Database:
    return either_database


@pytest.fixture
def admin(database: Database) -> Actor:
    with database.transaction() as session:
        return Actor(make_user(session, role=Role.ADMIN).id, "root", Role.ADMIN)


def add(session: Session, admin: Actor, name: str) -> None:
    values = {"kind": "password", "scope": ["web1"], "secrets": {"password": Secret(f"pw of {name}")}}
    service.add_credential(session, VAULT, name, values, groups=EmptyInventory(), actor=admin, now=START)


def keep_for_job(session: Session, vault: Vault, job_id: int, clear: str) -> None:
    place = job_place(job_id, "password")
    key_id, data = vault.seal(session, {place: Secret(clear)}, now=START)[place]
    session.add(JobSecret(job_id=job_id, name="password", key_id=key_id, sealed=data, created_at=START))
    session.flush()


def rotation(database: Database, cipher: Cipher = OLD) -> Rotation:
    return Rotation(database, cipher, now=lambda: START)


def opens(database: Database, names: list[str], vault: Vault = VAULT) -> None:
    with database.read() as session:
        found = service.opened(session, vault, names)
    for name in names:
        item = found[name]
        assert isinstance(item, Opened), item
        assert item.secrets["password"].reveal() == f"pw of {name}"


def keys(database: Database) -> list[tuple[int, bool]]:
    with database.read() as session:
        return [(key.id, key.retired_at is None) for key in session.scalars(select(DataKey).order_by(DataKey.id))]


def test_everything_is_sealed_anew_and_old_keys_go(database: Database, admin: Actor) -> None:
    names = [f"c{number:03}" for number in range(55)]
    with database.transaction() as session:
        for name in names:
            add(session, admin, name)
        for job_id in range(1, 6):
            keep_for_job(session, VAULT, job_id, f"typed {job_id}")
        # One that an earlier version left, sealed by the secret key itself.
        sealed = OLD.seal("of old", place=job_place(99, "password"))
        session.add(JobSecret(job_id=99, name="password", key_id=None, sealed=sealed, created_at=START))
    before = keys(database)
    with database.read() as session:
        former = set(session.scalars(select(CredentialSecret.sealed)))
    done = rotation(database).rotate()
    assert (done.resealed, done.removed, done.unopened) == (116, 1, ())
    assert keys(database) == [(done.key_id, True)]
    assert before == [(done.key_id - 1, True)]
    opens(database, names)
    with database.read() as session:
        assert not former & set(session.scalars(select(CredentialSecret.sealed)))
        for job_id, clear in ((1, "typed 1"), (5, "typed 5"), (99, "of old")):
            assert VAULT.open_job_secret(session, job_id, "password") == Secret(clear)
        assert VAULT.open_job_secret(session, 7000, "password") is None
        audited = session.scalars(select(AuditRecord).where(AuditRecord.action == "secrets.rotated")).one()
        assert audited.detail == {"key": done.key_id, "new_secret_key": False}


@contextmanager
def readers(database: Database, names: list[str], count: int = 2) -> Iterator[list[Any]]:
    """Opens all of ``names`` again and again, and yields what went wrong."""
    stop, faults, rounds = threading.Event(), list[Any](), [0] * count

    def read(number: int) -> None:
        while not stop.is_set():
            try:
                opens(database, names)
            except BaseException as error:  # A thread that dies would only look like a quick test.
                faults.append(error)
                return
            rounds[number] += 1

    threads = [threading.Thread(target=read, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield faults
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert all(rounds)


def test_who_opens_and_who_changes_meanwhile_notices_nothing(database: Database, admin: Actor) -> None:
    names = [f"c{number:03}" for number in range(20)]
    with database.transaction() as session:
        for name in names:
            add(session, admin, name)
    with readers(database, names) as faults:
        for number in range(3):
            rotating = threading.Thread(target=rotation(database).rotate)
            rotating.start()
            with database.transaction() as session:
                add(session, admin, f"new{number}")
            with database.transaction() as session:
                service.change_credential(
                    session,
                    VAULT,
                    "c010",
                    {"scope": [f"web{number + 2}"]},
                    version=None,
                    groups=EmptyInventory(),
                    actor=admin,
                    now=START,
                )
            rotating.join()
    assert faults == []
    opens(database, [*names, *(f"new{number}" for number in range(3))])


def test_what_is_sealed_while_the_keys_change_is_not_lost(postgres_database: Database) -> None:
    """A launch has sealed with the old key and commits late: the key stays until that is sealed anew."""
    database = postgres_database
    with database.transaction() as session:
        keep_for_job(session, VAULT, 1, "early")
    done = []
    rotating = threading.Thread(target=lambda: done.append(rotation(database).rotate()))
    with database.transaction() as session:
        keep_for_job(session, VAULT, 2, "late")
        rotating.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        with database.read() as other:
            while not other.execute(waiting).scalar_one() and rotating.is_alive():
                other.rollback()
    rotating.join()
    with database.read() as session:
        for job_id, clear in ((1, "early"), (2, "late")):
            assert VAULT.open_job_secret(session, job_id, "password") == Secret(clear)
    assert rotation(database).rotate().resealed == 2
    assert len(keys(database)) == 1


def test_rows_swapped_before_a_rotation_stay_closed(database: Database, admin: Actor) -> None:
    with database.transaction() as session:
        for name in ("one", "two", "three"):
            add(session, admin, name)
        rows = {row.credential_id: row.sealed for row in session.scalars(select(CredentialSecret))}
        one, two, _ = sorted(rows)
        for row_id, sealed in ((one, rows[two]), (two, rows[one])):
            changed = update(CredentialSecret).where(CredentialSecret.credential_id == row_id).values(sealed=sealed)
            session.execute(changed.execution_options(synchronize_session=False))
    done = rotation(database).rotate()
    assert done.unopened == ("credential one", "credential two")
    # Their key stays, so that putting the rows back helps; the others have the new one.
    assert len(keys(database)) == 2
    opens(database, ["three"])
    with database.read() as session:
        assert isinstance(service.opened(session, VAULT, ["one"])["one"], Unavailable)


def test_a_rotation_that_was_broken_off_is_finished_by_the_next(database: Database, admin: Actor) -> None:
    with database.transaction() as session:
        for number in range(5):
            add(session, admin, f"c{number}")
    broken = rotation(database)
    broken._begin(None)
    assert [active for _, active in keys(database)] == [False, True]
    opens(database, [f"c{number}" for number in range(5)])
    assert rotation(database).rotate().removed == 2
    assert len(keys(database)) == 1
    opens(database, [f"c{number}" for number in range(5)])


def test_the_secret_key_is_exchanged_without_a_moment_in_which_one_opens_nothing(
    database: Database, admin: Actor
) -> None:
    with database.transaction() as session:
        add(session, admin, "one")
        keep_for_job(session, VAULT, 1, "typed")
    with database.read() as session, pytest.raises(Unavailable):
        Vault(NEW).self_test(session)
    with pytest.raises(Unavailable):
        rotation(database, NEW).rotate()
    rotation(database, OLD).rotate(NEW)
    for cipher in (OLD, NEW):
        opens(database, ["one"], Vault(cipher))
        with database.transaction() as session:
            Vault(cipher).self_test(session)
            # Processes with either key seal for both.
            keep_for_job(session, Vault(cipher), 10 if cipher is OLD else 11, "meanwhile")
    for cipher in (OLD, NEW):
        with pytest.raises(Conflict) as caught:
            rotation(database, cipher).rotate()
        assert caught.value.code == "secret_key_exchange"
        with database.read() as session:
            assert Vault(cipher).open_job_secret(session, 10, "password") == Secret("meanwhile")
            assert [(key.wraps, key.ours) for key in key_states(session, Vault(cipher))] == [(2, True)]
    assert rotation(database, NEW).forget_others() == 1
    opens(database, ["one"], Vault(NEW))
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(DataKeyWrap)) == 1
        found = service.opened(session, VAULT, ["one"])["one"]
        assert isinstance(found, Unavailable)
        assert found.code == "secret_key_mismatch"
    assert rotation(database, NEW).rotate().resealed == 5
    with pytest.raises(Conflict):
        rotation(database, OLD).forget_others()
