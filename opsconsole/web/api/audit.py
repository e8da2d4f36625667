"""The audit: who did what, when and from where. It can be read and taken along, never changed."""

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.audit import queries
from opsconsole.web import audit
from opsconsole.web.api import console_replies, questions
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import requires
from opsconsole.web.unit_of_work import read

blueprint = Blueprint("audit", __name__)
_TAGS = ("audit",)


@blueprint.get("/audit")
@requires(Permission.VIEW_AUDIT)
@spec.validate(resp=answers(HTTP_200=console_replies.Audit), tags=_TAGS, operation_id="list_audit")
def list_audit(query: questions.AuditQuery) -> Response:
    """List what people and the console did, newest first."""
    filters = audit.wanted(query.model_dump())
    with read() as session:
        found = queries.recent(session, **filters, before=query.before, limit=query.limit + 1)
        records = [audit.told(entry) for entry in found[: query.limit]]
    return jsonify(records=records, before=records[-1]["id"] if len(found) > query.limit else None)


@blueprint.get("/audit/export")
@requires(Permission.VIEW_AUDIT)
@spec.validate(resp=answers(HTTP_200=(None, "The file.")), tags=_TAGS, operation_id="export_audit")
def export_audit(query: questions.AuditExport) -> Response:
    """Download what the filters leave, newest first; that is a record itself."""
    return audit.export(query.format, query.model_dump())
