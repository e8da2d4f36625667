"""What a host has behind it that went through some of its steps and waits for the next one. Pure.

It is kept on the run's row when a step was passed, so that whichever worker starts the next step goes on from there.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from opsconsole.jobs.outcomes import Outcome, Result
from opsconsole.jobs.output import Digests, digest_of


@dataclass(frozen=True, slots=True)
class SoFar:
    """The output of the steps that were passed, and how long they took together."""

    stdout_bytes: int = 0
    stderr_bytes: int = 0
    lines: int = 0
    last_line: str | None = None
    gap_from: int | None = None
    gap_bytes: int = 0
    exact: str | None = None
    clean: str | None = None
    similar: str | None = None
    ms: int = 0

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> "SoFar":
        """Returns what ``after`` made; nothing lies behind a host that has no such record."""
        return cls(**stored) if stored else cls()

    @property
    def total(self) -> int:
        """How many bytes were written on both streams."""
        return self.stdout_bytes + self.stderr_bytes

    def with_digests(self, digests: Digests) -> Digests:
        """Returns the digests of all steps, given those of the present one."""
        if self.exact is None:
            return digests
        return Digests(
            digest_of(self.exact, digests.exact.encode()),
            _both(self.clean, digests.clean),
            _both(self.similar, digests.similar),
        )


NOTHING = SoFar()


def after(outcome: Outcome, result: Result) -> dict[str, Any]:
    """Returns, as JSON, what lies behind a host whose step was passed."""
    facts, said = result.facts, result.digests
    behind = SoFar(
        stdout_bytes=facts.stdout_bytes,
        stderr_bytes=facts.stderr_bytes,
        lines=facts.lines,
        last_line=facts.last_line,
        gap_from=facts.gap_from,
        gap_bytes=facts.gap_bytes,
        exact=said.exact,
        clean=said.clean,
        similar=said.similar,
        ms=outcome.duration_ms or 0,
    )
    return asdict(behind)


def _both(before: str | None, now: str | None) -> str | None:
    return None if before is None or now is None else digest_of(before, now.encode())
