"""Stored credentials: made, changed, removed, looked at. No answer ever holds a secret."""

from typing import Annotated, Any

from flask import Blueprint, Response, jsonify
from pydantic import Field, SecretStr
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Permission
from opsconsole.credentials import service
from opsconsole.credentials.kinds import Kind, Validity
from opsconsole.credentials.models import Credential
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.secret import Secret
from opsconsole.web import credentials
from opsconsole.web.api.fields import Body, Text
from opsconsole.web.api.inventory import version_seen
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.replies import Answer
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, transaction

blueprint = Blueprint("credentials", __name__)
_TAGS = ("credentials",)
_Part = Annotated[SecretStr, Field(max_length=128 * 1024)]
_Expression = Annotated[Text, Field(max_length=4000)]


class CredentialChange(Body):
    """What to change of a credential; a field that is not there stays as it is."""

    name: Text | None = Field(None, description="Another name for it.", max_length=56)
    user: Text | None = Field(None, description="The one remote user it is for; empty: any.", max_length=64)
    scope: list[_Expression] | None = Field(
        None,
        description="Target expressions: it is used on these hosts alone. `*`: all of the inventory.",
        max_length=50,
    )
    notes: Text | None = Field(None, max_length=4000)
    secrets: dict[Annotated[Text, Field(max_length=32)], _Part] | None = Field(
        None,
        description="What its kind consists of, all of it, by field: `password`; `private_key` and `passphrase`; ...",
    )
    version: int | None = Field(None, description="What was seen; 409 when it is no longer so. As `If-Match`.")


class NewCredential(CredentialChange):
    """A credential to add."""

    name: Text = Field(max_length=56)
    kind: Kind
    scope: list[_Expression] = Field(max_length=50)


class TriedTargets(Body):
    """Targets to hold against a credential's scope."""

    targets: Text = Field(max_length=262_144)


class CredentialItem(Answer):
    """One credential. `covers` is how many hosts of the inventory are in its scope now; `validity` says that a
    certificate is over, not valid yet or valid for less than a day."""

    name: str
    kind: str
    user: str | None
    scope: list[str]
    covers: int
    public: dict[str, Any]
    validity: Validity | None
    notes: str | None
    version: int
    created_by: str
    created_at: str
    changed_at: str
    last_used_at: str | None


class NamedBy(Answer):
    """Who names a credential: hosts (some of them, and their number), groups, saved commands, the setting
    `credential`."""

    hosts: list[str]
    host_count: int
    groups: list[str]
    saved: list[str]
    setting: bool


class CredentialDetail(CredentialItem):
    """One credential, and who names it."""

    named_by: NamedBy


class CredentialList(Answer):
    """All credentials."""

    credentials: list[CredentialItem]


class ScopeTried(Answer):
    """Which hosts are in the scope, and which are not; both folded."""

    covered: str
    covered_count: int
    outside: str
    outside_count: int


class DataKeyItem(Answer):
    """A data key: how many values it seals, how many secret keys open it, and whether this console's does."""

    id: int
    created_at: str
    retired_at: str | None
    sealed: int
    secret_keys: int
    opens: bool


class DataKeyList(Answer):
    """The data keys, the newest first."""

    keys: list[DataKeyItem]


@blueprint.get("/credentials")
@requires(Permission.VIEW_CREDENTIALS)
@spec.validate(resp=answers(HTTP_200=CredentialList), tags=_TAGS, operation_id="list_credentials")
def list_credentials() -> Response:
    """List credentials by name."""
    with read() as session:
        return jsonify(credentials=credentials.told(session, service.credentials(session)))


@blueprint.post("/credentials")
@requires(Permission.MANAGE_CREDENTIALS)
@spec.validate(resp=answers(HTTP_201=CredentialDetail, also=(409,)), tags=_TAGS, operation_id="add_credential")
def add_credential(json: NewCredential) -> Response:
    """Add a credential. Its secrets are sealed and never given back."""
    with transaction() as session:
        row = service.add_credential(
            session,
            credentials.vault(),
            json.name,
            _given(json),
            groups=InventoryResolver(session),
            actor=actor(),
            now=now(),
        )
        return _detail(session, row, 201)


@blueprint.get("/credentials/<name>")
@requires(Permission.VIEW_CREDENTIALS)
@spec.validate(resp=answers(HTTP_200=CredentialDetail, also=(404,)), tags=_TAGS, operation_id="get_credential")
def get_credential(name: str) -> Response:
    """Show one credential and who names it. The `ETag` is what `If-Match` takes."""
    with read() as session:
        return _detail(session, service.get_credential(session, name))


@blueprint.patch("/credentials/<name>")
@requires(Permission.MANAGE_CREDENTIALS)
@spec.validate(resp=answers(HTTP_200=CredentialDetail, also=(404, 409)), tags=_TAGS, operation_id="change_credential")
def change_credential(name: str, json: CredentialChange) -> Response:
    """Change a credential; its kind stays. Secrets that are not given stay as they are."""
    with transaction() as session:
        row = service.change_credential(
            session,
            credentials.vault(),
            name,
            _given(json),
            version=version_seen(json.version),
            groups=InventoryResolver(session),
            actor=actor(),
            now=now(),
        )
        return _detail(session, row)


@blueprint.delete("/credentials/<name>")
@requires(Permission.MANAGE_CREDENTIALS)
@spec.validate(resp=answers(HTTP_204=None, also=(404, 409)), tags=_TAGS, operation_id="remove_credential")
def remove_credential(name: str) -> Response:
    """Remove a credential and its secrets for good."""
    with transaction() as session:
        service.remove_credential(session, name, version=version_seen(None), actor=actor(), now=now())
    return Response(status=204)


@blueprint.post("/credentials/<name>/test-scope")
@requires(Permission.VIEW_CREDENTIALS)
@spec.validate(resp=answers(HTTP_200=ScopeTried, also=(404,)), tags=_TAGS, operation_id="test_credential_scope")
def test_scope(name: str, json: TriedTargets) -> Response:
    """Say which hosts of an expression a credential may be used on. Nothing connects."""
    with read() as session:
        return jsonify(credentials.tried(session, actor(), service.get_credential(session, name), json.targets))


@blueprint.get("/data-keys")
@requires(Permission.MANAGE_CREDENTIALS)
@spec.validate(resp=answers(HTTP_200=DataKeyList), tags=_TAGS, operation_id="list_data_keys")
def list_data_keys() -> Response:
    """List the keys that seal secrets; `opsconsole secrets rotate` makes a new one."""
    with read() as session:
        return jsonify(keys=credentials.keys_told(session))


def _given(change: CredentialChange) -> dict[str, Any]:
    given = {name: getattr(change, name) for name in change.model_fields_set}
    if change.secrets is not None:
        given["secrets"] = {name: Secret(part.get_secret_value()) for name, part in change.secrets.items()}
    return given


def _detail(session: Session, row: Credential, status: int = 200) -> Response:
    told = credentials.told(session, [row])[0]
    response = jsonify({**told, "named_by": credentials.named_by(session, row.name)})
    response.status_code = status
    response.headers["ETag"] = f'"v{row.version}"'
    return response
