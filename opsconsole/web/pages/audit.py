"""The audit, for those who answer for others."""

from typing import Any

from flask import make_response, render_template, request
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.audit import queries
from opsconsole.errors import Invalid
from opsconsole.web import audit as use
from opsconsole.web.auth import requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import read

_PER_PAGE = 100


@pages.get("/audit")
@requires(Permission.VIEW_AUDIT)
def audit() -> Response:
    """Lists what was done, newest first; the filters stand in the address."""
    given = _given()
    context: dict[str, Any] = {"given": given, "faults": {}, "records": [], "older": None}
    try:
        with read() as database:
            before = request.args.get("before", type=int)
            found = queries.recent(database, **use.wanted(given), before=before, limit=_PER_PAGE + 1)
            context["records"] = [use.told(entry) for entry in found[:_PER_PAGE]]
            context["older"] = found[_PER_PAGE - 1].id if len(found) > _PER_PAGE else None
    except Invalid as error:
        context["faults"] = {item.field: item for item in error.errors}
    return make_response(render_template("audit/list.html", **context), 422 if context["faults"] else 200)


@pages.get("/audit/export")
@requires(Permission.VIEW_AUDIT)
def export_audit() -> Response:
    """Downloads what the filters leave."""
    return use.export(request.args.get("format", "csv"), _given())


def _given() -> dict[str, str | None]:
    return {name: request.args.get(name, "").strip()[:255] for name in use.FILTERS}
