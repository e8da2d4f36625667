"""``opsconsole secrets``: the keys of all stored secrets, as a person at the console's machine sees them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from opsconsole.clock import SystemClock
from opsconsole.credentials import self_test as credentials
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.rotation import KeyState, Rotation, key_states
from opsconsole.credentials.vault import Vault
from opsconsole.db import schema
from opsconsole.db.database import Database
from opsconsole.errors import Invalid
from opsconsole.settings import Settings, read_or_create_secret


def self_test(settings: Settings, database: Database) -> None:
    """Raises ``Unavailable`` unless this installation's secret key opens what the database keeps."""
    with database.read() as session:
        credentials.self_test(settings, session)


def states(settings: Settings) -> list[KeyState]:
    """Returns the data keys, the newest first. Raises ``Unavailable``."""
    with _database(settings) as database, database.read() as session:
        return key_states(session, Vault(Cipher(settings.secret())))


def rotate(settings: Settings, new_secret_key_file: Path | None) -> Iterator[str]:
    """Seals every secret anew and yields what to say of it. Jobs may run meanwhile.

    A ``new_secret_key_file`` that is not there is made. Raises ``Conflict``, ``Invalid``, ``Unavailable``.
    """
    cipher = Cipher(settings.secret())
    new_master = None
    if new_secret_key_file is not None:
        new_master = Cipher(_secret_of(new_secret_key_file))
        if new_master.master_id == cipher.master_id:
            raise Invalid(f"{new_secret_key_file} holds the secret key that is in use already.", code="same_secret_key")
    with _database(settings) as database:
        done = Rotation(database, cipher, now=SystemClock().now).rotate(new_master)
    told = f"{done.resealed:,} sealed anew, {done.removed:,} old keys removed"
    yield f"Data key {done.key_id} seals all secrets now: {told}."
    for name in done.unopened:
        yield f"Cannot be opened and stays as it is: {name}"
    if new_secret_key_file is not None:
        own = settings.data_dir / "secret.key"
        where = "OPSCONSOLE_SECRET_KEY or its file" if settings.secret_key is not None else str(own)
        yield (
            f"Both secret keys open everything now. Put the one of {new_secret_key_file} in the place of the old one "
            f"({where}), restart every process, then run: opsconsole secrets forget-old-key"
        )


def forget_old_key(settings: Settings) -> str:
    """Removes what other secret keys than this installation's open, and returns what to say. Raises ``Conflict``."""
    with _database(settings) as database:
        gone = Rotation(database, Cipher(settings.secret()), now=SystemClock().now).forget_others()
    return "No other secret key opened anything." if not gone else "Only this secret key opens the secrets now."


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    with closing(Database(settings.database)) as database:
        schema.require_current(database)
        yield database


def _secret_of(path: Path) -> str:
    try:
        return read_or_create_secret(path)
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}", code="settings") from None
