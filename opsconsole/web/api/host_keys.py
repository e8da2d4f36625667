"""Host keys: what hosts have shown, and what an administrator decides about it."""

from flask import Blueprint, Response, jsonify

from opsconsole.accounts.permissions import Permission
from opsconsole.inventory import host_authorities, hostkey_desk
from opsconsole.inventory.hostkey_desk import KeyRef
from opsconsole.jobs import keyscan
from opsconsole.jobs.keyscan import KeyScans
from opsconsole.web import host_keys
from opsconsole.web.api import console_replies, questions
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, runtime, transaction

blueprint = Blueprint("host_keys", __name__)
_TAGS = ("host keys",)


@blueprint.get("/host-keys")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.HostKeys), tags=_TAGS, operation_id="list_host_keys")
def list_host_keys(query: questions.HostKeysQuery) -> Response:
    """List host keys, alarms first, then by address: trusted and revoked ones, and those that await a decision."""
    with read() as session:
        found = host_keys.listed(session, status=query.status, q=query.q, limit=query.limit, offset=query.offset)
        return jsonify(host_keys=found, counts=hostkey_desk.counts(session))


@blueprint.post("/host-keys/trust")
@requires(Permission.TRUST_HOST_KEYS)
@spec.validate(
    resp=answers(HTTP_200=console_replies.DecidedHostKeys, also=(404, 409)), tags=_TAGS, operation_id="trust_host_keys"
)
def trust_host_keys(json: questions.HostKeyNames) -> Response:
    """Trust keys that hosts showed. A key of the same kind that was trusted before is revoked; an alarm ends."""
    with transaction() as session:
        decided = hostkey_desk.trust(session, _refs(json), actor=actor(), now=now())
        return jsonify(host_keys=host_keys.told(session, decided))


@blueprint.post("/host-keys/revoke")
@requires(Permission.TRUST_HOST_KEYS)
@spec.validate(
    resp=answers(HTTP_200=console_replies.DecidedHostKeys, also=(404,)), tags=_TAGS, operation_id="revoke_host_keys"
)
def revoke_host_keys(json: questions.HostKeyNames) -> Response:
    """Revoke keys: whoever shows one is refused from now on."""
    with transaction() as session:
        decided = hostkey_desk.revoke(session, _refs(json), actor=actor(), now=now())
        return jsonify(host_keys=host_keys.told(session, decided))


@blueprint.post("/host-keys/remove")
@requires(Permission.TRUST_HOST_KEYS)
@spec.validate(
    resp=answers(HTTP_200=console_replies.RemovedHostKeys, also=(404,)), tags=_TAGS, operation_id="remove_host_keys"
)
def remove_host_keys(json: questions.HostKeyNames) -> Response:
    """Forget keys. Of the key of an alarm this says that it was none: what is trusted stays trusted."""
    with transaction() as session:
        return jsonify(removed=hostkey_desk.remove(session, _refs(json), actor=actor(), now=now()))


@blueprint.get("/host-keys/authorities")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.HostAuthorities), tags=_TAGS, operation_id="list_authorities")
def list_authorities() -> Response:
    """List who may vouch for hosts by certificates, and which keys are revoked for many hosts."""
    with read() as session:
        return jsonify(authorities=[host_keys.authority_told(row) for row in host_authorities.listed(session)])


@blueprint.post("/host-keys/authorities")
@requires(Permission.TRUST_HOST_KEYS)
@spec.validate(
    resp=answers(HTTP_201=console_replies.HostAuthorityItem, also=(409,)), tags=_TAGS, operation_id="add_authority"
)
def add_authority(json: questions.NewHostAuthority) -> Response:
    """Let a key sign host certificates where the patterns match; or revoke a key for all hosts they match."""
    with transaction() as session:
        added = host_authorities.add(
            session, json.patterns, json.key, revoked=json.revoked, source="api", actor=actor(), now=now()
        )
        answer = jsonify(host_keys.authority_told(added))
    answer.status_code = 201
    return answer


@blueprint.post("/host-keys/authorities/<int:authority_id>/revoke")
@requires(Permission.TRUST_HOST_KEYS)
@spec.validate(
    resp=answers(HTTP_200=console_replies.HostAuthorityItem, also=(404,)), tags=_TAGS, operation_id="revoke_authority"
)
def revoke_authority(authority_id: int) -> Response:
    """Revoke an authority: no certificate it signed counts any more where its patterns match."""
    with transaction() as session:
        row = host_authorities.revoke(session, authority_id, actor=actor(), now=now())
        return jsonify(host_keys.authority_told(row))


@blueprint.delete("/host-keys/authorities/<int:authority_id>")
@requires(Permission.TRUST_HOST_KEYS)
@spec.validate(resp=answers(HTTP_204=None, also=(404,)), tags=_TAGS, operation_id="remove_authority")
def remove_authority(authority_id: int) -> Response:
    """Forget an authority or a revocation."""
    with transaction() as session:
        host_authorities.remove(session, authority_id, actor=actor(), now=now())
    return Response(status=204)


@blueprint.post("/host-keys/scan")
@requires(Permission.RUN)
@spec.validate(
    resp=answers(HTTP_202=console_replies.HostKeyScan, also=(413,)), tags=_TAGS, operation_id="scan_host_keys"
)
def scan_host_keys(json: questions.NewHostKeyScan) -> Response:
    """Collect the keys of hosts, as ssh-keyscan does: by the workers, on the way that runs would take.

    What they show awaits a decision, as `GET /host-keys?status=waiting` lists it.
    """
    with transaction() as session:
        batch = KeyScans(runtime().settings).ask(session, json.targets, actor(), now=now())
        answer = jsonify(keyscan.told(session, batch))
    runtime().dispatcher.nudge()
    answer.status_code = 202
    return answer


@blueprint.get("/host-keys/scans/<scan>")
@requires(Permission.VIEW)
@spec.validate(resp=answers(HTTP_200=console_replies.HostKeyScan, also=(404,)), tags=_TAGS, operation_id="key_scan")
def key_scan(scan: str) -> Response:
    """How far a scan is; it is kept for a day."""
    with read() as session:
        return jsonify(keyscan.told(session, scan))


def _refs(json: questions.HostKeyNames) -> list[KeyRef]:
    return [KeyRef(key.address, key.port, key.fingerprint) for key in json.keys]
