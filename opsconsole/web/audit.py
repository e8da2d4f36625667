"""The audit as the page and the API show it: filters, one record in the contract's words, and the export."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response

from opsconsole.audit import queries
from opsconsole.audit.models import AuditRecord
from opsconsole.audit.record import record
from opsconsole.errors import FieldError, Invalid
from opsconsole.inventory.exports import escaped
from opsconsole.jobs.queries import iso
from opsconsole.runtime import Runtime
from opsconsole.web.auth import actor
from opsconsole.web.moments import moment
from opsconsole.web.unit_of_work import now, runtime, transaction

FILTERS = ("actor", "action", "object", "address", "text", "since", "until")
FORMATS = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_BATCH = 1000
_COLUMNS = ("id", "at", "actor", "token_id", "address", "action", "object", "text")
# What a reader of the table looks for inside `detail`: the expression, what it became, and what was typed.
_DETAILS = ("targets", "exclude", "count", "digest", "confirm", "reason")


def wanted(given: Mapping[str, str | None]) -> dict[str, Any]:
    """Returns the filters that say something, as ``audit.queries.recent`` takes them; dates are in UTC.

    Raises ``Invalid`` for what is no date. ``until`` with a day alone takes that whole day in.
    """
    filters: dict[str, Any] = {name: text for name in FILTERS if (text := (given.get(name) or "").strip())}
    for name in ("since", "until"):
        if name in filters:
            filters[name] = moment(name, filters[name], end=name == "until")
    return filters


def told(entry: AuditRecord) -> dict[str, Any]:
    """Returns a record in the words of the API."""
    return {
        "id": entry.id,
        "at": iso(entry.at),
        "actor": entry.actor,
        "actor_id": entry.actor_id,
        "token_id": entry.token_id,
        "address": entry.address,
        "action": entry.action,
        "object": entry.object,
        "text": entry.text,
        "detail": entry.detail,
        "hash": entry.hash,
    }


def export(form: str, given: Mapping[str, str | None]) -> Response:
    """Returns what the filters leave, newest first, as a download; that it was taken is a record itself."""
    filters = wanted(given)
    if form not in FORMATS:
        raise Invalid("There is no such format.", errors=[FieldError("format", "Take csv or ndjson.")])
    plain = {name: text for name in FILTERS if (text := given.get(name))}
    with transaction() as session:
        record(session, actor(), "audit.exported", now=now(), detail={"format": form, "filters": plain})
    pieces = _csv if form == "csv" else _ndjson
    response = Response(pieces(_records(runtime(), filters)), mimetype=FORMATS[form])
    response.headers["Content-Disposition"] = f'attachment; filename="audit.{form}"'
    return response


def _records(parts: Runtime, filters: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yields the records in batches; no session is open while one is sent."""
    before = None
    while True:
        with parts.database.read() as session:
            batch = [told(entry) for entry in queries.recent(session, **filters, before=before, limit=_BATCH)]
        if not batch:
            return
        yield batch
        before = batch[-1]["id"]


def _ndjson(batches: Iterator[list[dict[str, Any]]]) -> Iterator[str]:
    for batch in batches:
        yield "".join(json.dumps(item) + "\n" for item in batch)


def _csv(batches: Iterator[list[dict[str, Any]]]) -> Iterator[str]:
    yield _lines([[*_COLUMNS, *_DETAILS, "detail", "hash"]])
    for batch in batches:
        yield _lines([_row(item) for item in batch])


def _row(item: Mapping[str, Any]) -> list[str]:
    cells = [item[name] for name in _COLUMNS] + [item["detail"].get(name) for name in _DETAILS]
    return [escaped(_cell(cell)) for cell in (*cells, json.dumps(item["detail"]), item["hash"])]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _lines(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
