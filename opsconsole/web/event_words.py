"""What happened to a job, and why it waits, in the reader's language.

In English both are told as the API tells them: with all that is known. Other languages make their sentences here, from
the kind of an event and what it is about.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flask_babel import get_locale

from opsconsole.hostset import fold
from opsconsole.jobs.models import Job
from opsconsole.jobs.states import PauseReason
from opsconsole.web.view_models import job_pill, number
from opsconsole.web.words import _, ngettext, step_word, stop_words, wave_name

_NAMES_CHARS = 200
_Words = Callable[[Job, Mapping[str, Any]], str]


def timeline_in_words(job: Job, told: dict[str, Any]) -> dict[str, Any]:
    """Returns the timeline of ``job`` as its page shows it."""
    if str(get_locale()) == "en":
        return told
    return {**told, "events": [{**event, "text": _text(job, event)} for event in told["events"]]}


def waits_in_words(waits: Mapping[str, Any]) -> str:
    """Returns why a job of the queue waits."""
    count = waits["ahead"] or 0
    ahead = ngettext("%(n)s job", "%(n)s jobs", count, n=number(count)) if count else _("no jobs")
    places = {"jobs": ahead, "busy": ""}
    if waits["slots"] is not None:
        places["busy"] = _("%(busy)s of %(slots)s slots busy", busy=number(waits["busy"]), slots=number(waits["slots"]))
    words = {
        "console_held": _("The console is stopped. Nothing starts until that is lifted."),
        "paused": _("Paused."),
        "no_workers": _("No worker is connected; the job waits for one."),
        "workers_drained": _("No worker takes runs: those connected are drained."),
        "countdown": _("It is about to start."),
        "wave_pause": _("The next wave is about to start."),
        "limit": _("A limit on hosts of one kind holds the others back."),
        "retry": _("Waits a little before it tries hosts again."),
        "held_hosts": _("Its hosts are held back by a person; resume them to go on."),
        "no_slot": _("Waiting for a free slot: %(jobs)s ahead, %(busy)s", **places),
        "turn": _("Waiting for its turn: %(jobs)s ahead, %(busy)s", **places)
        if count
        else _("Waiting for a worker to take it up."),
    }
    return str(waits["text"]) if str(get_locale()) == "en" else words.get(waits["code"], str(waits["text"]))


def _text(job: Job, event: Mapping[str, Any]) -> str:
    words = _WORDS.get(event["kind"])
    return words(job, event) if words is not None else str(event["text"])


def _launched(job: Job, event: Mapping[str, Any]) -> str:
    if job.rerun_of:
        return _("Launched by %(name)s, again after #%(job)s.", name=event["by"], job=job.rerun_of)
    return _("Launched by %(name)s.", name=event["by"])


def _steered(sentence: Callable[[str, str], str]) -> _Words:
    def words(job: Job, event: Mapping[str, Any]) -> str:
        detail = event["detail"]
        if detail.get("stop_all"):
            return _("%(name)s cancelled everything (emergency stop).", name=event["by"])
        return sentence(event["by"], _which(job, detail))

    return words


def _which(job: Job, detail: Mapping[str, Any]) -> str:
    if hosts := detail.get("hosts"):
        names = fold(hosts)
        return names if len(names) <= _NAMES_CHARS else ngettext("%(n)s host", "%(n)s hosts", len(hosts), n=len(hosts))
    if detail.get("wave") is not None:
        return _wave(job, detail["wave"])
    return _("all hosts that were held back") if detail.get("held") else _("the job")


def _wave(job: Job, at: int) -> str:
    plan = job.plan or ()
    if not 0 <= at < len(plan):
        return _("Wave %(n)s", n=number(at))
    return (
        f"{wave_name(plan, at)} ({ngettext('%(n)s host', '%(n)s hosts', plan[at]['size'], n=number(plan[at]['size']))})"
    )


def _checked(_job: Job, event: Mapping[str, Any]) -> str:
    hosts = event["detail"].get("asked", 0)
    count = ngettext("%(n)s host", "%(n)s hosts", hosts, n=number(hosts))
    if event["detail"].get("kill"):
        return _("%(name)s asked that the command be ended on %(hosts)s.", name=event["by"], hosts=count)
    return _("%(name)s asked whether the command still runs on %(hosts)s.", name=event["by"], hosts=count)


def _held(_job: Job, event: Mapping[str, Any]) -> str:
    why = event["detail"].get("reason")
    if why:
        return _("The whole console was stopped by %(name)s: %(why)s", name=event["by"], why=why)
    return _("The whole console was stopped by %(name)s.", name=event["by"])


def _waits(job: Job, event: Mapping[str, Any]) -> str:
    after = _wave(job, event["detail"]["wave"])
    if event["detail"]["reason"] == PauseReason.WAVE_FAILED:
        return _("Waits for a person after %(wave)s: a host of it failed.", wave=after)
    return _("Waits for a person after %(wave)s.", wave=after)


def _shutdown(_job: Job, event: Mapping[str, Any]) -> str:
    detail = event["detail"]
    count = ngettext("%(n)s host", "%(n)s hosts", detail["hosts"], n=number(detail["hosts"]))
    return _(
        "The worker %(worker)s was told to stop and ended the command on %(hosts)s.",
        worker=detail["worker"],
        hosts=count,
    )


_WORDS: dict[str, _Words] = {
    "launched": _launched,
    "started": lambda _job, _event: _("Started."),
    "ended": lambda _job, event: _("Ended: %(state)s.", state=job_pill(event["detail"]["state"])[1]),
    "paused": _steered(lambda name, which: _("%(name)s paused %(which)s.", name=name, which=which)),
    "resumed": _steered(lambda name, which: _("%(name)s resumed %(which)s.", name=name, which=which)),
    "cancelled": _steered(lambda name, which: _("%(name)s cancelled %(which)s.", name=name, which=which)),
    "continued": _steered(
        lambda name, which: _("%(name)s let the job continue after %(which)s.", name=name, which=which)
    ),
    "checked": _checked,
    "held": _held,
    "lifted": lambda _job, event: _("The stop of the console was lifted by %(name)s.", name=event["by"]),
    "recovered": lambda _job, _event: _("The console was held after a restore of its database."),
    "stopped": lambda _job, event: _("Stopped: %(why)s.", why=stop_words(event["detail"]["reason"], event["by"])),
    "step": lambda _job, event: _("Next is: %(step)s.", step=step_word(event["detail"]["step"])),
    "waits": _waits,
    "wave": lambda job, event: _("Next is: %(step)s.", step=_wave(job, event["detail"]["wave"])),
    "shutdown": _shutdown,
}
