"""One host's result within a job: the full-width page and the pane of the job page."""

from typing import Any

from flask import render_template, request
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Permission
from opsconsole.inventory import hostkeys
from opsconsole.inventory.host_key_policy import HostKeyPolicy
from opsconsole.jobs import grouping, queries, results
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.similarity import Mode
from opsconsole.jobs.states import Reason, RunState
from opsconsole.jobs.transcript import Encoding
from opsconsole.jobs.variables import render
from opsconsole.jobs.what import What
from opsconsole.web import words
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import read, runtime

_LINES = 500
_KEY_REASONS = {Reason.HOST_KEY_UNKNOWN.value, Reason.HOST_KEY_CHANGED.value}


@pages.get("/jobs/<int:job_id>/h/<host>")
@requires(Permission.VIEW)
def host_run(job_id: int, host: str) -> str:
    """Shows everything about one host of a job."""
    with read() as database:
        found = queries.get_job(database, job_id, actor())
        run = queries.get_run(database, found, host)
        pane = pane_context(database, found, run, lines=True)
        return render_template("jobs/host_run.html", pane=pane, command=_command_on(found, run), title=found.title)


@pages.get("/jobs/<int:job_id>/pane/<int:i>")
@requires(Permission.VIEW)
def pane(job_id: int, i: int) -> str:
    """Returns the pane alone, for the script of the job page."""
    with read() as database:
        found = queries.get_job(database, job_id, actor())
        context = pane_context(database, found, queries.get_run(database, found, i), lines=False)
    return render_template("jobs/_pane.html", pane=context, bare=True)


def pane_context(database: Session, job: Job, run: HostRun, *, lines: bool = True) -> dict[str, Any]:
    """Returns what the pane shows of ``run``; with ``lines`` a page of its output for readers without script."""
    row = queries.run_row(run)
    state = RunState(run.state)
    first = max(request.args.get("line", 1, type=int), 1)
    steps = queries.host_steps(database, run)
    step = next((one for one in steps if lines and one["step"] == request.args.get("step")), None)
    chosen = step["step"] if step else None
    asked = request.args.get("encoding")
    encoding = Encoding(asked) if asked in set(Encoding) else Encoding.UTF8
    output = None
    if lines:
        output = results.output(database, run, from_line=first, limit=_LINES, step=chosen, encoding=encoding)
    asks = run.reason in _KEY_REASONS
    offered = _offered(database, job, run) if asks or run.reason == Reason.JUMP else []
    return {
        "job_id": job.id,
        "job_active": job.finished_at is None,
        "row": row,
        "letter": state.letter,
        "active": not state.terminal,
        "company": grouping.company(database, run, Mode.SIMILAR) if state.terminal else None,
        "waited_ms": _waited_ms(run),
        "output": output,
        "steps": steps,
        "step": chosen,
        "lines": output["total_lines"] if output and chosen else run.lines,
        "first": first,
        "encoding": encoding.value,
        "offered": offered,
        "attempts": queries.attempts(database, job, run, actor())["attempts"],
        "look": words.look_text(row["look"]),
        "trusted_before": _trusted_before(database, run),
        "now_trusted": asks and _now_trusted(database, run),
        "gap_bytes": run.gap_bytes,
        "last": job.target_count - 1,
        "may_run": actor().may(Permission.RUN),
        "may_trust": actor().may(Permission.TRUST_HOST_KEYS),
    }


def _waited_ms(run: HostRun) -> int | None:
    """Returns how long the host stood in the queue until a worker took it, in ms."""
    if run.queued_at is None or run.claimed_at is None:
        return None
    return max(int((run.claimed_at - run.queued_at).total_seconds() * 1000), 0)


def _command_on(job: Job, run: HostRun) -> str:
    """Returns the command as this host is given it."""
    if run.variables is None:
        return job.command
    return render(job.command, What.from_json(job.what), run.variables)[0]


def _offered(database: Session, job: Job, run: HostRun) -> list[dict[str, Any]]:
    """Returns the keys to decide on that kept ``run`` from its host: the host's own, or a jump host's on the way."""
    found = queries.offered_keys(database, job)
    if run.reason == Reason.JUMP:
        return [key for key in found if key["fingerprint"] == run.host_key]
    return [key for key in found if key["i"] == run.i]


def _trusted_before(database: Session, run: HostRun) -> list[dict[str, Any]]:
    """Returns the trusted keys that a host with a changed one was known by, with when each was first seen."""
    if run.reason != Reason.HOST_KEY_CHANGED:
        return []
    found = hostkeys.trusted_since(database, run.address, run.port)
    return [{"algorithm": key.algorithm, "fingerprint": key.fingerprint, "at": key.first_seen_at} for key in found]


def _now_trusted(database: Session, run: HostRun) -> bool:
    """Returns whether the key that the host showed has been trusted since."""
    place = (run.address, run.port)
    known = hostkeys.known(database, [place]).get(place, hostkeys.Known())
    policy = run.host_key_policy or runtime().settings.host_key_policy
    counting = known.pinned if policy == HostKeyPolicy.PINNED else known.trusted
    return run.host_key in {hostkeys.fingerprint(key) for key in counting}
