"""What pages say of a job's order and of run control: waves, pauses, stops and waits in words. No queries, no HTML."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from flask_babel import gettext
from flask_babel import ngettext as gettext_of

from opsconsole.inventory.executor import Executor
from opsconsole.inventory.ways import DIRECT
from opsconsole.jobs.options import Gate, RunOptions
from opsconsole.jobs.order import LaunchType
from opsconsole.jobs.probe import Stage
from opsconsole.jobs.states import JobState, PauseReason, StopReason
from opsconsole.jobs.what import RunAs, What
from opsconsole.web.view_models import duration, number, size

# A wave as the contract tells it: {"kind": "canary" | "wave", "size": hosts}.
Waves = Sequence[Mapping[str, Any]]
CANARY = "canary"
# How many waves the strip of a job page shows, and how many of them before the present one.
_SHOWN = 8
_BEFORE = 2


def _(text: str, **values: Any) -> str:
    """The library's own says nothing of what it returns."""
    return str(gettext(text, **values))


def ngettext(one: str, many: str, count: int, **values: Any) -> str:
    """Returns the text for ``count`` in the reader's language."""
    return str(gettext_of(one, many, count, **values))


def wave_name(waves: Waves, at: int) -> str:
    """Returns what the wave at place ``at`` is called; the canary is not counted among the waves."""
    if not 0 <= at < len(waves):
        return ""
    if waves[at]["kind"] == CANARY:
        return _("Canary")
    first = 1 if waves[0]["kind"] == CANARY else 0
    return _("Wave %(n)s", n=number(at - first + 1))


def waves_head(waves: Waves) -> str:
    """Returns how an order goes through its hosts: ``Canary of 1, then 10 waves``."""
    batches = sum(1 for wave in waves if wave["kind"] != CANARY)
    if not batches:
        all_of_them = waves[0]["size"]
        if all_of_them == 1:
            return _("The canary is the only host: nothing follows it")
        return _("The canary takes all %(n)s hosts: nothing follows it", n=number(all_of_them))
    told = ngettext("%(n)s wave", "%(n)s waves", batches, n=number(batches))
    if len(waves) == batches:
        return told
    return _("Canary of %(n)s, then %(waves)s", n=number(waves[0]["size"]), waves=told)


def wave_sizes(waves: Waves) -> str:
    """Returns the sizes in their order, equal neighbours folded: ``1, 50 ×9, 47``."""
    runs = ((size, sum(1 for _wave in same)) for size, same in groupby(wave["size"] for wave in waves))
    return ", ".join(number(size) if times == 1 else f"{number(size)} ×{number(times)}" for size, times in runs)


def stop_words(reason: str | None, by: str | None, detail: str | None = None) -> str:
    """Returns why a job stopped before its end; empty for one that did not. ``detail`` is what its status tells."""
    if detail:
        return detail.removesuffix(".")
    if reason == StopReason.OPERATOR.value:
        return _("cancelled by %(name)s", name=by) if by else _("cancelled")
    sentences = {
        StopReason.THRESHOLD.value: _("too many hosts failed"),
        StopReason.CANARY.value: _("the canary failed"),
        StopReason.DEADLINE.value: _("the job's time was up"),
    }
    return sentences.get(reason or "", "")


def pause_words(pause: Mapping[str, Any] | None) -> str:
    """Returns why a job is paused; empty for one that is not."""
    if not pause:
        return ""
    if pause["reason"] == PauseReason.OPERATOR.value:
        return _("paused by %(name)s", name=pause["by"]) if pause["by"] else _("paused")
    return {
        PauseReason.WAVE.value: _("waits for you before the next wave"),
        PauseReason.WAVE_FAILED.value: _("a host of this wave failed: it waits for you"),
        PauseReason.CANARY.value: _("the canary is done: it waits for you"),
    }[PauseReason(pause["reason"]).value]


