"""Stored credentials: listed, added, changed, removed. A secret that was typed is never shown again, not even after a
fault in another field."""

from dataclasses import dataclass
from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.credentials import service
from opsconsole.credentials.kinds import PLAIN_FIELDS, Kind, fields_of
from opsconsole.credentials.places import Holds, Source
from opsconsole.errors import Conflict, FieldError, Invalid, OpsconsoleError, Unavailable
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.secret import Secret
from opsconsole.web import credentials as shared
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, transaction

_SHOWN = ("name", "user", "scope", "notes")


@dataclass(frozen=True, slots=True)
class _Part:
    """One field of a form for a secret part; ``rows`` of 0 is a single line, ``options`` make it a choice."""

    name: str
    label: str
    rows: int = 0
    hidden: bool = False
    note: str = ""
    hint: str = ""
    options: tuple[str, ...] = ()


@pages.get("/credentials")
@requires(Permission.VIEW_CREDENTIALS)
def credentials() -> str:
    """Lists credentials, and the keys that seal them."""
    may_manage = actor().may(Permission.MANAGE_CREDENTIALS)
    with read() as database:
        return render_template(
            "credentials/list.html",
            rows=shared.told(database, service.credentials(database)),
            keys=shared.keys_told(database) if may_manage else [],
            removed=request.args.get("removed"),
            may_manage=may_manage,
        )


@pages.get("/credentials/new")
@requires(Permission.MANAGE_CREDENTIALS)
def new_credential() -> Response:
    """Shows the form for a new credential of one kind."""
    return _form_page(None)


@pages.post("/credentials/new")
@requires(Permission.MANAGE_CREDENTIALS)
def add_credential() -> Response:
    """Adds the credential, or shows the form again with what is wrong, without the secret."""
    try:
        with transaction() as database:
            added = service.add_credential(
                database,
                shared.vault(),
                request.form.get("name", ""),
                _values(_kind()) | {"kind": _kind().value},
                groups=InventoryResolver(database),
                actor=actor(),
                now=now(),
            )
    except (Invalid, Conflict) as error:
        return _form_page(error)
    return redirect(url_for("pages.credential", name=added.name, saved=1), 303)


@pages.get("/credentials/<name>")
@requires(Permission.VIEW_CREDENTIALS)
def credential(name: str) -> Response:
    """Shows one credential, and holds targets against its scope."""
    with read() as database:
        return _credential(database, name)


@pages.post("/credentials/<name>")
@requires(Permission.MANAGE_CREDENTIALS)
def save_credential(name: str) -> Response:
    """Saves the form of a credential, or removes it."""
    version = request.form.get("version", type=int)
    try:
        with transaction() as database:
            if request.form.get("action") == "remove":
                _require_sure()
                service.remove_credential(database, name, version=version, actor=actor(), now=now())
                return redirect(url_for("pages.credentials", removed=name), 303)
            kind = Kind(service.get_credential(database, name).kind)
            saved = service.change_credential(
                database,
                shared.vault(),
                name,
                _values(kind),
                version=version,
                groups=InventoryResolver(database),
                actor=actor(),
                now=now(),
            )
    except (Invalid, Conflict, Unavailable) as error:
        with read() as database:
            return _credential(database, name, error=error)
    return redirect(url_for("pages.credential", name=saved.name, saved=1), 303)


def _require_sure() -> None:
    if not request.form.get("sure"):
        message = "Tick this to remove it."
        raise Invalid(message, errors=[FieldError("sure", message)])


def _values(kind: Kind) -> dict[str, Any]:
    form = request.form
    values: dict[str, Any] = {
        "name": form.get("name", ""),
        "user": form.get("user", ""),
        "scope": shared.lines(form.get("scope", "")),
        "notes": form.get("notes", ""),
    }
    # A field that is left empty says nothing: on a change, the secret stays.
    secrets = {name: Secret(form[name]) for name in fields_of(kind) if form.get(name)}
    return values | ({"secrets": secrets} if secrets else {})


