"""What the API gives about the steps of an order: where hosts are among them, and how each went."""

from datetime import datetime

from opsconsole.web.api.answers import Answer, Counts


class StepCounts(Answer):
    """How many hosts are at one step, or ended there, by state."""

    step: str
    counts: Counts


class Steps(Answer):
    """Where the hosts of a job are among the steps of its order; they may start the step ``now``, where they wait for
    each other."""

    barrier: str
    now: str | None
    list: list[StepCounts]


class HostStep(Answer):
    """One step on one host: `running`, `passed`, `nothing_to_do`, `failed`, `timed_out`, `cancelled` or `lost`."""

    step: str
    state: str
    exit: int | None
    started_at: datetime
    ended_at: datetime | None
    ms: int | None
    bytes: int
    lines: int | None


class HostSteps(Answer):
    """The steps that began on a host, in their order."""

    steps: list[HostStep]
