"""What the API gives about the past of a job: its reruns, the attempts at a host, and what happened to it."""

from datetime import datetime
from typing import Any

from pydantic import Field

from opsconsole.jobs.packing import Rows
from opsconsole.web.api.replies import Answer, Counts


class RelatedJob(Answer):
    """A job of a lineage."""

    id: int
    rerun_of: int | None
    title: str
    state: str
    created_at: datetime
    by: str
    counts: Counts


class Lineage(Answer):
    """A job, those it is a rerun of, and their reruns, oldest first."""

    jobs: list[RelatedJob]


class TimelineEvent(Answer):
    """Something that happened to a job; `by` names the person, if it was one."""

    at: datetime
    kind: str
    by: str | None
    text: str
    detail: dict[str, Any]


class Timeline(Answer):
    """What happened to a job, oldest first; of very many events the newest, and how many are `left_out`."""

    events: list[TimelineEvent]
    left_out: int


class TimeMark(Answer):
    """What divides the chart, `at` milliseconds after the job began: `canary` (it passed), `paused`, `stopped` ..."""

    at: int
    kind: str


class Bars(Answer):
    """A part of the chart of when hosts ran. Times are milliseconds since `began_at`; `until` is now, or the end.

    Each of `bars` is a row from `first` on: a list of `[i, letter, from, to, attempt]`; `to` is `null` at what goes on.
    `finishes` counts the hosts that ended, by letter, in equal stretches between `from` and `to`.
    """

    ver: int
    rows: Rows
    began_at: datetime
    until: int
    ended: bool
    from_: int = Field(alias="from")
    to: int
    total: int
    first: int
    bars: list[list[tuple[int, str, int, int | None, int]]]
    finishes: list[dict[str, int]]
    marks: list[TimeMark]


class Attempt(Answer):
    """One attempt at a host."""

    job: int
    attempt: int
    state: str
    reason: str | None
    detail: str | None
    exit: int | None
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None


class Attempts(Answer):
    """All attempts at a host, oldest first."""

    host: str
    attempts: list[Attempt]