def _kind() -> Kind:
    try:
        return Kind(request.values.get("kind", Kind.PASSWORD))
    except ValueError:
        return Kind.PASSWORD


def _parts(kind: Kind) -> list[_Part]:
    held = _("none when the worker's agent holds it") if kind is Kind.CERTIFICATE else ""
    known = [
        _Part("password", _("Password"), hidden=True),
        _Part("certificate", _("Certificate"), rows=3, hint="ssh-ed25519-cert-v01@openssh.com AAAA…"),
        _Part("private_key", _("Private key"), rows=6, note=held, hint="-----BEGIN OPENSSH PRIVATE KEY-----"),
        _Part("passphrase", _("Passphrase of the key"), hidden=True, note=_("if it has one")),
        _Part("answers", _("Answers, one a line, in the order of the prompts"), rows=3),
        _Part("source", _("Where it is kept"), options=tuple(Source)),
        _Part("path", _("Path there"), hint="secret/ops/web"),
        _Part("holds", _("What is there"), options=tuple(Holds)),
        _Part("field", _("Field of the secret"), note=_("of source vault, if not named like what is there")),
        _Part("role", _("Role that signs"), note=_("of source vault_ssh")),
    ]
    return [part for part in known if part.name in fields_of(kind)]


def _facts(public: dict[str, Any]) -> list[tuple[str, str]]:
    labels = {
        "key_type": _("Key type"),
        "fingerprint": _("Fingerprint"),
        "public_key": _("Public key"),
        "certificate_id": _("Certificate"),
        "serial": _("Serial number"),
        "principals": _("Principals"),
        "valid_after": _("Valid from"),
        "valid_before": _("Valid until"),
        "authority": _("Signed by"),
        "options": _("Critical options"),
        "source": _("Where it is kept"),
        "path": _("Path there"),
        "holds": _("What is there"),
        "field": _("Field of the secret"),
        "role": _("Role that signs"),
    }
    told = {name: ", ".join(value) if isinstance(value, list) else value for name, value in public.items()}
    return [(label, str(told[name])) for name, label in labels.items() if told.get(name)]


def _form_page(error: OpsconsoleError | None) -> Response:
    kind = _kind()
    page = render_template(
        "credentials/new.html",
        kinds=list(Kind),
        kind=kind,
        parts=_parts(kind),
        plain=PLAIN_FIELDS,
        form={name: request.form.get(name, "") for name in (*_SHOWN, *PLAIN_FIELDS)},
        error=error,
        faults={item.field: item for item in error.errors} if error else {},
    )
    return make_response(page, error.status if error else 200)


def _credential(database: Session, name: str, *, error: OpsconsoleError | None = None) -> Response:
    row = service.get_credential(database, name)
    item = shared.told(database, [row])[0]
    form = {name: row.public.get(name) for name in PLAIN_FIELDS} | item | {"scope": "\n".join(row.scope)}
    if error is not None and request.form.get("action") != "remove":
        form |= {name: request.form.get(name, "") for name in (*_SHOWN, *PLAIN_FIELDS)}
    targets = request.args.get("try", "")
    tried, tried_error = None, None
    if targets.strip():
        try:
            tried = shared.tried(database, actor(), row, targets)
        except Invalid as fault:
            tried_error = fault
    page = render_template(
        "credentials/credential.html",
        item=item,
        facts=_facts(row.public),
        named=shared.named_by(database, row.name),
        form=form,
        parts=_parts(Kind(row.kind)),
        plain=PLAIN_FIELDS,
        tried_targets=targets,
        tried=tried,
        tried_error=tried_error,
        error=error,
        faults={item.field: item for item in error.errors} if error else {},
        saved=request.args.get("saved"),
        may_manage=actor().may(Permission.MANAGE_CREDENTIALS),
    )
    return make_response(page, error.status if error else 200)
