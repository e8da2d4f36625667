"""The inventory's sources: what hosts are fetched from."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify
from pydantic import Field
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Permission
from opsconsole.inventory import sources
from opsconsole.inventory.apply import require_editor
from opsconsole.inventory.fetching import Allowed
from opsconsole.inventory.models import InventorySource
from opsconsole.web.api.fields import Body, Text
from opsconsole.web.api.inventory_models import Word
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.api.replies import Answer
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, runtime, transaction

blueprint = Blueprint("inventory_sources", __name__, url_prefix="/inventory/sources")
_TAGS = ("inventory",)


class NewSource(Body):
    """A source to add: a program or an address that answers as `ansible-inventory --list`; the settings allow which."""

    name: Word
    argv: list[Text] | None = Field(None, description="The program by its full path, and its arguments.", max_length=50)
    url: Text | None = Field(None, max_length=2000)
    timeout_seconds: int = Field(30, ge=1, le=sources.MAX_TIMEOUT_SECONDS)
    interval_seconds: int = Field(3600, ge=0, le=30 * 86400, description="0: only by hand.")


class SourceItem(Answer):
    """A source: when it was asked last, when it last gave a good answer, and what was wrong since then."""

    name: str
    argv: list[str] | None
    url: str | None
    timeout_seconds: int
    interval_seconds: int
    tried_at: str | None
    fetched_at: str | None
    age_ms: int | None
    error: str | None
    host_count: int


class SourceList(Answer):
    """All sources by name."""

    sources: list[SourceItem]


@blueprint.get("")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_200=SourceList), tags=_TAGS, operation_id="list_sources")
def list_sources() -> Response:
    """List sources with the age of their last good answer."""
    with read() as session:
        return jsonify(sources=[told(source) for source in sources.sources(session)])


@blueprint.post("")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_201=SourceItem, also=(409,)), tags=_TAGS, operation_id="add_source")
def add_source(json: NewSource) -> Response:
    """Add a source."""
    with transaction() as session:
        source = sources.add_source(
            session,
            json.name,
            argv=json.argv,
            url=json.url,
            timeout_seconds=json.timeout_seconds,
            interval_seconds=json.interval_seconds,
            allowed=_allowed(),
            actor=actor(),
            now=now(),
        )
        response = jsonify(told(source))
    response.status_code = 201
    return response


@blueprint.delete("/<name>")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_204=None, also=(404,)), tags=_TAGS, operation_id="remove_source")
def remove_source(name: str) -> Response:
    """Forget a source; its hosts stay."""
    with transaction() as session:
        sources.remove_source(session, name, actor=actor(), now=now())
    return Response(status=204)


@blueprint.post("/<name>/refresh")
@requires(Permission.EDIT_INVENTORY)
@spec.validate(resp=answers(HTTP_200=SourceItem, also=(404,)), tags=_TAGS, operation_id="refresh_source")
def refresh_source(name: str) -> Response:
    """Ask a source now and take over what it says. When it fails, the last good copy stays."""
    refresh(name)
    with read() as session:
        return jsonify(told(sources.get_source(session, name)))


def refresh(name: str) -> None:
    """Asks a source on behalf of the caller. Raises as ``sources.refresh``."""
    require_editor(actor())

    def transact(work: Callable[[Session], Any]) -> Any:
        with transaction() as session:
            return work(session)

    key_files = {key: str(path) for key, path in runtime().settings.key_files.items()}
    sources.refresh(transact, name, allowed=_allowed(), key_files=key_files, actor=actor(), now=now)


def told(source: InventorySource) -> dict[str, Any]:
    """Returns a source as the API gives it."""
    fetched = source.fetched_at
    return {
        "name": source.name,
        "argv": source.argv,
        "url": source.url,
        "timeout_seconds": source.timeout_seconds,
        "interval_seconds": source.interval_seconds,
        "tried_at": source.tried_at.isoformat() if source.tried_at else None,
        "fetched_at": fetched.isoformat() if fetched else None,
        "age_ms": round((now() - fetched).total_seconds() * 1000) if fetched else None,
        "error": source.error,
        "host_count": source.host_count,
    }


def _allowed() -> Allowed:
    settings = runtime().settings
    return Allowed(settings.source_programs, settings.source_urls)
