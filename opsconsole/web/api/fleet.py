"""What the console works with: its worker processes and the host keys it knows."""

from typing import Any

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.inventory import hostkeys
from opsconsole.inventory.models import HostKey, KeyStatus
from opsconsole.jobs import queries
from opsconsole.web.api import console_replies, questions
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, transaction

blueprint = Blueprint("fleet", __name__)
_TAGS = ("fleet",)


@blueprint.get("/workers")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.Workers), tags=_TAGS, operation_id="list_workers")
def list_workers() -> Response:
    """List the worker processes that are alive, with their slots."""
    with read() as session:
        return jsonify(queries.workers(session))


@blueprint.get("/host-keys")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.HostKeys), tags=_TAGS, operation_id="list_host_keys")
def list_host_keys(query: questions.HostKeysQuery) -> Response:
    """List host keys by address: trusted ones, and offered ones that wait for a decision."""
    status = KeyStatus(query.status) if query.status else None
    with read() as session:
        return jsonify(
            host_keys=[_shown(key) for key in hostkeys.keys(session, status=status, q=query.q, limit=query.limit)]
        )


@blueprint.post("/host-keys/trust")
@requires(Permission.TRUST_HOST_KEYS)
@spec.validate(
    resp=answers(HTTP_200=console_replies.HostKeyItem, also=(404, 409)), tags=_TAGS, operation_id="trust_host_key"
)
def trust_host_key(json: questions.TrustHostKey) -> Response:
    """Trust the key that a host offered. A key of the same kind that was trusted before is revoked."""
    with transaction() as session:
        key = hostkeys.trust(session, json.address, json.port, json.fingerprint, actor=actor(), now=now())
        return jsonify(_shown(key))


def _shown(key: HostKey) -> dict[str, Any]:
    return {
        "address": key.address,
        "port": key.port,
        "algorithm": key.algorithm,
        "fingerprint": key.fingerprint,
        "status": key.status,
        "source": key.source,
        "first_seen_at": queries.iso(key.first_seen_at),
        "decided_by": key.decided_by,
        "decided_at": queries.iso(key.decided_at),
    }
