"""Probes for supervisors and load balancers. They tell nothing that a stranger may not know."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from opsconsole.db.schema import require_current
from opsconsole.errors import Unavailable
from opsconsole.web.auth import public
from opsconsole.web.unit_of_work import runtime

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def healthz() -> ResponseReturnValue:
    """Answers as long as this process serves requests."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@public
def readyz() -> ResponseReturnValue:
    """Answers 200 when the database is there with this version's schema, 503 otherwise."""
    try:
        require_current(runtime().database)
    except Unavailable as error:
        return jsonify(status="unavailable", code=error.code), 503
    return jsonify(status="ok")
