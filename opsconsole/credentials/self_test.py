"""Whether this process's secret key is the one of its database, asked before it does anything."""

from sqlalchemy.orm import Session

from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.vault import Vault
from opsconsole.errors import Unavailable
from opsconsole.settings import Settings


def self_test(settings: Settings, session: Session) -> None:
    """Raises ``Unavailable``, naming the setting and the way out, unless the secret key of ``settings`` opens what the
    database keeps."""
    try:
        Vault(Cipher(settings.secret())).self_test(session)
    except Unavailable as error:
        if error.code != "secret_key_mismatch":
            raise
        own = settings.data_dir / "secret.key"
        where = "OPSCONSOLE_SECRET_KEY or OPSCONSOLE_SECRET_KEY_FILE" if settings.secret_key is not None else str(own)
        raise Unavailable(
            "This process has another secret key than the one that sealed the secrets in its "
            "database. Every process needs that one: put it back from a backup ({where}) and start "
            "again.",
            where=where,
            code=error.code,
        ) from None
