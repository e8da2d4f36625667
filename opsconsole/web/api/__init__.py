"""The JSON API under ``/api/v1`` and the probes."""

from flask import Blueprint, Flask, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.web.api import (
    audit,
    connection_tests,
    console,
    control,
    credentials,
    events,
    files,
    fleet,
    health,
    host_keys,
    inventory,
    inventory_files,
    inventory_sources,
    jobs,
    me,
    output_groups,
    results,
    saved,
    search,
    settings,
    tokens,
    users,
)
from opsconsole.web.api.openapi import document, require_json
from opsconsole.web.auth import requires

_FEATURES = (
    jobs,
    control,
    results,
    output_groups,
    search,
    events,
    console,
    tokens,
    me,
    fleet,
    host_keys,
    connection_tests,
    inventory,
    inventory_files,
    inventory_sources,
    credentials,
    saved,
    files,
    audit,
    users,
    settings,
)


def register(app: Flask) -> None:
    """Puts the API's routes into ``app``."""
    api = Blueprint("api", __name__, url_prefix="/api/v1")
    api.before_request(require_json)
    api.add_url_rule("/openapi.json", "openapi", _openapi)
    for feature in _FEATURES:
        api.register_blueprint(feature.blueprint)
    app.register_blueprint(api)
    app.register_blueprint(health.blueprint)


@requires(Permission.VIEW)
def _openapi() -> Response:
    return jsonify(document())
