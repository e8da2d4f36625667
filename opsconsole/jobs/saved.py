"""Saved commands: orders that are kept under a name and given again.

Their hosts are found anew at each run, or fixed when they are saved. Nothing of a password is kept, and whoever runs
one is asked for the same word as for any other order of that size.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.audit.record import record
from opsconsole.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from opsconsole.hostset import groups_named
from opsconsole.jobs.models import Job, SavedCommand
from opsconsole.jobs.order import CIRCUMSTANCES, Order
from opsconsole.jobs.ports import Secret
from opsconsole.jobs.survey import Survey
from opsconsole.jobs.what import RunAs
from opsconsole.sentences import Sentence

_MOST = 2000
_NAME_CHARS = 100
_NOTES_CHARS = 4000
# What belongs to one launch alone.
_NOT_KEPT = CIRCUMSTANCES | {"rerun_of", "saved_id"}
# Targets that only sometimes name hosts are worth keeping all the same: ``failed:last:@web``.
_MAY_BE_EMPTY = frozenset({"no_hosts", "all_frozen", "unknown_job", "no_match"})
_NO_PASSWORD = Secret("-")


def listed(session: Session) -> list[SavedCommand]:
    """Returns all saved commands by name."""
    return list(session.scalars(select(SavedCommand).order_by(SavedCommand.key)))


def naming_group(session: Session, group: str) -> list[SavedCommand]:
    """Returns the saved commands, by name, whose targets refer to ``group``; those with fixed hosts do not any more."""
    found = [saved for saved in listed(session) if saved.hosts is None]
    written = ((saved, f"{saved.order.get('targets') or ''},{saved.order.get('exclude') or ''}") for saved in found)
    return [saved for saved, text in written if "@" in text and group in groups_named(text)]


def get_saved(session: Session, saved_id: int) -> SavedCommand:
    """Returns one saved command. Raises ``NotFound``."""
    found = session.get(SavedCommand, saved_id)
    if found is None:
        raise NotFound("There is no saved command #{number}.", number=saved_id)
    return found


def add(
    session: Session, survey: Survey, order: Order, values: Mapping[str, Any], *, actor: Actor, now: datetime
) -> SavedCommand:
    """Returns a new saved command that gives ``order``. ``values`` holds ``name``, ``notes`` and ``static``.

    Raises ``Forbidden``, ``Invalid`` for what would be wrong with the order itself, or ``Conflict`` (``name_taken``).
    """
    if not actor.may(Permission.RUN):
        raise Forbidden("Your role or token may look at saved commands but not make them.")
    if (session.scalar(select(func.count()).select_from(SavedCommand)) or 0) >= _MOST:
        raise Invalid("{limit:,} commands are saved. Remove some first.", limit=_MOST, code="too_many")
    saved = SavedCommand(version=1, created_by_id=actor.user_id, created_by=actor.name, created_at=now)
    _set(session, saved, survey, order, values, actor, now)
    session.add(saved)
    try:
        session.flush()
    except IntegrityError:
        # Somebody took the name in this very moment.
        raise _name_taken(saved.name) from None
    _record(session, actor, "saved.added", saved, now)
    return saved


def change(
    session: Session,
    survey: Survey,
    saved_id: int,
    order: Order,
    values: Mapping[str, Any],
    *,
    version: int | None,
    actor: Actor,
    now: datetime,
) -> SavedCommand:
    """Returns a saved command that gives ``order`` from now on; hosts that are fixed are fixed anew.

    Raises as ``add`` does, ``NotFound``, ``Forbidden`` for another person's, and ``Conflict`` when it is no longer in
    ``version``.
    """
    saved = _editable(session, saved_id, version, actor)
    _set(session, saved, survey, order, values, actor, now)
    saved.version += 1
    _record(session, actor, "saved.changed", saved, now)
    return saved


def remove(session: Session, saved_id: int, *, version: int | None, actor: Actor, now: datetime) -> None:
    """Removes a saved command; its jobs stay. Raises ``NotFound``, ``Forbidden``, ``Conflict``."""
    saved = _editable(session, saved_id, version, actor)
    session.delete(saved)
    _record(session, actor, "saved.removed", saved, now)


def order_of(saved: SavedCommand) -> Order:
    """Returns the order that running ``saved`` gives, on its fixed hosts or on its targets as they are written."""
    order = as_saved(saved)
    if saved.hosts is not None:
        order = replace(order, targets=saved.hosts, exclude="")
    return replace(order, title=order.title or saved.name, saved_id=saved.id)


def as_saved(saved: SavedCommand) -> Order:
    """Returns the order as it was saved, with the targets as they were written."""
    known = Order.__dataclass_fields__
    return Order(**{name: value for name, value in saved.order.items() if name in known})


def may_change(saved: SavedCommand, actor: Actor) -> bool:
    """Returns whether ``actor`` may change or remove it: one's own, or anybody's with the right to manage all."""
    own = saved.created_by_id == actor.user_id and actor.may(Permission.RUN)
    return own or actor.may(Permission.MANAGE_SAVED)


def last_jobs(session: Session, ids: list[int], actor: Actor) -> dict[int, int]:
    """Returns the newest job that ``actor`` may see of each saved command, by the command's number."""
    query = select(Job.saved_id, func.max(Job.id)).where(Job.saved_id.in_(ids)).group_by(Job.saved_id)
    if not actor.may(Permission.VIEW_ALL_JOBS):
        query = query.where(Job.created_by_id == actor.user_id)
    return {saved_id: job_id for saved_id, job_id in session.execute(query) if saved_id is not None}


