"""One reader a process for all watched jobs: it looks once a tick, encodes once, and every viewer gets the same bytes.

A delta is the latest state of what changed since a version, so a viewer that fell behind needs no queue: it is given
one merged delta, and one that is ahead of a delta's start loses nothing by seeing a change twice.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from opsconsole.errors import OpsconsoleError
from opsconsole.jobs import grouping, queries, results
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.states import JobState, RunState
from opsconsole.runtime import Runtime

# How often the versions of all watched jobs are looked up: one query by primary key.
POLL_SECONDS = 0.05
_GROUPS_SECONDS = 1.0
_GROUPS_SHOWN = 20
# Of a group, what says whether it is worth a look; the rest is asked for. However long their names are, the groups get
# so much of a viewer's line and no more.
_GROUP_FIELDS = ("g", "count", "state", "exit", "folded", "head")
_GROUPS_BYTES_PER_SECOND = 200
# What a status tells and a delta need not: it follows from the counts, or is asked for by who shows it.
_NOT_IN_DELTAS = frozenset({"done", "groups", "slowest"})
_ONLY_WHEN_CHANGED = ("started_at", "waves", "steps")
OUTPUT_SECONDS = 0.1
_OUTPUT_BYTES = 16 * 1024
_OUTPUT_BEHIND = 64 * 1024
_CACHED_FRAMES = 8
_CROWD = 50


def tick_seconds(hosts: int, viewers: int) -> float:
    """Returns the shortest time between two deltas of a job with so many hosts, with so many viewers in the process."""
    if hosts > 5000 or viewers > _CROWD:
        return 1.0
    return 0.25 if hosts <= 500 else 0.5


def encode(event: str, body: object) -> bytes:
    """Returns one event of a stream without its id."""
    return b"event: " + event.encode() + b"\ndata: " + _json(body) + b"\n\n"


def _json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")


@dataclass(frozen=True, slots=True)
class Frame:
    """What changed after version ``since`` up to ``ver``, or everything when ``since`` is ``None``; encoded."""

    since: int | None
    ver: int
    body: bytes

    @property
    def event(self) -> bytes:
        """The frame as an event of a stream, without its id."""
        name = b"snapshot" if self.since is None else b"delta"
        return b"event: " + name + b"\ndata: " + self.body + b"\n\n"


@dataclass(slots=True)
class Notices:
    """The latest event of each further kind, as ``(number, bytes)``; a viewer sends those whose number it has not."""

    job: tuple[int, bytes] = (0, b"")
    groups: tuple[int, bytes] = (0, b"")
    done: bytes | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of one host's output: events as ``(bytes, offset after them)``; ``ended`` when no more will come."""

    events: list[tuple[bytes, int]]
    ended: bool
    read_at: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class _Groups:
    at: float = 0.0
    cost: float = 0.0
    ver: int = -1
    told: bytes = b""
    shorts: grouping.Shorts = field(default_factory=dict)


