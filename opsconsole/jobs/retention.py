"""What is no longer needed of the files that jobs carried: uploads that nobody uses, and what hosts gave long ago."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.files import service
from opsconsole.files.models import JobFile
from opsconsole.jobs import loading
from opsconsole.jobs.models import Job


def forget_files(session: Session, before: datetime, now: datetime) -> list[str]:
    """Forgets the uploads that nobody has used since ``before``, that no job carries which has not ended, and that no
    saved command names; returns the digests of those whose bytes may go."""
    carried = select(JobFile.sha256).join(Job, Job.id == JobFile.job_id).where(Job.finished_at.is_(None))
    needed = set(session.scalars(carried)) | loading.saved_files(session)
    return service.expire(session, before, needed, now)


def without_need(session: Session, job_ids: Sequence[int], before: datetime) -> list[int]:
    """Returns which of the jobs ended before ``before``, or are not there any more."""
    query = select(Job.id, Job.finished_at).where(Job.id.in_(job_ids))
    ended = {row.id: row.finished_at for row in session.execute(query)}
    gone = [job_id for job_id in job_ids if job_id not in ended]
    return gone + [job_id for job_id, finished_at in ended.items() if finished_at is not None and finished_at < before]
