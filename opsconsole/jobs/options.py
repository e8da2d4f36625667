"""What a person may choose for a job, frozen at launch. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import floor
from typing import Any, Self

from opsconsole.errors import FieldError, Invalid, all_of
from opsconsole.inventory.executor import Executor
from opsconsole.jobs.canary import CanaryMatch
from opsconsole.jobs.simulation import Simulation
from opsconsole.jobs.waves import Canary, Sequencing, Waves, parse_limit_per
from opsconsole.sentences import Sentence


@dataclass(frozen=True, slots=True)
class MaxFailures:
    """How many hosts may fail before no further host starts: ``count``, or ``percent`` of all targets."""

    count: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> "MaxFailures":
        """Returns the meaning of ``"3"`` or ``"5%"``. Raises ``Invalid`` for anything else."""
        cleaned = text.strip()
        try:
            if cleaned.endswith("%"):
                percent = float(cleaned[:-1])
                if 0 <= percent <= 100:
                    return cls(percent=percent)
            elif cleaned.isascii() and cleaned.isdigit():
                return cls(count=int(cleaned))
        except ValueError:
            pass
        message = Sentence(
            "Write a number of hosts such as 3, or a share such as 5%: max_failures is {text!r}.", text=text[:20]
        )
        fault = FieldError("max_failures", message)
        raise Invalid(fault.message, errors=[fault])

    def allowed(self, total: int) -> int:
        """Returns how many of ``total`` hosts may fail; one more stops the job. A share is rounded down."""
        if self.count is not None:
            return min(self.count, total)
        return floor((self.percent or 0.0) * total / 100)

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self.percent:g}%"


class AtStop(StrEnum):
    """What becomes of the hosts in flight when a job stops by its threshold, its canary or its deadline."""

    FINISH = "finish"
    KILL = "kill"


class Gate(StrEnum):
    """What happens between two waves."""

    AUTO = "auto"
    ON_FAILURE = "on_failure"
    MANUAL = "manual"


# Between how many seconds each of the times may lie.
SECONDS: dict[str, tuple[float, float]] = {
    "connect_timeout": (0.1, 300),
    "command_timeout": (0, 7 * 86400),
    "idle_timeout": (0, 7 * 86400),
    "job_timeout": (0, 30 * 86400),
    "kill_grace": (0, 300),
    "wave_pause": (0, 86400),
    "wave_jitter": (0, 86400),
    "retry_pause": (0, 3600),
}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a job is carried out. Times are seconds; ``command_timeout``, ``idle_timeout`` and ``job_timeout`` of 0
    mean none. ``docs/run-control.md`` gives the exact meaning of each.

    ``waves`` is an expression such as ``1 5 10% *2 +5``, ``canary`` one such as ``3``, ``random 3`` or ``each dc``,
    ``order`` is ``given``, ``random`` or ``spread <tag>``, ``limit_per`` is ``<tag>=<hosts>``, ``group=<hosts>``
    or ``jump=<hosts>``. ``executor`` is for all hosts; without it each has its own. ``simulation`` is as in
    ``simulation.Simulation.parse``. ``jump`` is the way to all hosts, ``user@bastion:22,inner`` or ``none``; without it
    each has its own.
    """

    concurrency: int
    connect_timeout: float
    command_timeout: float
    idle_timeout: float = 0.0
    job_timeout: float = 0.0
    kill_grace: float = 5.0
    max_failures: str | None = None
    count_unreachable: bool = True
    at_stop: str = AtStop.FINISH
    waves: str | None = None
    wave_pause: float = 0.0
    wave_jitter: float = 0.0
    wave_gate: str = Gate.AUTO
    canary: str | None = None
    canary_match: str | None = None
    canary_gate: str = Gate.AUTO
    order: str = "given"
    limit_per: str | None = None
    jump: str | None = None
    retries: int = 0
    retry_pause: float = 5.0
    durable: bool = False
    executor: str | None = None
    simulation: str | None = None

    def checked(self, *, max_concurrency: int) -> Self:
        """Returns itself. Raises ``Invalid`` naming every value that is out of its bounds."""
        bounds = {
            "concurrency": (self.concurrency, 1, max_concurrency),
            "retries": (self.retries, 0, 10),
            **{name: (getattr(self, name), low, high) for name, (low, high) in SECONDS.items()},
        }
        faults = [
            FieldError(
                name,
                Sentence("Must lie between {low:g} and {high:g}, is {value:g}.", low=low, high=high, value=value),
                code="out_of_bounds",
            )
            for name, (value, low, high) in bounds.items()
            if not low <= value <= high
        ]
        if faults:
            raise Invalid(all_of(faults), errors=faults)
        self._check_words()
        return self

    def _check_words(self) -> None:
        """Raises ``Invalid`` for the first of the expressions that has no meaning."""
        if self.max_failures is not None:
            MaxFailures.parse(self.max_failures)
        for name, value, known in (
            ("at_stop", self.at_stop, AtStop),
            ("wave_gate", self.wave_gate, Gate),
            ("canary_gate", self.canary_gate, Gate),
        ):
            if value not in set(known):
                message = Sentence("{value!r} is none of {known}.", value=value[:20], known=", ".join(known))
                raise Invalid(message, errors=[FieldError(name, message)])
        if self.waves is not None:
            Waves.parse(self.waves)
        if self.canary is not None:
            Canary.parse(self.canary)
        self._check_stages()
        if self.limit_per is not None:
            parse_limit_per(self.limit_per)
        Sequencing.parse(self.order)
        if self.canary_match is not None:
            CanaryMatch(self.canary_match)
        if self.executor is not None and self.executor not in set(Executor):
            message = Sentence(
                "{executor!r} is none of {known}.", executor=self.executor[:20], known=", ".join(Executor)
            )
            raise Invalid(message, errors=[FieldError("executor", message)])
        Simulation.parse(self.simulation)

    def _check_stages(self) -> None:
        """Raises ``Invalid`` naming what is said of waves, or of a canary, that there are not."""
        faults = []
        if self.waves is None and self.canary is None:
            message = "There are no waves between which this could happen: give waves or a canary, too."
            said = {
                "wave_gate": self.wave_gate != Gate.AUTO,
                "wave_pause": self.wave_pause,
                "wave_jitter": self.wave_jitter,
            }
            faults += [FieldError(name, message, code="no_waves") for name, differs in said.items() if differs]
        if self.canary is None and self.canary_gate != Gate.AUTO:
            faults.append(
                FieldError("canary_gate", "There is no canary to wait after: give a canary, too.", code="no_canary")
            )
        if self.canary is None and self.canary_match is not None:
            faults.append(FieldError("canary_match", "There is no canary whose output could be searched."))
        if faults:
            raise Invalid(all_of(faults), errors=faults)

    @property
    def drawn(self) -> bool:
        """Whether chance has a say in which hosts go first, so that every placement is another one."""
        canary = Canary.parse(self.canary) if self.canary is not None else None
        return Sequencing.parse(self.order).random or (canary is not None and canary.random)

    def allowed_failures(self, total: int) -> int | None:
        """Returns how many of ``total`` hosts may fail before the job stops, ``None`` without a threshold."""
        return MaxFailures.parse(self.max_failures).allowed(total) if self.max_failures is not None else None

    def worst_case(self, total: int) -> int | None:
        """Returns how many hosts could fail at most before the job stops: the allowance and all those in flight."""
        allowed = self.allowed_failures(total)
        return None if allowed is None else min(total, allowed + self.concurrency)

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object that ``from_json`` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "RunOptions":
        """Returns the options stored by ``to_json``; fields added since keep their defaults."""
        return cls(**{name: stored[name] for name in cls.__slots__ if name in stored})
