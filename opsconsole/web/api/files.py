"""Files for hosts and from hosts: uploads, and what a job brought back."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import NotFound
from opsconsole.files import service
from opsconsole.files.models import UploadedFile
from opsconsole.jobs import loading, queries
from opsconsole.jobs.queries import iso
from opsconsole.web import pulled
from opsconsole.web.api.fields import Question, Text
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.paths import HOST, JOB
from opsconsole.web.api.replies import Answer
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, runtime, transaction

blueprint = Blueprint("files", __name__)
_TAGS = ("files",)
_ONE = "/files/<sha256>"
_MOST_LISTED = 10_000


class Upload(Question):
    """What the file is called."""

    name: Text


class File(Answer):
    """An uploaded file: its SHA-256 names it in orders."""

    sha256: str
    size: int
    name: str
    by: str
    created_at: datetime
    used_at: datetime


class Files(Answer):
    """Uploaded files, the last used first."""

    files: list[File]


class PulledFile(Answer):
    """A file of a host; ``folder`` is its host's in the zip, ``path`` where it lies in that."""

    i: int
    host: str
    folder: str
    path: str
    size: int


class PulledFiles(Answer):
    """The first files that a job brought back, and how many there are of how many bytes."""

    files: list[PulledFile]
    count: int
    bytes: int


@blueprint.post("/files")
@requires(Permission.RUN)
@spec.validate(resp=answers(HTTP_201=File, also=(413, 503)), tags=_TAGS, operation_id="upload_file")
def upload(query: Upload) -> tuple[Response, int]:
    """Upload a file: its bytes are the body, as they are."""
    name = service.cleaned_name(query.name)
    settings = runtime().settings
    sha256, size = pulled.store().receive(
        request.stream, limit=settings.max_file_bytes, expected=request.content_length
    )
    with transaction() as session:
        kept = service.keep(session, actor(), name=name, sha256=sha256, size=size, now=now())
        return jsonify(told(kept)), 201


@blueprint.get("/files")
@requires(Permission.RUN)
@spec.validate(resp=answers(HTTP_200=Files), tags=_TAGS, operation_id="list_files")
def list_files() -> Response:
    """List the files that you have uploaded; those of all for who may see all jobs."""
    with read() as session:
        return jsonify(files=[told(kept) for kept in service.listed(session, actor())])


@blueprint.get(_ONE)
@requires(Permission.RUN)
@spec.validate(resp=answers(HTTP_200=File, also=(404,)), tags=_TAGS, operation_id="uploaded_file")
def show(sha256: str) -> Response:
    """Say whether a file is here that you may push, so that it need not be sent again."""
    digest = sha256.lower()
    with read() as session:
        found = loading.usable(session, {digest}, actor()).get(digest)
        if found is None:
            raise NotFound("There is no uploaded file with this SHA-256 that you may push: upload it.")
        return jsonify(told(found))


@blueprint.delete(_ONE)
@requires(Permission.RUN)
@spec.validate(resp=answers(HTTP_204=None, also=(404,)), tags=_TAGS, operation_id="remove_file")
def remove(sha256: str) -> tuple[str, int]:
    """Remove an uploaded file of yours. Jobs that are under way go on with it."""
    with transaction() as session:
        service.remove(session, sha256.lower(), actor(), now=now())
    return "", 204


@blueprint.get(f"{JOB}/files")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=PulledFiles, also=(404,)), tags=_TAGS, operation_id="job_files")
def job_files(job_id: int) -> Response:
    """List the files that a job brought back from its hosts."""
    with read() as session:
        return jsonify(pulled.listing(session, queries.get_job(session, job_id, actor()), limit=_MOST_LISTED))


@blueprint.get(f"{JOB}/files.zip")
@requires(Permission.VIEW)
@spec.validate(
    resp=answers(HTTP_200=(None, "A zip with a folder for each host."), also=(404,)),
    tags=_TAGS,
    operation_id="job_files_zip",
)
def job_zip(job_id: int) -> Response:
    """Download all that a job brought back, with a folder for each host."""
    with read() as session:
        response = pulled.archive(session, queries.get_job(session, job_id, actor()))
    pulled.note(job_id)
    return response


@blueprint.get(f"{HOST}/files/<path:path>")
@requires(Permission.VIEW)
@spec.validate(
    resp=answers(HTTP_200=(None, "The file."), also=(404,)),
    tags=_TAGS,
    operation_id="job_file",
)
def job_file(job_id: int, host: str, path: str) -> Response:
    """Download one file that a host gave."""
    with read() as session:
        job = queries.get_job(session, job_id, actor())
        response = pulled.one(job, queries.get_run(session, job, host), path)
    pulled.note(job_id, host=host, path=path)
    return response


def told(kept: UploadedFile) -> dict[str, Any]:
    """Returns the JSON of an uploaded file."""
    return {
        "sha256": kept.sha256,
        "size": kept.size,
        "name": kept.name,
        "by": kept.created_by,
        "created_at": iso(kept.created_at),
        "used_at": iso(kept.used_at),
    }
