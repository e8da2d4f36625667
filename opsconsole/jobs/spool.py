"""Results that the database does not take for now, kept on this machine's disk until it does.

One file a run and fence, written whole, synced and renamed into place. What cannot be read, or belongs to another
database, is set aside for a person and never stops anything.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from pydantic import Base64Bytes, BaseModel, ConfigDict, ValidationError

from opsconsole.errors import Unavailable
from opsconsole.jobs.outcomes import Outcome, OutputFacts, Result
from opsconsole.jobs.output import Chunk, Digests, Flush
from opsconsole.jobs.steps import StepFacts
from opsconsole.sentences import Sentence

_log = structlog.get_logger(__name__)
_MAGIC = b"opsconsole result 1"
_NAME = re.compile(r"\d+-\d+\.result")
_ASIDE = "aside"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    generation: str
    job_id: int
    run_id: int
    i: int
    fence: int
    ended_at: datetime
    outcome: Outcome
    facts: OutputFacts
    digest: str
    # Not there in a result that an earlier version kept.
    digest_clean: str | None = None
    digest_similar: str | None = None
    chunks: list[tuple[int, int, int, Base64Bytes]]
    gap_from: int | None
    gap_to: int
    steps: tuple[StepFacts, ...] = ()


class Spool:
    """The results in ``folder``. ``offload`` runs a callable where a slow disk stops nobody else."""

    def __init__(self, folder: Path, *, offload: Callable[[Callable[[], Any]], Any]) -> None:
        self._folder = folder
        self._offload = offload

    def keep(self, result: Result) -> bool:
        """Writes ``result`` so that it outlives this process and returns whether its output is complete.

        On a disk too full for the output the result is kept without it, marked as truncated. Raises ``Unavailable``
        when not even that can be written.
        """
        try:
            self._offload(lambda: self._write(result))
            return True
        except OSError as error:
            try:
                self._offload(lambda: self._write(result.without_output()))
            except OSError:
                text = Sentence(
                    "A result cannot be kept in {folder}: {reason}.",
                    folder=self._folder,
                    reason=error.strerror or error,
                )
                raise Unavailable(text, code="disk") from error
            return False

    def remove(self, result: Result) -> None:
        """Forgets a result that the database has taken, if it was kept."""
        try:
            self._offload(self._path(result).unlink)
        except FileNotFoundError:
            return
        except OSError as error:
            # It will be offered once more and refused by the fence.
            _log.warning("a stored result cannot be removed from the spool", key=result.key, reason=error.strerror)

    def waiting(self) -> list[str]:
        """Returns the keys of the results that wait, the oldest first."""
        return [path.stem for path in self._files()]

    def load(self, key: str) -> Result | None:
        """Returns the result that waits under ``key``; ``None`` when it is gone or of no use, and was set aside."""
        path = self._folder / f"{key}.result"
        try:
            document = _parse(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.error("a result in the spool cannot be read", file=str(path), reason=error.strerror)
            return None
        except ValueError:
            self.set_aside(key, "it is torn or was not written by this version")
            return None
        result = _result(document)
        if result.key != key:
            self.set_aside(key, "it holds the result of another run")
            return None
        return result

    def set_aside(self, key: str, why: str) -> None:
        """Moves a result that nobody can use to the folder ``aside``, for a person to look at."""
        path, aside = self._folder / f"{key}.result", self._folder / _ASIDE
        try:
            aside.mkdir(mode=0o700, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=aside, prefix=f"{key}.", suffix=".result")
            os.close(handle)
            path.replace(name)
        except OSError as error:
            _log.error("a result in the spool cannot be set aside", file=str(path), reason=error.strerror)
            return
        _log.error("a result in the spool was set aside", why=why, file=name)

    def _files(self) -> Iterator[Path]:
        try:
            found = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
            yield from sorted(found, key=lambda path: path.stat().st_mtime)
        except OSError:
            # No folder means no results, and one that vanished meanwhile was stored by somebody else.
            return

    def _path(self, result: Result) -> Path:
        return self._folder / f"{result.key}.result"

    def _write(self, result: Result) -> None:
        body = _document(result).model_dump_json().encode()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes files that only this user may read.
        descriptor, draft = tempfile.mkstemp(dir=self._folder, prefix=".draft.")
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(b"%s %s\n%s" % (_MAGIC, hashlib.sha256(body).hexdigest().encode(), body))
                handle.flush()
                os.fsync(handle.fileno())
            Path(draft).replace(self._path(result))
        except OSError:
            Path(draft).unlink(missing_ok=True)
            raise
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _parse(content: bytes) -> _Document:
    """Returns what a file says. Raises ``ValueError`` when it is not whole."""
    head, _, body = content.partition(b"\n")
    if head != b"%s %s" % (_MAGIC, hashlib.sha256(body).hexdigest().encode()):
        raise ValueError("checksum")
    try:
        return _Document.model_validate_json(body)
    except ValidationError as error:
        raise ValueError("content") from error


def _document(result: Result) -> _Document:
    # Validation would take the bytes for base64 that is to be decoded: they are the decoded side already.
    return _Document.model_construct(
        generation=result.generation,
        job_id=result.job_id,
        run_id=result.run_id,
        i=result.i,
        fence=result.fence,
        ended_at=result.ended_at,
        outcome=result.outcome,
        facts=result.facts,
        digest=result.digests.exact,
        digest_clean=result.digests.clean,
        digest_similar=result.digests.similar,
        chunks=[(chunk.offset, chunk.fd, chunk.at_ms, chunk.data) for chunk in result.flush.chunks],
        gap_from=result.flush.gap_from,
        gap_to=result.flush.gap_to,
        steps=result.steps,
    )


def _result(document: _Document) -> Result:
    chunks = tuple(Chunk(offset, fd, at_ms, data) for offset, fd, at_ms, data in document.chunks)
    return Result(
        document.generation,
        document.job_id,
        document.run_id,
        document.i,
        document.fence,
        document.ended_at,
        document.outcome,
        document.facts,
        Digests(document.digest, document.digest_clean, document.digest_similar),
        Flush(chunks, document.gap_from, document.gap_to),
        document.steps,
    )
