"""A job's results as a file: rows in four forms, or an archive with what each host wrote; made while it is sent."""

import csv
import gzip
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import IO, Any

from sqlalchemy import select

from opsconsole.db.database import Database
from opsconsole.hostset import fold
from opsconsole.inventory.exports import escaped
from opsconsole.inventory.service import in_parts
from opsconsole.jobs import queries, results
from opsconsole.jobs.columning import told
from opsconsole.jobs.columns import NO_COLUMNS, Asked, Values
from opsconsole.jobs.models import HostRun
from opsconsole.web.archives import Names, Sent

_IN_MEMORY_BYTES = 1 << 20
_PIECE = 256 * 1024
# Logs shrink to a tenth at this level already, and a higher one would hold up the web process.
_LEVEL = 1
# What a row has of itself; columns from output stand beside these and may not have their names.
ROW_COLUMNS = (
    *("i", "host", "address", "port", "user", "state", "reason", "detail", "exit", "signal", "ms", "attempt"),
    *("worker", "wave", "bytes", "stderr_bytes", "lines", "last_line", "queued_at", "started_at", "finished_at"),
)


class ExportFormat(StrEnum):
    """What an export is written as."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    HOSTS = "hosts"
    ZIP = "zip"
    TAR_GZ = "tar.gz"


TYPES = {
    ExportFormat.JSON: "application/json",
    ExportFormat.NDJSON: "application/x-ndjson",
    ExportFormat.CSV: "text/csv",
    ExportFormat.HOSTS: "text/plain",
    ExportFormat.ZIP: "application/zip",
    ExportFormat.TAR_GZ: "application/gzip",
}
SUFFIXES = {wanted: "txt" if wanted is ExportFormat.HOSTS else wanted.value for wanted in ExportFormat}


@dataclass(frozen=True, slots=True)
class Export:
    """The results of a job on the hosts at ``places`` of its roster, in this order, as they stand while they are read.

    ``values`` are those of the columns that are ``asked`` for, by place. The database is asked in pieces, so that
    nothing is held while the reader is slow.
    """

    database: Database
    job_id: int
    status: dict[str, Any]
    places: list[int]
    at: datetime
    asked: Asked = NO_COLUMNS
    values: dict[int, Values] = field(default_factory=dict)

    def written(self, wanted: ExportFormat, *, folded: bool = False) -> Iterator[bytes]:
        """Yields the file in pieces. ``folded`` writes a list of hosts as one expression with ranges."""
        match wanted:
            case ExportFormat.JSON:
                return self._json()
            case ExportFormat.NDJSON:
                return (_line(row) for row in self._rows())
            case ExportFormat.CSV:
                return self._csv()
            case ExportFormat.HOSTS:
                return self._hosts(folded)
            case ExportFormat.ZIP:
                return self._zip()
            case ExportFormat.TAR_GZ:
                return self._tar()

    def _rows(self) -> Iterator[dict[str, Any]]:
        for places in in_parts(self.places):
            with self.database.read() as session:
                query = select(HostRun).where(HostRun.job_id == self.job_id, HostRun.i.in_(places))
                rows = {run.i: queries.run_row(run) for run in session.scalars(query)}
            for row in (rows[place] for place in places if place in rows):
                yield row | ({"values": told(self.asked, self.values[row["i"]])} if self.asked else {})

    def _json(self) -> Iterator[bytes]:
        yield b'{"job":' + json.dumps(self.status).encode() + b',"hosts":[\n'
        for number, row in enumerate(self._rows()):
            yield (b",\n" if number else b"") + json.dumps(row).encode()
        yield b"\n]}\n"

    def _csv(self) -> Iterator[bytes]:
        # With the mark of UTF-8 a spreadsheet reads the names as they are.
        yield "\ufeff".encode() + _cells((*ROW_COLUMNS, *self.asked.names))
        for row in self._rows():
            own = [row[name] for name in ROW_COLUMNS]
            yield _cells(_text(cell) for cell in [*own, *row.get("values", {}).values()])

    def _hosts(self, folded: bool) -> Iterator[bytes]:
        names = (row["host"] for row in self._rows())
        if folded:
            yield f"{fold(names)}\n".encode()
            return
        for name in names:
            yield f"{name}\n".encode()

    def _members(self) -> Iterator[tuple[str, IO[bytes]]]:
        """Yields the name and the content of each file of an archive; what a host wrote is not held in memory whole."""
        folder = f"job-{self.job_id}"
        yield f"{folder}/job.json", io.BytesIO(json.dumps(self.status, indent=1).encode())
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as summary:
            summary.writelines(self._csv())
            yield f"{folder}/summary.csv", summary
        names = Names()
        for row in self._rows():
            name = f"{folder}/{names.of(row['host'], row['i'])}"
            for stream, suffix, size in (
                ("stdout", "out", row["bytes"] - row["stderr_bytes"]),
                ("stderr", "err", row["stderr_bytes"]),
            ):
                if size:
                    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as said:
                        self._said(row["i"], stream, said)
                        yield f"{name}.{suffix}", said

    def _said(self, i: int, stream: str, into: IO[bytes]) -> None:
        with self.database.read() as session:
            query = select(HostRun).where(HostRun.job_id == self.job_id, HostRun.i == i)
            for run in session.scalars(query):
                into.writelines(results.raw(session, run, stream))

    def _zip(self) -> Iterator[bytes]:
        sent = Sent()
        with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as packed:
            for name, content in self._members():
                entry = zipfile.ZipInfo(name, self.at.timetuple()[:6])
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o600 << 16
                content.seek(0)
                with packed.open(entry, "w", force_zip64=True) as target:
                    while data := content.read(_PIECE):
                        target.write(data)
                        yield sent.take()
        yield sent.take()

    def _tar(self) -> Iterator[bytes]:
        sent = Sent()
        with (
            gzip.GzipFile(fileobj=sent, mode="wb", compresslevel=_LEVEL, mtime=self.at.timestamp()) as small,
            tarfile.open(fileobj=small, mode="w|") as packed,
        ):
            for name, content in self._members():
                entry = tarfile.TarInfo(name)
                entry.size = content.seek(0, io.SEEK_END)
                entry.mtime = self.at.timestamp()
                entry.mode = 0o600
                content.seek(0)
                packed.addfile(entry, content)
                yield sent.take()
        yield sent.take()


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _cells(cells: Iterable[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerow([escaped(cell) for cell in cells])
    return written.getvalue().encode(errors="replace")