def _set(
    session: Session,
    saved: SavedCommand,
    survey: Survey,
    order: Order,
    values: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> None:
    saved.name = _name(session, str(values.get("name") or ""), saved.id)
    saved.key = saved.name.lower()
    saved.notes = str(values.get("notes") or "").strip()[:_NOTES_CHARS] or None
    hosts = _checked(session, survey, order, actor, static=bool(values.get("static")))
    saved.order = _kept(order)
    saved.hosts = hosts if values.get("static") else None
    saved.changed_at = now


def _checked(session: Session, survey: Survey, order: Order, actor: Actor, *, static: bool) -> str | None:
    """Returns the hosts that the order names now, folded. Raises ``Invalid`` for an order that could not be given."""
    # Passwords are typed when the command is run.
    asked = replace(order, password=_NO_PASSWORD) if order.credential == "password" else order
    if order.run_as_credential == RunAs.TYPED:
        asked = replace(asked, run_as_password=_NO_PASSWORD)
    try:
        return survey.prepare(session, asked, actor).found.resolution.folded
    except Invalid as error:
        if static or not error.errors or not {fault.code for fault in error.errors} <= _MAY_BE_EMPTY:
            raise
        return None


def _kept(order: Order) -> dict[str, Any]:
    given = {item.name: (getattr(order, item.name), item.default) for item in fields(order)}
    kept = {
        name: value for name, (value, usual) in given.items() if name not in _NOT_KEPT and value not in (None, usual)
    }
    return {
        name: list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
        for name, value in kept.items()
    }


def _name(session: Session, text: str, own: int | None) -> str:
    name = " ".join(text.split())
    if not name or len(name) > _NAME_CHARS or not name.isprintable():
        message = Sentence("Give it a name of at most {limit} printable characters.", limit=_NAME_CHARS)
        raise Invalid(message, errors=[FieldError("name", message, code="bad_name")])
    other = session.scalar(select(SavedCommand.id).where(SavedCommand.key == name.lower()))
    if other is not None and other != own:
        raise _name_taken(name)
    return name


def _name_taken(name: str) -> Conflict:
    message = Sentence("There is a saved command {name} already.", name=name)
    return Conflict(message, code="name_taken", errors=[FieldError("name", message, code="name_taken")])


def _editable(session: Session, saved_id: int, version: int | None, actor: Actor) -> SavedCommand:
    saved = get_saved(session, saved_id)
    if not may_change(saved, actor):
        raise Forbidden(
            "{name} was saved by {created_by}. Only they and admins may change or remove it.",
            name=saved.name,
            created_by=saved.created_by,
        )
    if version is not None and version != saved.version:
        message = Sentence("Somebody changed {name} meanwhile. Look at it again. Nothing was changed.", name=saved.name)
        raise Conflict(message, code="version_changed", extra={"version": saved.version})
    return saved


def _record(session: Session, actor: Actor, action: str, saved: SavedCommand, now: datetime) -> None:
    detail = {"name": saved.name, "static": saved.hosts is not None, "targets": saved.order.get("targets")}
    command = str(saved.order.get("command"))
    record(session, actor, action, now=now, object=f"saved/{saved.id}", text=command, detail=detail)
