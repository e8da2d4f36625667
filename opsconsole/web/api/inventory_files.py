"""The inventory by files: imports with a dry run, exports."""

import base64
import binascii

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import FieldError, Invalid
from opsconsole.inventory import exports, importing
from opsconsole.inventory.formats import ExportFormat
from opsconsole.web import inventory
from opsconsole.web.api import inventory_models as models
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, runtime, transaction

blueprint = Blueprint("inventory_files", __name__, url_prefix="/inventory")
_TAGS = ("inventory",)


@blueprint.post("/import")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_200=models.ImportPlan, also=(409, 413)), tags=_TAGS, operation_id="import_hosts")
def import_hosts(json: models.ImportHosts) -> Response:
    """Say what a file would change; with the `digest` of such an answer, do exactly that."""
    wanted = inventory.wanted_import(
        runtime().settings, json.format, _content(json), file_name=json.file_name, files=json.files, prune=json.prune
    )
    if json.digest is None:
        with read() as session:
            return jsonify(inventory.plan_told(importing.look(session, wanted, actor()), wanted, applied=False))
    with transaction() as session:
        plan = importing.run(
            session, wanted, expect=json.digest, skip_faulty=json.skip_faulty, actor=actor(), now=now()
        )
    return jsonify(inventory.plan_told(plan, wanted, applied=True))


@blueprint.get("/export")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=(None, "The file.")), tags=_TAGS, operation_id="export_hosts")
def export_hosts(query: models.Export) -> Response:
    """Download the inventory, or the hosts of an expression, as a file."""
    return download(query.format.value, query.expression)


def download(wanted: str, expression: str) -> Response:
    """Returns the file as an attachment, never shown in place."""
    form = ExportFormat(wanted)
    with read() as session:
        chosen = None
        if expression.strip():
            found = inventory.listing(session, actor(), expression=expression, limit=inventory.MAX_LISTED)
            chosen = {host.key for host in found.hosts}
        body = exports.export(session, form, chosen)
    response = Response(body, mimetype=form.mimetype)
    response.headers["Content-Disposition"] = f'attachment; filename="{form.file_name}"'
    return response


def _content(json: models.ImportHosts) -> bytes:
    if (json.content is None) == (json.content_base64 is None):
        message = "Give either content or content_base64."
        raise Invalid(message, errors=[FieldError("content", message)])
    if json.content is not None:
        return json.content.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(json.content_base64 or "", validate=True)
    except (ValueError, binascii.Error):
        message = "This is not base64."
        raise Invalid(message, errors=[FieldError("content_base64", message)]) from None