def headline(job: Mapping[str, Any]) -> str:
    """Returns what the verdict of a job does not say by itself: why it stopped or stands still, and once it has ended
    how many hosts are lost, cancelled or skipped; for those 100 % ended does not mean done."""
    why = stop_words(job["stop_reason"], job["stopped_by"], job["stop_detail"]) or pause_words(job["pause"])
    state, counts = JobState(job["state"]), job["counts"]
    shutdown = job["worker_shutdown"]
    # What a cancelled job cancelled is what its verdict says.
    cancelled = 0 if state is JobState.CANCELLED else counts["x"] - shutdown
    told = [
        (shutdown, _("%(n)s ended by a worker's shutdown", n=number(shutdown))),
        (counts["l"], _("%(n)s lost", n=number(counts["l"]))),
        (cancelled, _("%(n)s cancelled", n=number(cancelled))),
        (counts["s"], _("%(n)s skipped", n=number(counts["s"]))),
    ]
    parts = [text for count, text in told if count] if state.terminal else []
    return "; ".join(part for part in (why, ", ".join(parts)) if part)


def phase(job: Mapping[str, Any]) -> str:
    """Returns what may be done with a job now: it ``runs``, is ``held`` between waves for a moment, ``waits`` for a
    person at a gate, is ``paused`` by one, is ``stopping``, or is ``over``."""
    state = JobState(job["state"])
    if state.terminal:
        return "over"
    if state is JobState.STOPPING:
        return "stopping"
    if state is JobState.PAUSED:
        by_person = (job.get("pause") or {}).get("reason") == PauseReason.OPERATOR.value
        return "paused" if by_person else "waits"
    return "held" if (job.get("waves") or {}).get("hold_ms") else "runs"


@dataclass(frozen=True, slots=True)
class WaveMark:
    """A wave in the strip of the job page: ``place`` is done, now, later or left out; ``size`` in hosts."""

    name: str
    size: int | None
    place: str


def wave_window(job: Mapping[str, Any]) -> list[WaveMark]:
    """Returns the waves around the present one; what is left out at either side is counted."""
    waves, now = job["waves"]["list"], job["waves"]["now"]
    begun = job["counts"]["q"] < job["targets"]["count"]
    over = JobState(job["state"]).terminal
    first = max(0, min(now - _BEFORE, len(waves) - _SHOWN))
    last = min(first + _SHOWN, len(waves))
    marks = [
        WaveMark(wave_name(waves, at), waves[at]["size"], _place(at, now, begun=begun, over=over))
        for at in range(first, last)
    ]
    if first:
        marks.insert(0, WaveMark(_("%(n)s before", n=number(first)), None, "done"))
    if last < len(waves):
        marks.append(WaveMark(_("%(n)s more", n=number(len(waves) - last)), None, "later"))
    return marks


def _place(at: int, now: int, *, begun: bool, over: bool) -> str:
    if at < now or (at == now and over and begun):
        return "done"
    return "now" if at == now and not over else "later"


def wave_note(job: Mapping[str, Any]) -> str:
    """Returns where a job is among its waves and what it waits for there."""
    waves, now = job["waves"]["list"], job["waves"]["now"]
    state = phase(job)
    if state in {"over", "stopping", "paused"}:
        return ""
    if state == "waits":
        return _("waits for you: Continue")
    if state == "held":
        seconds = max(1, round(job["waves"]["hold_ms"] / 1000))
        return _("%(wave)s starts in %(time)s", wave=wave_name(waves, now), time=duration(seconds * 1000))
    canaries = 1 if waves[0]["kind"] == CANARY else 0
    if now < canaries:
        return ""
    return _("%(n)s of %(all)s", n=number(now - canaries + 1), all=number(len(waves) - canaries))


# What the page tells elsewhere: its pill, its strip of waves, the banner of the console.
_TOLD_ELSEWHERE = {"paused", "wave_pause", "countdown", "console_held", "limit"}