@dataclass(slots=True)
class JobHub:
    """What is known of one watched job. ``hosts`` and ``epoch`` never change."""

    parts: Runtime
    job_id: int
    hosts: int
    ver: int
    state: str
    standing: tuple[object, ...]
    viewers: int = 0
    due: float = 0.0
    broken: bool = False
    notices: Notices = field(default_factory=Notices)
    changed: threading.Condition = field(default_factory=threading.Condition)
    _latest: Frame | None = None
    _told: dict[str, object] = field(default_factory=dict)
    _frames: list[Frame] = field(default_factory=list)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _groups: _Groups = field(default_factory=_Groups)
    _outputs: dict[tuple[int, int], Written] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """True when nothing more will change."""
        return JobState(self.state).terminal

    def wait(self, until: Callable[[], bool], timeout: float) -> bool:
        """Sleeps until ``until`` holds, at most ``timeout`` seconds; returns whether it does."""
        with self.changed:
            return self.changed.wait_for(until, timeout)

    def since(self, ver: int | None) -> Frame:
        """Returns what a viewer at version ``ver`` lacks, or everything for ``None``. Reads at most once a tick."""
        latest = self._latest
        # It leaves out what stayed as it was at its start, so it is for those alone who stand there.
        if ver is not None and latest is not None and latest.since == ver < latest.ver:
            return latest
        with self._reading:
            cached = self._cached(ver)
            if cached is not None:
                return cached
            with self.parts.database.read() as session:
                job = session.get_one(Job, self.job_id)
                frame = _read_frame(session, job, ver, self.parts)
            self._frames = [*self._frames[-_CACHED_FRAMES + 1 :], frame]
            return frame

    def refresh(self) -> None:
        """Reads what changed since the last time and wakes every viewer. Called by the one reader."""
        with self.parts.database.read() as session:
            job = session.get_one(Job, self.job_id)
            frame = self._read_news(session, job)
            state, standing = job.state, _standing(job)
            notice = None
            if standing != self.standing:
                notice = encode("job", _lifecycle(session, job, self.parts))
            done = encode("done", _verdict(session, job)) if JobState(state).terminal else None
            groups = self._read_groups(session, job, final=done is not None)
        with self.changed:
            self._latest = frame
            self.ver, self.state, self.standing = frame.ver, state, standing
            if notice is not None:
                self.notices.job = (self.notices.job[0] + 1, notice)
            if groups is not None:
                self.notices.groups = (self.notices.groups[0] + 1, groups)
            self.notices.done = done
            self.changed.notify_all()

    def _read_news(self, session: Session, job: Job) -> Frame:
        body = queries.delta(session, job, self.ver, now=self.parts.clock.now())
        if body is None:
            self._told = {}
            return _read_frame(session, job, None, self.parts)
        before, self._told = self._told, {name: body[name] for name in _ONLY_WHEN_CHANGED}
        known = {name for name, value in before.items() if value == body[name]} | _NOT_IN_DELTAS
        return Frame(self.ver, body["ver"], _json({name: value for name, value in body.items() if name not in known}))

    def outputs(self, run_id: int, offset: int) -> Written:
        """Returns what a host wrote after ``offset``; viewers that follow the same host share the reading."""
        with self._reading:
            known = self._outputs.get((run_id, offset))
            if known is not None and time.monotonic() - known.read_at < OUTPUT_SECONDS:
                return known
            with self.parts.database.read() as session:
                run = session.get_one(HostRun, run_id)
                events, following = results.output_since(session, run, offset, _OUTPUT_BYTES)
                sent = _sent(run.i, events, following, run.stdout_bytes + run.stderr_bytes)
                # Looked at before the output: an end seen here means that all output was there to be read.
                written = Written(sent, RunState(run.state).terminal and not sent)
            fresh = time.monotonic() - OUTPUT_SECONDS
            self._outputs = {key: entry for key, entry in self._outputs.items() if entry.read_at >= fresh}
            self._outputs[run_id, offset] = written
            return written

    def _cached(self, ver: int | None) -> Frame | None:
        for frame in reversed(self._frames):
            fresh = frame.ver >= self.ver
            if fresh and (frame.since == ver or (ver is not None and frame.since is not None and frame.since <= ver)):
                return frame
        return None

    def _read_groups(self, session: Session, job: Job, *, final: bool) -> bytes | None:
        known = self._groups
        started = time.monotonic()
        # At most once a second, and never more than a tenth of the time.
        pause = max(_GROUPS_SECONDS, 10 * known.cost, len(known.told) / _GROUPS_BYTES_PER_SECOND)
        if not final and started - known.at < pause:
            return None
        body = grouping.groups(session, job, limit=_GROUPS_SHOWN, shorts=known.shorts)
        shown = [{name: group[name] for name in _GROUP_FIELDS} for group in body["groups"]]
        known.at, known.cost = time.monotonic(), time.monotonic() - started
        told = _json([body["n"], shown])
        if told == known.told:
            return None
        known.told = told
        top = {"ver": body["ver"], "mode": body["mode"], "n": body["n"], "top": shown}
        return encode("groups", top)


