"""The vault: seals secrets with the data key of the day and opens them again, all in the caller's transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from opsconsole.credentials import cipher as ciphers
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.models import DataKey, DataKeyWrap, JobSecret
from opsconsole.errors import Unavailable
from opsconsole.secret import Secret

_CANARY = "opsconsole self-test"
_CANARY_PLACE = "self-test"


class Sealed(NamedTuple):
    """A secret as it is stored: the data key that sealed it, none for the secret key itself, and the bytes."""

    key_id: int | None
    data: bytes


class Vault:
    """Seals and opens secrets. Keeps no key but the console's secret key, so a rotation needs no restart."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def seal(self, session: Session, clear: Mapping[str, Secret], *, now: datetime) -> dict[str, Sealed]:
        """Returns each secret of ``clear`` (by its place, table/row/column) sealed with the newest data key.

        Raises ``Unavailable`` when this process has another secret key than the database's data keys.
        """
        key = self.newest_key(session) or self.make_key(session, now=now)
        return {place: Sealed(key.id, key.seal(secret.reveal(), place=place)) for place, secret in clear.items()}

    def open(self, sealed: Sealed, wrapped: bytes | None, *, place: str) -> Secret:
        """Returns a secret. ``wrapped`` is its data key as ``wraps`` gives it. Raises ``Unavailable``."""
        if sealed.key_id is None:
            return Secret(self._cipher.open(sealed.data, place=place))
        return Secret(self._unwrap(sealed.key_id, wrapped).open(sealed.data, place=place))

    @property
    def master_id(self) -> str:
        """Names the secret key of this process."""
        return self._cipher.master_id

    def open_job_secret(self, session: Session, job_id: int, name: str) -> Secret | None:
        """Returns a secret typed for a job, ``None`` when none is stored. Raises ``Unavailable``."""
        # In one statement with its data key, which may be exchanged between two.
        query = select(JobSecret.key_id, JobSecret.sealed, DataKeyWrap.wrapped).outerjoin(
            DataKeyWrap, and_(DataKeyWrap.key_id == JobSecret.key_id, DataKeyWrap.master_id == self.master_id)
        )
        row = session.execute(query.where(JobSecret.job_id == job_id, JobSecret.name == name)).one_or_none()
        if row is None:
            return None
        return self.open(Sealed(row.key_id, row.sealed), row.wrapped, place=job_place(job_id, name))

    def newest_key(self, session: Session) -> ciphers.DataKey | None:
        """Returns the data key that seals now, ``None`` when there is none yet. Raises ``Unavailable``."""
        query = select(DataKey.id).where(DataKey.retired_at.is_(None)).order_by(DataKey.id.desc()).limit(1)
        # The lock keeps a rotation from removing the key before what is sealed with it is committed.
        key_id = session.scalar(query.with_for_update(read=True, key_share=True))
        if key_id is None:
            return None
        wrapped = session.scalar(
            select(DataKeyWrap.wrapped).where(DataKeyWrap.key_id == key_id, DataKeyWrap.master_id == self.master_id)
        )
        return self._unwrap(key_id, wrapped)

    def make_key(self, session: Session, *, also_for: Cipher | None = None, now: datetime) -> ciphers.DataKey:
        """Returns a new data key, stored wrapped by this process's secret key, and by ``also_for``."""
        row = DataKey(created_at=now)
        session.add(row)
        session.flush()  # Its number is part of what it is bound to.
        key = ciphers.DataKey.new(row.id)
        masters = {master.master_id: master for master in (self._cipher, also_for) if master is not None}
        session.add_all(
            DataKeyWrap(key_id=key.id, master_id=name, wrapped=master.wrap(key)) for name, master in masters.items()
        )
        session.flush()
        return key

    def self_test(self, session: Session) -> None:
        """Raises ``Unavailable`` unless what this process seals is not readable, and opens again.

        A console whose database was filled under another secret key fails it before a job does.
        """
        key = self.newest_key(session) or ciphers.DataKey.new(0)
        sealed = key.seal(_CANARY, place=_CANARY_PLACE)
        if _CANARY.encode() in sealed or key.open(sealed, place=_CANARY_PLACE) != _CANARY:
            raise Unavailable("Secrets are not sealed as they should be.", code="secret_self_test")

    def _unwrap(self, key_id: int, wrapped: bytes | None) -> ciphers.DataKey:
        if wrapped is None:
            raise ciphers.other_secret_key()
        return self._cipher.unwrap(key_id, wrapped)


def job_place(job_id: int, name: str) -> str:
    """Returns what binds a job's secret to its row."""
    return f"job_secrets/{job_id}/{name}"
