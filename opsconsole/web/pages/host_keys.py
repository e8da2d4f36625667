"""All host keys: what awaits a decision, what is trusted, what is revoked; and the decisions."""

from typing import Any

from flask import make_response, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from opsconsole.accounts.permissions import Permission
from opsconsole.errors import Conflict, Invalid, NotFound, OpsconsoleError, TooLarge
from opsconsole.inventory import host_authorities, hostkey_desk, hostkeys
from opsconsole.inventory.hostkey_desk import KeyRef
from opsconsole.inventory.models import KeyStatus
from opsconsole.jobs import keyscan
from opsconsole.jobs.keyscan import KeyScans
from opsconsole.web import host_keys
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import now, read, runtime, transaction

_PAGE = 200
_SILENT_TOLD = 5
_FILTERS = (host_keys.WAITING, "trusted", "revoked", "all")
_DECISIONS = {"trust": hostkey_desk.trust, "revoke": hostkey_desk.revoke, "remove": hostkey_desk.remove}


@pages.get("/host-keys")
@requires(Permission.VIEW)
def all_host_keys() -> Response:
    """Lists host keys, at first those that await a decision."""
    with read() as database:
        return _list(database, request.args.get("status", ""), request.args.get("q", ""))


@pages.post("/host-keys")
@requires(Permission.TRUST_HOST_KEYS)
def decide_host_keys() -> Response:
    """Trusts, revokes or forgets the ticked keys, each ``<address>|<port>|<fingerprint>``."""
    form = request.form
    decide = _DECISIONS.get(form.get("action", ""))
    status, q = form.get("status", ""), form.get("q", "")
    try:
        if decide is None:
            raise Invalid("The form names no decision.")
        wanted = [_ref(text) for text in form.getlist("key")]
        if not wanted:
            raise Invalid("Tick the keys to decide about.", code="no_keys")
        with transaction() as database:
            decide(database, wanted, actor=actor(), now=now())
    except (Invalid, Conflict, NotFound) as error:
        with read() as database:
            return _list(database, status, q, error=error)
    return redirect(url_for("pages.all_host_keys", status=status or None, q=q or None, decided=len(wanted)), 303)


@pages.post("/host-keys/scan")
@requires(Permission.RUN)
def scan_keys() -> Response:
    """Has the keys of hosts collected, and tells how far that is."""
    try:
        with transaction() as database:
            wanted = request.form.get("targets", "")
            batch = KeyScans(runtime().settings).ask(database, wanted, actor(), now=now())
    except (Invalid, TooLarge) as error:
        with read() as database:
            return _list(database, "", "", error=error)
    runtime().dispatcher.nudge()
    return redirect(url_for("pages.all_host_keys", scan=batch), 303)


@pages.post("/host-keys/authorities")
@requires(Permission.TRUST_HOST_KEYS)
def change_authorities() -> Response:
    """Adds an authority or a revocation, or revokes or forgets the one whose button was pressed."""
    form = request.form
    try:
        with transaction() as database:
            action, _, number = form.get("action", "").partition(":")
            if action == "add":
                host_authorities.add(
                    database,
                    form.get("patterns", ""),
                    form.get("key", ""),
                    revoked=form.get("revoked") == "1",
                    source="page",
                    actor=actor(),
                    now=now(),
                )
            elif action in {"revoke", "remove"} and number.isascii() and number.isdigit() and len(number) < 10:
                change = host_authorities.revoke if action == "revoke" else host_authorities.remove
                change(database, int(number), actor=actor(), now=now())
            else:
                raise Invalid("The form names no decision.")
    except (Invalid, Conflict, NotFound) as error:
        with read() as database:
            return _authorities(database, error=error)
    return redirect(url_for("pages.authorities"), 303)


@pages.get("/host-keys/authorities")
@requires(Permission.VIEW)
def authorities() -> Response:
    """Lists who may vouch for hosts by certificates, and which keys are revoked for many hosts."""
    with read() as database:
        return _authorities(database)


def _authorities(database: Session, *, error: OpsconsoleError | None = None) -> Response:
    page = render_template(
        "hosts/authorities.html",
        rows=[host_keys.authority_told(row) for row in host_authorities.listed(database)],
        error=error,
        faults={item.field: item for item in error.errors} if error else {},
        form=request.form,
        may_trust=actor().may(Permission.TRUST_HOST_KEYS),
    )
    return make_response(page, error.status if error else 200)


def _ref(text: str) -> KeyRef:
    address, _, rest = text.partition("|")
    port, _, fingerprint = rest.partition("|")
    if not (port.isascii() and port.isdigit() and len(port) < 6):
        raise Invalid("The form names no host key.")
    return KeyRef(address, int(port), fingerprint)


def _scan(database: Session, batch: str) -> dict[str, Any] | None:
    """Returns how far a scan is, with some of the hosts that showed no key; ``None`` for one that is not there."""
    try:
        told = keyscan.told(database, batch)
    except NotFound:
        return None
    silent = [host for host in told["hosts"] if host["done"] and not host["found"]]
    return told | {"silent": len(silent), "some": silent[:_SILENT_TOLD]}


def _list(database: Session, status: str, q: str, *, error: OpsconsoleError | None = None) -> Response:
    status = status if status in _FILTERS else _FILTERS[0]
    offset = max(request.args.get("offset", 0, type=int), 0)
    wanted = None if status == "all" else status
    rows = host_keys.listed(database, status=wanted, q=q, limit=_PAGE + 1, offset=min(offset, 2**31))
    alarmed = {(row["address"], row["port"]) for row in rows if row["status"] == KeyStatus.ALARM}
    trusted = hostkeys.trusted_keys(database, alarmed)
    counts = hostkey_desk.counts(database)
    shown = {name: counts.get(KeyStatus(name), 0) for name in ("trusted", "revoked")}
    batch = request.args.get("scan", "")
    page = render_template(
        "hosts/host_keys.html",
        scan=_scan(database, batch) if batch else None,
        targets=request.form.get("targets", ""),
        rows=rows[:_PAGE],
        status=status,
        q=q,
        counts={host_keys.WAITING: sum(counts[one] for one in hostkey_desk.WAITING), **shown},
        alarms=counts[KeyStatus.ALARM],
        before={place: [hostkeys.fingerprint(key) for key in known] for place, known in trusted.items()},
        ticked=request.args.get("ticked") == "1",
        offset=offset,
        size=_PAGE,
        after=offset + _PAGE if len(rows) > _PAGE else None,
        decided=request.args.get("decided", type=int),
        error=error,
        may_scan=actor().may(Permission.RUN),
        may_trust=actor().may(Permission.TRUST_HOST_KEYS),
    )
    return make_response(page, error.status if error else 200)