class Hubs:
    """The hubs of one process and the thread that feeds them; the thread lives while anything is watched."""

    def __init__(
        self, parts: Runtime, on_failure: Callable[[BaseException], None], each_round: Callable[[], None]
    ) -> None:
        self._parts = parts
        self._on_failure = on_failure
        self._each_round = each_round
        self._lock = threading.Lock()
        self._hubs: dict[int, JobHub] = {}
        self._reader: threading.Thread | None = None
        self._stopped = threading.Event()

    @contextmanager
    def watching(self, job_id: int) -> Iterator[JobHub]:
        """Yields the hub of a job that exists; it is fed until the last watcher leaves."""
        hub = self.join(job_id)
        try:
            yield hub
        finally:
            self.leave(hub)

    def join(self, job_id: int) -> JobHub:
        """Returns the hub of a job that exists. Every call needs its ``leave``."""
        with self._lock:
            hub = self._hubs.get(job_id)
            if hub is not None:
                hub.viewers += 1
                return hub
        fresh = self._make(job_id)
        with self._lock:
            hub = self._hubs.setdefault(job_id, fresh)
            hub.viewers += 1
            if self._reader is None:
                self._reader = threading.Thread(target=self._read, name="job-hub", daemon=True)
                self._reader.start()
            return hub

    def leave(self, hub: JobHub) -> None:
        """Takes back a ``join``."""
        with self._lock:
            hub.viewers -= 1
            if hub.viewers <= 0 and self._hubs.get(hub.job_id) is hub:
                del self._hubs[hub.job_id]

    @property
    def viewers(self) -> int:
        """How many watch anything in this process."""
        with self._lock:
            return sum(hub.viewers for hub in self._hubs.values())

    def stop(self) -> None:
        """Ends the reader and wakes all watchers, for a process that is about to end."""
        self._stopped.set()
        for hub in self._snapshot():
            with hub.changed:
                hub.changed.notify_all()

    def _make(self, job_id: int) -> JobHub:
        with self._parts.database.read() as session:
            job = session.get_one(Job, job_id)
            hub = JobHub(self._parts, job_id, job.target_count, job.ver, job.state, _standing(job))
            if hub.finished:
                hub.notices.done = encode("done", _verdict(session, job))
                groups = hub._read_groups(session, job, final=True)
                if groups is not None:
                    hub.notices.groups = (1, groups)
            return hub

    def _snapshot(self) -> list[JobHub]:
        with self._lock:
            return list(self._hubs.values())

    def _read(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            with self._lock:
                if not self._hubs:
                    self._reader = None
                    return
            self._each_round()
            watched = [hub for hub in self._snapshot() if not hub.finished and hub.due <= time.monotonic()]
            if watched:
                self._look(watched)

    def _look(self, watched: list[JobHub]) -> None:
        try:
            with self._parts.database.read() as session:
                versions = queries.versions(session, [hub.job_id for hub in watched])
        except OpsconsoleError as error:
            self._on_failure(error)
            self._stopped.wait(1.0)
            return
        for hub in watched:
            ver, _ = versions.get(hub.job_id, (hub.ver, hub.state))
            if ver == hub.ver:
                continue
            try:
                hub.refresh()
            except Exception as error:  # noqa: BLE001  one job that cannot be read must not blind the others' viewers
                self._on_failure(error)
            # Counted from the end of the reading, so that a slow database is not asked without a pause.
            hub.due = time.monotonic() + tick_seconds(hub.hosts, self.viewers)


def _read_frame(session: Session, job: Job, since: int | None, parts: Runtime) -> Frame:
    now = parts.clock.now()
    body = queries.delta(session, job, since, now=now) if since is not None else None
    if body is not None:
        return Frame(since, body["ver"], _json(body))
    body = queries.snapshot(session, job, now=now)
    return Frame(None, body["ver"], _json(body))


def _sent(i: int, events: list[dict[str, Any]], following: int, total: int) -> list[tuple[bytes, int]]:
    sent = [(encode("out", event), event["off"] + (event["gap"] if "gap" in event else event["n"])) for event in events]
    if total - following > _OUTPUT_BEHIND:
        # More than a viewer can follow: it is told how much, and fetches the part it wants to see.
        sent.append((encode("out", {"i": i, "off": following, "gap": total - following}), total))
    return sent


def _standing(job: Job) -> tuple[object, ...]:
    """Returns what makes an event ``job`` when it changes; of the pause between waves only that there is one."""
    return job.state, job.stop_reason, job.pause_reason, job.wave, job.step, job.hold_ms is not None


def _lifecycle(session: Session, job: Job, parts: Runtime) -> dict[str, Any]:
    now = parts.clock.now()
    standing = queries.progress_of(session, job, now=now)
    by = job.stopped_by
    stop_detail = queries.stop_detail(session, job)
    stops = {
        "operator": f"Cancelled by {by}." if by else "Cancelled.",
        "threshold": "Stopped: too many hosts failed.",
        "canary": f"Stopped: {stop_detail or 'the canary failed.'}",
        "deadline": "Stopped: the time of the job is over.",
    }
    return {
        "ver": job.ver,
        "state": job.state,
        "stop_reason": job.stop_reason,
        "stop_detail": stop_detail,
        "by": by or job.paused_by,
        "stopped_by": by,
        "started_at": queries.iso(job.started_at),
        "at": queries.iso(now),
        "msg": stops.get(job.stop_reason or "", "") or (standing["waiting"] or {}).get("text", ""),
        **standing,
    }


def _verdict(session: Session, job: Job) -> dict[str, Any]:
    return {
        "ver": job.ver,
        "state": job.state,
        "counts": job.counts,
        "stopped_by": job.stopped_by,
        "worker_shutdown": queries.ended_by_shutdown(session, job),
        "started_at": queries.iso(job.started_at),
        "finished_at": queries.iso(job.finished_at),
    }
