"""One simulated host: what becomes of it, how fast it is, and what it would tell. Pure, by seed and name."""

import random
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

from opsconsole.jobs.ports import Unreached
from opsconsole.jobs.simulation import Simulation
from opsconsole.jobs.states import Reason

T = TypeVar("T")

_OS_SHARES = (("debian", 60), ("ubuntu", 30), ("rocky", 10))
_PATCH_SHARES = ((0, 80), (1, 15), (2, 5))
_LATE = Unreached(Reason.CONNECT_TIMEOUT, "Simulated: no answer within the time to connect.", retryable=True)
_CLOSED = Unreached(Reason.REFUSED, "Simulated: the host refused the connection.", retryable=True)
_UNREACHED = (
    (_LATE, 45),
    (_CLOSED, 25),
    (Unreached(Reason.AUTH, "Simulated: the host refused the login."), 20),
    (Unreached(Reason.DNS, "Simulated: no address is known for this name.", retryable=True), 10),
)
_HOST_KEYS = (
    (Unreached(Reason.HOST_KEY_UNKNOWN, "Simulated: a host key that nobody has trusted yet."), 60),
    (Unreached(Reason.HOST_KEY_CHANGED, "Simulated: another host key than the trusted one."), 40),
)


class Fate(StrEnum):
    """What becomes of a run on a simulated host."""

    OK = "ok"
    FAILS = "failures"
    UNREACHABLE = "unreachable"
    HOST_KEY = "host_keys"
    HANGS = "hangs"
    LOST = "lost"


@dataclass(frozen=True)
class FakeHost:
    """A host by its ``name``; all that is asked of it is drawn from ``simulation.seed`` and that name."""

    name: str
    simulation: Simulation

    @cached_property
    def fate(self) -> Fate:
        """What becomes of a run on it."""
        drawn = self._random("fate").random() * 100
        for fate in (Fate.UNREACHABLE, Fate.HOST_KEY, Fate.HANGS, Fate.LOST, Fate.FAILS):
            drawn -= getattr(self.simulation, fate.value)
            if drawn < 0:
                return fate
        return Fate.OK

    @property
    def refusal(self) -> Unreached | None:
        """Why nobody gets in, ``None`` when one does."""
        if self.fate is Fate.UNREACHABLE:
            return _picked(self._random("refusal"), _UNREACHED)
        return _picked(self._random("refusal"), _HOST_KEYS) if self.fate is Fate.HOST_KEY else None

    @property
    def silent(self) -> bool:
        """Whether it does not even answer, so that only the time to connect ends the wait."""
        return self.refusal is _LATE

    @property
    def connect_seconds(self) -> float:
        """How long a connection takes to be made."""
        return self._lognormal("connect", self.simulation.connect_seconds)

    @cached_property
    def run_seconds(self) -> float:
        """How long a command takes that says nothing else of its time."""
        return self._lognormal("run", self.simulation.median_seconds)

    @property
    def stubborn(self) -> bool:
        """Whether what runs there ignores all orders but KILL."""
        return self._random("stubborn").random() * 100 < self.simulation.stubborn

    @cached_property
    def os(self) -> str:
        """``debian``, ``ubuntu`` or ``rocky``."""
        return _picked(self._random("os"), _OS_SHARES)

    @cached_property
    def patch(self) -> int:
        """Which set of packages it has: most have 0, some 1, few 2."""
        return _picked(self._random("patch"), _PATCH_SHARES)

    def number(self, what: str, low: int, high: int) -> int:
        """Returns the host's own number for ``what``, from ``low`` to ``high``."""
        return self._random(what).randint(low, high)

    def _lognormal(self, what: str, median: float) -> float:
        return median * self._random(what).lognormvariate(0.0, self.simulation.spread)

    def _random(self, what: str) -> random.Random:
        # Not for secrets: the same must come out each time.
        return random.Random(f"{self.simulation.seed}\0{self.name}\0{what}")  # noqa: S311


def _picked(drawn: random.Random, shares: tuple[tuple[T, int], ...]) -> T:
    (picked,) = drawn.choices([item for item, _ in shares], [share for _, share in shares])
    return picked
