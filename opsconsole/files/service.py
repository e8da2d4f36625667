"""Uploaded files: who gave them, who may use them, and when they are no longer needed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import FieldError, Forbidden, Invalid, NotFound
from opsconsole.files.models import JobFile, UploadedFile
from opsconsole.sentences import Sentence

_NAME_CHARS = 255


def cleaned_name(name: str) -> str:
    """Returns the last part of a file's name as a person sees it. Raises ``Invalid`` for one that is none."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
    if not last or not last.isprintable() or len(last) > _NAME_CHARS or last in {".", ".."}:
        message = Sentence("Give the file a name of at most {limit} printable characters.", limit=_NAME_CHARS)
        raise Invalid(message, errors=[FieldError("name", message)])
    return last


def keep(session: Session, actor: Actor, *, name: str, sha256: str, size: int, now: datetime) -> UploadedFile:
    """Returns the record of a file that ``actor`` gave; its bytes are stored already. Raises ``Forbidden``."""
    if not actor.may(Permission.RUN):
        raise Forbidden("Your role or token may look at jobs but not give files for hosts.")
    own = select(UploadedFile).where(UploadedFile.sha256 == sha256, UploadedFile.created_by_id == actor.user_id)
    found = session.scalars(own).one_or_none()
    if found is None:
        found = UploadedFile(sha256=sha256, size=size, created_by_id=actor.user_id, created_by=actor.name)
        found.created_at = now
        session.add(found)
    found.name, found.used_at = name, now
    session.flush()
    record(session, actor, "file.uploaded", now=now, object=f"file/{sha256[:16]}", detail=_told(found))
    return found


def listed(session: Session, actor: Actor, *, limit: int = 200) -> Sequence[UploadedFile]:
    """Returns the files that ``actor`` gave, those of all for who may see all jobs; the last used first."""
    query = select(UploadedFile).order_by(UploadedFile.used_at.desc(), UploadedFile.id.desc()).limit(limit)
    if not actor.may(Permission.VIEW_ALL_JOBS):
        query = query.where(UploadedFile.created_by_id == actor.user_id)
    return session.scalars(query).all()


def known(
    session: Session, digests: Collection[str], actor: Actor, *, shared: Collection[str]
) -> Mapping[str, UploadedFile]:
    """Returns the files with these digests that are there for ``actor`` to use, with the names that they gave them if
    they did: their own, those ``shared`` with them, and all for who may see all jobs."""
    query = select(UploadedFile).where(UploadedFile.sha256.in_(digests)).order_by(UploadedFile.used_at)
    every = actor.may(Permission.VIEW_ALL_JOBS)
    rows = sorted(session.scalars(query), key=lambda row: row.created_by_id == actor.user_id)
    own = {row.sha256 for row in rows if row.created_by_id == actor.user_id}
    return {row.sha256: row for row in rows if every or row.sha256 in own or row.sha256 in shared}


def use(session: Session, job_id: int, digests: Collection[str], now: datetime) -> None:
    """Notes that a job carries these files, which keeps them."""
    for sha256 in sorted(set(digests)):
        session.add(JobFile(job_id=job_id, sha256=sha256))
    session.execute(update(UploadedFile).where(UploadedFile.sha256.in_(digests)).values(used_at=now))


def remove(session: Session, sha256: str, actor: Actor, *, now: datetime) -> bool:
    """Removes one's own record of a file, or everybody's for admins; returns whether nobody has it any more.

    Jobs that carry it go on with it; its bytes go once those have ended. Raises ``NotFound``, ``Forbidden``.
    """
    rows = session.scalars(select(UploadedFile).where(UploadedFile.sha256 == sha256)).all()
    if not rows:
        raise NotFound("There is no uploaded file with this SHA-256.")
    may = [row for row in rows if row.created_by_id == actor.user_id or actor.may(Permission.ADMINISTER)]
    if not may or not actor.may(Permission.RUN):
        raise Forbidden("Only who gave a file, and admins, may remove it.")
    for row in may:
        record(session, actor, "file.removed", now=now, object=f"file/{sha256[:16]}", detail=_told(row))
        session.delete(row)
    return len(may) == len(rows)


def expire(session: Session, before: datetime, needed: Collection[str], now: datetime) -> list[str]:
    """Forgets the files that were last used before ``before`` and are not ``needed``; returns the digests that nobody
    has any more."""
    old = select(UploadedFile.sha256).where(UploadedFile.used_at < before).distinct()
    gone = []
    for sha256 in session.scalars(old).all():
        fresh = select(UploadedFile.id).where(UploadedFile.sha256 == sha256, UploadedFile.used_at >= before)
        if sha256 in needed or session.scalar(fresh.limit(1)) is not None:
            continue
        session.execute(delete(UploadedFile).where(UploadedFile.sha256 == sha256))
        record(session, None, "file.expired", now=now, object=f"file/{sha256[:16]}", detail={"sha256": sha256})
        gone.append(sha256)
    return gone


def _told(row: UploadedFile) -> dict[str, object]:
    return {"name": row.name, "size": row.size, "sha256": row.sha256}
