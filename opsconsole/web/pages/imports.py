"""Import: bring a file or pasted text, look at what it would change, then do exactly that. And export."""

import base64
import binascii
import zlib

from flask import make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Conflict, Invalid, OpsconsoleError, TooLarge
from opsconsole.inventory import importing, sources
from opsconsole.inventory.formats import IMPORTS
from opsconsole.inventory.importers.reading import MAX_BYTES
from opsconsole.inventory.importing import Import
from opsconsole.web import inventory
from opsconsole.web.api.inventory_files import download
from opsconsole.web.api.inventory_sources import refresh
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, runtime, transaction


@pages.get("/hosts/import")
@requires(Permission.EDIT_INVENTORY)
def import_hosts() -> Response:
    """Shows the form."""
    return make_response(_form(None))


@pages.post("/hosts/import/sources/<name>")
@requires(Permission.EDIT_INVENTORY)
def refresh_source(name: str) -> Response:
    """Asks a source now; what is wrong with it is shown beside it."""
    try:
        refresh(name)
    except OpsconsoleError as error:
        return _again(error)
    return redirect(url_for("pages.import_hosts"), 303)


@pages.post("/hosts/import")
@requires(Permission.EDIT_INVENTORY)
def look_at_import() -> Response:
    """Shows what the file or text would change; nothing is written."""
    wanted = request.form.get("format", "auto")
    try:
        content, name = _brought()
        asked = _import(wanted, content, name)
        with read() as database:
            plan = importing.look(database, asked, actor())
    except (Invalid, TooLarge) as error:
        return _again(error)
    return _shown(inventory.plan_told(plan, asked, applied=False), asked, None)


@pages.post("/hosts/import/run")
@requires(Permission.EDIT_INVENTORY)
def run_import() -> Response:
    """Does what was shown, or shows what it would do by now."""
    asked = _import(request.form.get("format", ""), _unpacked(request.form.get("kept", "")), "")
    try:
        with transaction() as database:
            plan = importing.run(
                database,
                asked,
                expect=request.form.get("digest", ""),
                skip_faulty=bool(request.form.get("skip_faulty")),
                actor=actor(),
                now=now(),
            )
    except (Invalid, Conflict) as error:
        with read() as database:
            told = inventory.plan_told(importing.look(database, asked, actor()), asked, applied=False)
        return _shown(told, asked, error)
    return redirect(url_for("pages.hosts", changed=len(plan.changes)), 303)


@pages.get("/hosts/export")
@requires(Permission.VIEW)
def export_hosts() -> Response:
    """Downloads the inventory, or the hosts of ``q``."""
    wanted = request.args.get("format", "csv")
    try:
        return download(wanted, request.args.get("q", ""))
    except ValueError:
        raise Invalid("There is no such format.", code="format") from None


def _brought() -> tuple[bytes, str]:
    file = request.files.get("file")
    if file is not None and file.filename:
        return file.stream.read(MAX_BYTES + 1), file.filename
    text = request.form.get("text", "")
    if not text.strip():
        raise Invalid("Choose a file, or paste something.", code="empty")
    return text.replace("\r\n", "\n").encode("utf-8", "surrogatepass"), ""


def _import(wanted: str, content: bytes, name: str) -> Import:
    if wanted not in IMPORTS:
        raise Invalid("There is no such format.", code="format")
    prune = bool(request.form.get("prune"))
    return inventory.wanted_import(runtime().settings, wanted, content, file_name=name, files={}, prune=prune)


def _again(error: OpsconsoleError) -> Response:
    return make_response(_form(error), error.status)


def _form(error: OpsconsoleError | None) -> str:
    with read() as database:
        known = sources.sources(database)
    return render_template(
        "hosts/import.html",
        text=request.form.get("text") or request.args.get("text", ""),
        wanted=request.form.get("format", "auto"),
        prune=bool(request.form.get("prune")),
        error=error,
        sources=known,
        today=now(),
    )


def _shown(told: dict[str, object], asked: Import, error: OpsconsoleError | None) -> Response:
    # The page itself carries what was brought, so that nothing of it is kept here and any process can go on.
    kept = base64.b64encode(zlib.compress(asked.content, 6)).decode()
    page = render_template("hosts/import_plan.html", plan=told, kept=kept, error=error)
    return make_response(page, error.status if error else 200)


def _unpacked(kept: str) -> bytes:
    try:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(base64.b64decode(kept, validate=True), MAX_BYTES + 1)
    except (ValueError, binascii.Error, zlib.error):
        raise Invalid("The form is not complete. Bring the file again.", code="form") from None
    return content
