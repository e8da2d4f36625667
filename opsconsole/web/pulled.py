"""What came back from the hosts of a job, for pages and API alike: a list, one file, and a zip made on the fly."""

import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Response, send_file
from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.audit.record import record
from opsconsole.errors import NotFound
from opsconsole.files.store import Store
from opsconsole.jobs.models import HostRun, Job
from opsconsole.web.archives import Names, Sent
from opsconsole.web.auth import actor
from opsconsole.web.unit_of_work import now, runtime, transaction

_PIECE = 256 * 1024
# Logs shrink to a tenth at this level already, and a higher one would hold up the web process.
_LEVEL = 1


def store() -> Store:
    """Returns the files of this console."""
    settings = runtime().settings
    return Store(settings.files, spare_bytes=settings.files_spare_bytes)


def listing(session: Session, job: Job, *, limit: int) -> dict[str, Any]:
    """Returns at most ``limit`` of the files that came back, as the JSON of ``GET /jobs/{id}/files``."""
    kept, count, size = store(), 0, 0
    rows: list[dict[str, Any]] = []
    for i, host, folder in _hosts(session, job, kept):
        for path, length in kept.pulled_files(job.id, i):
            count, size = count + 1, size + length
            if len(rows) < limit:
                rows.append({"i": i, "host": host, "folder": folder, "path": path, "size": length})
    return {"files": rows, "count": count, "bytes": size}


def one(job: Job, run: HostRun, path: str) -> Response:
    """Returns one file as an attachment. Raises ``NotFound``."""
    found = store().pulled_file(job.id, run.i, path)
    if found is None:
        raise NotFound("Job {job} has no such file of {host}.", job=job.id, host=run.host)
    # What a host holds is never shown in place, and never taken for a page.
    return send_file(found, mimetype="application/octet-stream", as_attachment=True, download_name=found.name)


def archive(session: Session, job: Job) -> Response:
    """Returns all files as a zip with a folder for each host, made while it is sent. Raises ``NotFound``."""
    kept = store()
    hosts = _hosts(session, job, kept)
    if not hosts:
        raise NotFound("Job {job} has no files of its hosts (any more).", job=job.id)
    response = Response(_zipped(kept, job.id, hosts), mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="job-{job.id}-files.zip"'
    return response


def _hosts(session: Session, job: Job, kept: Store) -> list[tuple[int, str, str]]:
    """Returns index, name and folder of each host that gave files; no two folders are the same, in any case."""
    there = set(kept.pulled_hosts(job.id))
    rows = session.execute(select(HostRun.i, HostRun.host).where(HostRun.job_id == job.id).order_by(HostRun.i))
    names = Names()
    return [(i, host, names.of(host, i)) for i, host in rows if i in there]


def note(job_id: int, action: str = "job.files", /, **detail: Any) -> None:
    """Keeps in the audit that somebody took files of a job, or its results."""
    with transaction() as session:
        record(session, actor(), action, now=now(), object=f"job/{job_id}", detail=detail)


def _zipped(kept: Store, job_id: int, hosts: list[tuple[int, str, str]]) -> Iterator[bytes]:
    sent = Sent()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as packed:
        for i, _, folder in hosts:
            for path, _ in kept.pulled_files(job_id, i):
                yield from _packed(packed, sent, kept.pulled(job_id, i) / path, f"{folder}/{path}")
    yield sent.take()


def _packed(packed: zipfile.ZipFile, sent: Sent, file: Path, name: str) -> Iterator[bytes]:
    entry = zipfile.ZipInfo(name, time.localtime(file.stat().st_mtime)[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    with file.open("rb") as source, packed.open(entry, "w", force_zip64=True) as target:
        while data := source.read(_PIECE):
            target.write(data)
            yield sent.take()
