"""New keys for all secrets while the console runs: a new data key, and if wanted another secret key of the console.

Every step is a small transaction, and whoever opens a secret reads it together with its data key: at no moment is a
secret without the key that opens it. A rotation that was broken off is finished by the next one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, exists, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor
from opsconsole.audit.record import record
from opsconsole.credentials import service
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.models import Credential, CredentialSecret, DataKey, DataKeyWrap, JobSecret
from opsconsole.credentials.vault import Sealed, Vault, job_place
from opsconsole.db.database import Database
from opsconsole.errors import Conflict, Unavailable

_ROWS = 50
# Who began to seal before the rotation may commit after it: so it looks again.
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: the new data key, secrets sealed anew, keys removed, and what could not be opened."""

    key_id: int
    resealed: int
    removed: int
    unopened: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyState:
    """A data key: how many values it seals, and by how many secret keys of the console it is wrapped."""

    id: int
    created_at: datetime
    retired_at: datetime | None
    sealed: int
    wraps: int
    ours: bool


class Rotation:
    """Rotates the keys of one database. ``by`` is ``None`` for a person at the console's machine."""

    def __init__(
        self, database: Database, cipher: Cipher, *, now: Callable[[], datetime], by: Actor | None = None
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._vault = Vault(cipher)
        self._now = now
        self._by = by

    def rotate(self, new_master: Cipher | None = None) -> Rotated:
        """Makes a new data key, seals every secret anew with it and removes the former keys.

        With ``new_master`` processes with either secret key can open everything until ``forget_others``. Raises
        ``Unavailable`` when this process has another secret key than the database, ``Conflict`` while the secret key
        is being exchanged for another one, or another rotation has begun.
        """
        key_id = self._begin(new_master)
        done, unopened = 0, set[str]()
        for _ in range(_PASSES):
            left = 0
            for step in (self._credentials, self._jobs):
                resealed, failed = step(key_id)
                done, left = done + resealed, left + resealed
                unopened |= failed
            if not left:
                break
        return Rotated(key_id, done, self._remove_retired(), tuple(sorted(unopened)))

    def forget_others(self) -> int:
        """Removes what other secret keys than this process's wrapped, and returns how much that was. Call it once every
        process has this one. Raises ``Conflict`` while something opens with another one alone."""
        with self._database.transaction() as session:
            ours = exists().where(DataKeyWrap.key_id == DataKey.id, DataKeyWrap.master_id == self._cipher.master_id)
            foreign = session.scalar(select(func.count()).select_from(DataKey).where(~ours)) or 0
            old = session.scalar(select(func.count()).select_from(JobSecret).where(JobSecret.key_id.is_(None))) or 0
            if foreign or old:
                raise Conflict(
                    "Some secrets open with another secret key alone. Run, with that one: "
                    "opsconsole secrets rotate --new-secret-key-file FILE, where FILE holds this one.",
                    code="other_secret_key_needed",
                )
            others = delete(DataKeyWrap).where(DataKeyWrap.master_id != self._cipher.master_id)
            gone = len(session.execute(others.returning(DataKeyWrap.key_id)).all())
            record(session, self._by, "secrets.old_key_forgotten", now=self._now(), detail={"wraps": gone})
        return gone

    def _begin(self, new_master: Cipher | None) -> int:
        now = self._now()
        with self._database.transaction() as session:
            self._vault.self_test(session)
            known = {self._cipher.master_id, *([new_master.master_id] if new_master else [])}
            if session.scalar(select(exists().where(DataKeyWrap.master_id.not_in(known)))):
                raise Conflict(
                    "The secret key is being exchanged: give every process the new one, then run: "
                    "opsconsole secrets forget-old-key",
                    code="secret_key_exchange",
                )
            key = self._vault.make_key(session, also_for=new_master, now=now)
            retired = update(DataKey).where(DataKey.retired_at.is_(None), DataKey.id != key.id).values(retired_at=now)
            session.execute(retired.execution_options(synchronize_session=False))
            detail = {"key": key.id, "new_secret_key": new_master is not None}
            record(session, self._by, "secrets.rotated", now=now, detail=detail)
        return key.id

    def _credentials(self, key_id: int) -> tuple[int, set[str]]:
        columns = (CredentialSecret.credential_id, CredentialSecret.field)
        query = (
            select(Credential, *columns, CredentialSecret.key_id, CredentialSecret.sealed, DataKeyWrap.wrapped)
            .join(Credential, Credential.id == CredentialSecret.credential_id)
            .execution_options(populate_existing=True)
        )
        return self._reseal(key_id, CredentialSecret, columns, query, _credential_place)

    def _jobs(self, key_id: int) -> tuple[int, set[str]]:
        columns = (JobSecret.job_id, JobSecret.name)
        query = select(*columns, JobSecret.key_id, JobSecret.sealed, DataKeyWrap.wrapped)
        return self._reseal(key_id, JobSecret, columns, query, lambda row: (job_place(*row[:2]), f"job {row.job_id}"))

    def _reseal(
        self,
        key_id: int,
        table: type[CredentialSecret] | type[JobSecret],
        columns: tuple[Any, Any],
        query: Any,
        place_of: Callable[[Any], tuple[str, str]],
    ) -> tuple[int, set[str]]:
        """Seals anew what another key sealed in ``table``; returns how many rows, and names those that do not open."""
        ours = and_(DataKeyWrap.key_id == table.key_id, DataKeyWrap.master_id == self._cipher.master_id)
        stale = query.outerjoin(DataKeyWrap, ours).where(table.key_id.is_distinct_from(key_id))
        ordered = stale.order_by(*columns).limit(_ROWS)
        done, unopened, after = 0, set[str](), (-1, "")
        while True:
            with self._database.transaction() as session:
                key = self._vault.newest_key(session)
                if key is None or key.id != key_id:
                    raise Conflict("Another rotation has begun meanwhile; it goes on.", code="rotation_overtaken")
                rows = session.execute(ordered.where(tuple_(*columns) > tuple_(*after))).all()
                for row in rows:
                    place, name = place_of(row)
                    try:
                        clear = self._vault.open(Sealed(row.key_id, row.sealed), row.wrapped, place=place)
                    except Unavailable:
                        unopened.add(name)
                        continue
                    sealed = key.seal(clear.reveal(), place=place)
                    done += _put(session, table, columns, row, {"key_id": key_id, "sealed": sealed})
            if len(rows) < _ROWS:
                return done, unopened
            after = (getattr(rows[-1], columns[0].key), getattr(rows[-1], columns[1].key))

    def _remove_retired(self) -> int:
        """Removes the retired keys that seal nothing any more; one that does is removed by a later rotation."""
        with self._database.read() as session:
            retired = list(session.scalars(select(DataKey.id).where(DataKey.retired_at.is_not(None))))
        return sum(self._remove(key_id) for key_id in retired)

    def _remove(self, key_id: int) -> bool:
        unused = [~exists().where(table.key_id == DataKey.id) for table in (CredentialSecret, JobSecret)]
        try:
            with self._database.transaction() as session:
                gone = delete(DataKey).where(DataKey.id == key_id, *unused).returning(DataKey.id)
                return session.execute(gone.execution_options(synchronize_session=False)).first() is not None
        except IntegrityError:
            # Something sealed with it was committed while we waited.
            return False


def key_states(session: Session, vault: Vault) -> list[KeyState]:
    """Returns all data keys, the newest first."""
    counts: dict[int, int] = {}
    for table in (CredentialSecret, JobSecret):
        query = select(table.key_id, func.count()).group_by(table.key_id)
        for key_id, count in session.execute(query):
            if key_id is not None:
                counts[key_id] = counts.get(key_id, 0) + count
    masters: dict[int, set[str]] = {}
    for key_id, master_id in session.execute(select(DataKeyWrap.key_id, DataKeyWrap.master_id)):
        masters.setdefault(key_id, set()).add(master_id)
    return [
        KeyState(
            id=key.id,
            created_at=key.created_at,
            retired_at=key.retired_at,
            sealed=counts.get(key.id, 0),
            wraps=len(masters.get(key.id, ())),
            ours=vault.master_id in masters.get(key.id, ()),
        )
        for key in session.scalars(select(DataKey).order_by(DataKey.id.desc()))
    ]


def _credential_place(row: Any) -> tuple[str, str]:
    return service.place(row.Credential, row.field), f"credential {row.Credential.name}"


def _put(session: Session, table: Any, columns: Iterable[Any], row: Any, values: dict[str, Any]) -> int:
    """Writes ``values`` unless the row was sealed anew or wiped since it was read; returns the number of rows."""
    same = [column == getattr(row, column.key) for column in columns]
    written = update(table).where(*same, table.sealed == row.sealed).values(values).returning(table.key_id)
    return len(session.execute(written.execution_options(synchronize_session=False)).all())