def waiting_text(waiting: Mapping[str, Any] | None) -> str:
    """Returns why the next host does not start, as far as it is not told elsewhere on the page."""
    if not waiting or waiting["code"] in _TOLD_ELSEWHERE:
        return ""
    if waiting["code"] == "no_workers":
        return _("No worker is connected, so the job waits. Start one:")
    if waiting["code"] == "workers_drained":
        return _("No worker takes runs: those connected are drained.")
    if waiting["code"] not in {"no_slot", "turn"}:
        return str(waiting["text"])
    count = waiting["ahead"] or 0
    if waiting["code"] == "turn" and not count:
        return _("Waiting for a worker to take it up.")
    ahead = ngettext("%(n)s job", "%(n)s jobs", count, n=number(count)) if count else _("no jobs")
    busy = _("%(busy)s of %(slots)s slots busy", busy=number(waiting["busy"]), slots=number(waiting["slots"]))
    if waiting["code"] == "turn":
        return _("Waiting for its turn: %(jobs)s ahead, %(busy)s", jobs=ahead, busy=busy)
    return _("Waiting for a free slot: %(jobs)s ahead, %(busy)s", jobs=ahead, busy=busy)


def option_facts(job: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns how a job is carried out, name and value; what was not asked for is left out."""
    options = asdict(RunOptions.from_json(job["options"]))
    executor = str(job.get("executor", Executor.SSH))
    facts = [
        (_("At the same time"), number(options["concurrency"])),
        (_("Canary"), options["canary"]),
        (_("After the canary"), _gate(options["canary_gate"]) if options["canary"] else ""),
        (_("Canary output must match"), options["canary_match"]),
        (_("Waves"), options["waves"]),
        (_("Pause between waves"), _pause_between(options)),
        (_("Between waves"), _gate(options["wave_gate"]) if options["waves"] else ""),
        (_("Order"), "" if options["order"] == "given" else options["order"]),
        (_("At most, per tag"), options["limit_per"]),
        (_("Jump hosts"), _("none, dialled directly") if options["jump"] == DIRECT else options["jump"]),
        (_("Stop when failures exceed"), options["max_failures"] or _("never")),
        (_("Unreachable hosts"), "" if options["count_unreachable"] else _("do not count as failures")),
        (_("When it stops, running hosts"), _("are ended") if options["at_stop"] == "kill" else ""),
        (_("Retries of unreachable hosts"), _retries(options)),
        (_("Connect timeout"), _time(options["connect_timeout"])),
        (_("Command timeout"), _time(options["command_timeout"]) or _("none")),
        (_("Without output for"), _time(options["idle_timeout"])),
        (_("The whole job"), _time(options["job_timeout"])),
        (_("Durable"), _("yes") if options["durable"] else ""),
        (_("Carried out"), "" if executor == Executor.SSH else executor_meaning(executor)),
        (_("Simulated hosts"), options["simulation"]),
        (_("Priority"), "" if job.get("priority", "normal") == "normal" else str(job["priority"])),
    ]
    return [(name, str(text)) for name, text in facts if text]


def _run_as(what: What) -> str:
    if what.run_as is None:
        return ""
    choice = what.run_as_credential or RunAs.UNASKED.value
    how = {
        RunAs.UNASKED.value: _("unasked"),
        RunAs.LOGIN.value: _("with the password of the login"),
        RunAs.TYPED.value: _("with a password typed for the job"),
    }.get(choice, _("with %(credential)s", credential=choice))
    return _("%(user)s, by %(method)s %(how)s", user=what.run_as, method=what.run_as_method, how=how)


def _raw(what: What) -> str:
    if not what.raw:
        return ""
    given = _("typed at a prompt") if what.raw_typed else _("over a terminal")
    return _("%(how)s; no guard on the host, so it may go on after a cancel", how=given)


def step_word(step: str) -> str:
    """Returns what a step of an order is called."""
    return {"check": _("Check"), "act": _("Command"), "verify": _("Verify")}[step]


def step_state(state: str) -> str:
    """Returns how a step went on a host."""
    return {
        "running": _("running"),
        "passed": _("passed"),
        "nothing_to_do": _("nothing to do"),
        "failed": _("failed"),
        "timed_out": _("timed out"),
        "cancelled": _("cancelled"),
    }.get(state, _("how it ended is not known"))


def carried_text(carried: Mapping[str, Any]) -> str:
    """Returns how far the files of a job are."""
    done, total, speed = (size(carried[name]) for name in ("done", "total", "bytes_per_s"))
    return _("%(done)s of %(total)s carried, %(speed)s a second", done=done, total=total, speed=speed)


def _files(said: What) -> str:
    lines = [
        f"{item.get('name') or item['file'][:16]}  {item['file']}  {item.get('size', 0):,} B" for item in said.push
    ]
    return "\n".join(lines + ([_("Missing folders are made.")] if said.make_folders else []))


def what_facts(what: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Returns how a job's command is run, name and value; what was not asked for is left out."""
    said = What.from_json(what)
    facts = [
        (_("Check before it"), said.check),
        (_("Verify after it"), said.verify),
        (_("Files"), _files(said)),
        (_("Between steps"), _("a host waits for all others of its wave") if said.in_lockstep else ""),
        (_("Read by"), said.interpreter),
        (_("Arguments"), shlex.join(said.args)),
        (_("Runs as"), _run_as(said)),
        (_("Raw"), _raw(said)),
        (_("Folder"), said.cwd),
        (_("Umask"), said.umask),
        (_("Environment"), "\n".join(f"{name}={shlex.quote(value)}" for name, value in said.env.items())),
        (_("Standard input"), said.stdin),
    ]
    return [(name, text) for name, text in facts if text]


def _gate(gate: str) -> str:
    return {
        Gate.AUTO: _("go on by itself"),
        Gate.ON_FAILURE: _("wait for a person after a failure"),
        Gate.MANUAL: _("wait for a person"),
    }[Gate(gate)]


def _pause_between(options: Mapping[str, Any]) -> str:
    if not options["waves"] or not (options["wave_pause"] or options["wave_jitter"]):
        return ""
    more = _(" and up to %(time)s more", time=_time(options["wave_jitter"])) if options["wave_jitter"] else ""
    return (_time(options["wave_pause"]) or duration(0)) + more


def _retries(options: Mapping[str, Any]) -> str:
    if not options["retries"]:
        return ""
    return _(
        "%(n)s, the first after %(time)s",
        n=number(options["retries"]),
        time=_time(options["retry_pause"]) or duration(0),
    )


def _time(seconds: float) -> str:
    return duration(seconds * 1000) if seconds else ""


def executor_word(executor: str) -> str:
    """Returns the word on what carries a job out, for beside its state."""
    return {
        Executor.SSH.value: _("Over SSH"),
        Executor.LOCAL.value: _("On the worker"),
        Executor.SIMULATE.value: _("Simulated"),
    }.get(executor, _("Partly over SSH"))


def executor_meaning(executor: str) -> str:
    """Returns what it means that a job is carried out so, in one sentence."""
    return {
        Executor.SSH.value: _("over SSH"),
        Executor.LOCAL.value: _("on the worker's own machine, not on the hosts"),
        Executor.SIMULATE.value: _("simulated: nothing was connected to and nothing was run"),
    }.get(executor, _("some hosts over SSH, others not"))


def launch_word(launch_type: str) -> str:
    """Returns where a job came from in the reader's language."""
    return {
        LaunchType.MANUAL.value: _("by the page"),
        LaunchType.API.value: _("by the API"),
        LaunchType.SCHEDULED.value: _("by a schedule"),
    }.get(launch_type, _("as a rerun"))


def priority_word(priority: str) -> str:
    """Returns a job's priority in the reader's language."""
    return {"low": _("low"), "normal": _("normal"), "high": _("high")}[priority]


def look_text(look: Mapping[str, Any] | None) -> str:
    """Returns what a look at a host found of a command whose end was not known; empty when nobody looked."""
    if look is None:
        return ""
    return {
        "asked": _("The console is looking whether the command is still there."),
        "running": _("The command is still there."),
        "gone": _("Looked: the command is not there any more."),
    }.get(look["state"], _("The host could not be looked at."))


def stage_word(stage: str) -> str:
    """Returns the name of a step of a connection test."""
    return {
        Stage.NAME.value: _("Name"),
        Stage.NETWORK.value: _("Allowed network"),
        Stage.JUMP.value: _("Jump host"),
        Stage.TCP.value: _("TCP"),
        Stage.KEY_EXCHANGE.value: _("Key exchange"),
        Stage.HOST_KEY.value: _("Host key"),
        Stage.LOGIN.value: _("Login"),
        Stage.SHELL.value: _("Shell"),
        Stage.RUN_AS.value: _("Run as"),
    }.get(stage, stage)
