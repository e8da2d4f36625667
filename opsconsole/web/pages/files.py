"""Uploaded files, and those that a job brought back."""

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Forbidden, Invalid, NotFound
from opsconsole.files import service
from opsconsole.jobs import queries
from opsconsole.web import pulled
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, runtime, transaction

_MOST_SHOWN = 1000


@pages.get("/files")
@requires(Permission.RUN)
def files() -> str:
    """Lists what was uploaded, the last used first."""
    return _list()


@pages.post("/files")
@requires(Permission.RUN)
def upload_files() -> Response:
    """Keeps the files of a form and returns to the Run page, which asks where they go."""
    given = [file for file in request.files.getlist("file") if file.filename]
    try:
        if not given:
            raise Invalid("Choose at least one file.")
        digests = []
        for file in given:
            name = service.cleaned_name(file.filename or "")
            sha256, size = pulled.store().receive(file.stream, limit=runtime().settings.max_file_bytes)
            with transaction() as database:
                service.keep(database, actor(), name=name, sha256=sha256, size=size, now=now())
            digests.append(sha256)
    except Invalid as error:
        return Response(_list(error), error.status, mimetype="text/html")
    return redirect(url_for("pages.run", file=digests), 303)


@pages.post("/files/<sha256>")
@requires(Permission.RUN)
def remove_file(sha256: str) -> Response:
    """Removes an uploaded file."""
    try:
        with transaction() as database:
            service.remove(database, sha256, actor(), now=now())
    except (NotFound, Forbidden) as error:
        return Response(_list(error), error.status, mimetype="text/html")
    return redirect(url_for("pages.files"), 303)


@pages.get("/jobs/<int(max=9223372036854775807):job_id>/files")
@requires(Permission.VIEW)
def job_files(job_id: int) -> str:
    """Lists what a job brought back from its hosts."""
    with read() as database:
        job = queries.get_job(database, job_id, actor())
        return render_template("files/job.html", job=job, **pulled.listing(database, job, limit=_MOST_SHOWN))


@pages.get("/jobs/<int(max=9223372036854775807):job_id>/files.zip")
@requires(Permission.VIEW)
def job_zip(job_id: int) -> Response:
    """Downloads what a job brought back, with a folder for each host."""
    with read() as database:
        response = pulled.archive(database, queries.get_job(database, job_id, actor()))
    pulled.note(job_id)
    return response


@pages.get("/jobs/<int(max=9223372036854775807):job_id>/hosts/<host>/files/<path:path>")
@requires(Permission.VIEW)
def job_file(job_id: int, host: str, path: str) -> Response:
    """Downloads one of these files."""
    with read() as database:
        job = queries.get_job(database, job_id, actor())
        response = pulled.one(job, queries.get_run(database, job, host), path)
    pulled.note(job_id, host=host, path=path)
    return response


def _list(error: Exception | None = None) -> str:
    settings = runtime().settings
    with read() as database:
        found = service.listed(database, actor())
        return render_template("files/list.html", rows=found, error=error, limit=settings.max_file_bytes)
