"""What pages show: contract values turned into words, glyphs and widths. No queries, no HTML."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import format_decimal, ngettext
from flask_babel import gettext as _

from opsconsole.hostset import state_letters
from opsconsole.jobs.output import without_escapes
from opsconsole.jobs.states import BAR_ORDER, LETTERS, JobState, Reason, RunState
from opsconsole.web.reasons import reason_name

CHIP_ORDER = "fkulrcqoxs"
TROUBLE = "fkul"
# What a rerun is offered for at first. Not the lost ones: their command may have run, which somebody has to weigh.
RERUN = "fkus"
# The grid is elements up to here and a canvas above; without script larger jobs are read in the table.
TILES_AT_MOST = 1000
_NAMES_TOLD = 3
LETTER_OF = {state.value: state.letter for state in RunState}

_DECEIVING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One state's share of a bar: its letter, how many hosts, and a weight of 1 to 100 for the style sheet."""

    letter: str
    label: str
    count: int
    weight: int


def state_label(letter: str) -> str:
    """Returns the name of a host run's state letter."""
    names: dict[str, str] = {
        "q": _("Queued"),
        "c": _("Connecting"),
        "r": _("Running"),
        "o": _("OK"),
        "f": _("Failed"),
        "k": _("Timed out"),
        "u": _("Unreachable"),
        "x": _("Cancelled"),
        "s": _("Skipped"),
        "l": _("Lost"),
    }
    return names[letter]


def job_pill(state: str) -> tuple[str, str]:
    """Returns the glyph letter and the name of a job's state."""
    return {
        JobState.PENDING: ("q", _("Pending")),
        JobState.RUNNING: ("r", _("Running")),
        JobState.PAUSED: ("z", _("Paused")),
        JobState.STOPPING: ("r", _("Stopping")),
        JobState.SUCCEEDED: ("o", _("Succeeded")),
        JobState.PARTIAL: ("p", _("Partial")),
        JobState.FAILED: ("f", _("Failed")),
        JobState.CANCELLED: ("x", _("Cancelled")),
    }[JobState(state)]


def ended(state: str) -> bool:
    """Returns whether a job's state is final."""
    return JobState(state).terminal


def bar(counts: Mapping[str, int], order: str = BAR_ORDER) -> list[Part]:
    """Returns the parts of a progress bar, those without hosts left out."""
    total = sum(counts.values()) or 1
    return [
        Part(letter, state_label(letter), counts[letter], max(1, round(100 * counts[letter] / total)))
        for letter in order
        if counts[letter]
    ]


def chips(counts: Mapping[str, int]) -> list[Part]:
    """Returns every counter of a job page in its order, those without hosts too."""
    return [Part(letter, state_label(letter), counts[letter], 1) for letter in CHIP_ORDER]


def duration(ms: float | None) -> str:
    """Returns a duration in milliseconds as people say it: ``4 ms``, ``0.31 s``, ``22.4 s``, ``4 min 12 s``.

    It is cut, never rounded up, and the same in the scripts (texts.js).
    """
    if ms is None:
        return ""
    whole = int(ms)
    if whole < 100:
        return str(_("%(n)s ms", n=whole))
    if whole < 10_000:
        return str(_("%(n)s s", n=f"{whole // 10 / 100:g}"))
    if whole < 60_000:
        return str(_("%(n)s s", n=f"{whole // 100 / 10:g}"))
    minutes, rest = divmod(whole // 1000, 60)
    if minutes < 60:
        return str(_("%(min)s min %(s)s s", min=minutes, s=f"{rest:02d}"))
    return str(_("%(h)s h %(min)s min", h=minutes // 60, min=f"{minutes % 60:02d}"))


def size(count: int) -> str:
    """Returns a number of bytes in decimal units."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1000:.1f} kB"
    return f"{count / 1_000_000:.1f} MB" if count < 1_000_000_000 else f"{count / 1_000_000_000:.1f} GB"


def number(value: int) -> str:
    """Returns a count with its thousands apart, as the reader's language writes it."""
    return str(format_decimal(value))


def elapsed_ms(job: Mapping[str, Any], now: datetime) -> float | None:
    """Returns how long a job has been going, or went, in milliseconds; ``None`` while it waits for its start.

    One that ended before anything started is counted from its order on.
    """
    begin = job["started_at"] or (job["finished_at"] and job["created_at"])
    if not begin:
        return None
    end = datetime.fromisoformat(job["finished_at"]) if job["finished_at"] else now
    return max((end - datetime.fromisoformat(begin)).total_seconds() * 1000, 0.0)


def age(at: str, now: datetime) -> float:
    """Returns how long ago the moment ``at`` was, in whole seconds told in ms; never less than none."""
    return max((now - datetime.fromisoformat(at)).total_seconds() // 1 * 1000, 0.0)


@dataclass(frozen=True, slots=True)
class KeyNews:
    """How many hosts showed keys that nobody has decided on: unknown ones, and others than the trusted ones."""

    unknown: int
    changed: int
    changed_names: str


def key_news(offered: Sequence[Mapping[str, Any]]) -> KeyNews:
    """Returns what to tell of a job's offered host keys; a host may have shown several."""
    changed = list(dict.fromkeys(key["host"] for key in offered if key["reason"] == Reason.HOST_KEY_CHANGED.value))
    unknown = {key["host"] for key in offered} - set(changed)
    more = "…" if len(changed) > _NAMES_TOLD else ""
    return KeyNews(len(unknown), len(changed), ", ".join(changed[:_NAMES_TOLD]) + more)


def no_hosts(letters: str) -> str:
    """Returns what is said when no host is in the states of ``letters``."""
    texts: dict[str, str] = {
        "q": _("No hosts are waiting."),
        "c": _("No hosts are connecting."),
        "r": _("No hosts are running."),
        "o": _("No hosts are OK."),
        "f": _("No failed hosts."),
        "k": _("No hosts timed out."),
        "u": _("No unreachable hosts."),
        "x": _("No cancelled hosts."),
        "s": _("No skipped hosts."),
        "l": _("No lost hosts."),
    }
    return texts.get(letters) or _("No host fits this filter.")


def step_letter(state: str) -> str:
    """Returns the glyph letter of how a step went."""
    letters = {"running": "r", "passed": "o", "nothing_to_do": "s"}
    return letters.get(state) or LETTER_OF[state]


def outcome(row: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the style and the text of what became of a host: its signal, its exit status, or why there is none."""
    letter = LETTER_OF.get(row["state"], row["state"])
    style = f"x-{letter}" if letter in "fkur" else ""
    if row.get("signal"):
        return style, _("signal %(name)s", name=row["signal"])
    if row.get("exit") is not None:
        return style, _("exit %(number)s", number=row["exit"])
    if row.get("reason") and letter in "uklx":
        return style, reason_name(row["reason"])
    return "", ""


def role_word(role: str) -> str:
    """Returns what a role is called."""
    words = {"viewer": _("viewer"), "operator": _("operator"), "approver": _("approver"), "admin": _("administrator")}
    return str(words.get(role, role))


def group_modes() -> list[tuple[str, str]]:
    """Returns the modes in which output groups are told, with their names."""
    return [("exact", _("Exact")), ("clean", _("Clean")), ("similar", _("Similar"))]


def mode_meaning(mode: str) -> str:
    """Returns what hosts of one group have in common in ``mode``."""
    meanings: dict[str, str] = {
        "exact": _("the same to the byte"),
        "clean": _("the same but for colours and blanks at the end"),
        "similar": _("the same but for times, sizes, PIDs, ids and own names"),
    }
    return meanings[mode]


def group_note(told: Mapping[str, Any]) -> str:
    """Returns what follows the number of groups: of how many hosts, and what makes no difference to them."""
    hosts = ngettext("%(n)s host", "%(n)s hosts", told["hosts"], n=number(told["hosts"]))
    note = " " + _("from %(hosts)s", hosts=hosts)
    ignored = _("names, times, sizes and PIDs ignored")
    return f"{note}; {ignored}" if told["mode"] == "similar" else note


def group_rank(compared: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> str:
    """Returns what the group is called that the others are told against."""
    well = sum(group["count"] for group in groups if group["state"] == compared["state"])
    if compared["count"] * 2 > well:
        return str(_("majority, others are compared with it"))
    return str(_("largest group, others are compared with it"))


def reason_text(reason: str | None) -> str:
    """Returns what a reason code means, in a sentence; empty for one that says nothing more than its state."""
    sentences: dict[str, str] = {
        "dns": _("The name was not found in DNS, so the host was never dialled."),
        "denied_network": _("The address lies in a network that this console may not reach."),
        "refused": _("The host refused the connection, so nothing ran."),
        "connect_timeout": _("The host did not answer in time, so nothing ran."),
        "banner_timeout": _("Something accepted the connection but did not speak SSH in time, so nothing ran."),
        "protocol": _("The SSH handshake failed, so nothing ran."),
        "auth": _("The host refused every key or password it was offered, so nothing ran."),
        "host_key_unknown": _("The console has not seen this host's key before, so nothing was sent to it."),
        "host_key_changed": _(
            "The host key is not the trusted one. Nothing was sent. Find out why before you trust it."
        ),
        "host_key_revoked": _("The host showed a key that is revoked. Nothing was sent to it."),
        "host_certificate": _("The host's certificate does not prove who it is, so nothing was sent to it."),
        "credential": _("The credential could not be used, so nothing ran."),
        "jump": _("A jump host on the way could not be reached or did not let us through, so nothing ran."),
        "run_as": _("The host did not let the login become the other account, so nothing ran."),
        "exec_refused": _("The host let us in but refused to run a command."),
        "check": _("The check failed, so the command was not sent to this host."),
        "verify": _("The command ran to its end, but the verify after it failed."),
        "nothing_to_do": _("The check said that there is nothing to do, so the command was not sent to this host."),
        "between_steps": _("It was ended between two steps: what the steps before it did stays done."),
        "device_fault": _("The device told a fault in what it printed."),
        "command_timeout": _("The command was ended because it took longer than its time limit."),
        "idle_timeout": _("The command was ended because it printed nothing for too long."),
        "connection_lost": _(
            "The connection broke while the command ran. It may still be running; it is not repeated."
        ),
        "worker_lost": _("The worker vanished while the command ran. It may have run; it is not repeated."),
        "vanished": _("What the command had left on the host is gone, so how it ended is not known. It may have run."),
        "before_start": _("It was stopped before it started, so nothing ran."),
        "killed": _("The command was ended."),
        "kill_unconfirmed": _("The command was told to end, but the host did not confirm it. It may still be running."),
        "worker_shutdown": _("The worker was stopped while the command ran."),
        "threshold": _("Too many hosts had failed, so this one was not started."),
        "canary": _("The canary failed, so this host was not started."),
        "job_timeout": _("The time of the whole job was up, so this host was not started."),
        "not_permitted": _("The person who started the job may no longer run commands, so nothing ran."),
        "frozen": _("The host was frozen after the job was launched, so nothing ran."),
    }
    return sentences.get(reason or "", "")


def credential_kind(kind: str) -> str:
    """Returns the word for a kind of credentials."""
    words = {
        "password": _("password"),
        "private_key": _("private key"),
        "certificate": _("certificate"),
        "agent": _("agent of the worker"),
        "keyboard_interactive": _("answers to prompts"),
        "external": _("kept elsewhere"),
    }
    return str(words.get(kind, kind))


def validity(state: str) -> str:
    """Returns the words for a certificate's time."""
    words = {"expired": _("expired"), "not_yet": _("not valid yet"), "ends_soon": _("expires within a day")}
    return str(words.get(state, state))


def login_origin(origin: str) -> str:
    """Returns in words who says what a host is logged in to with."""
    if origin.startswith("group "):
        return str(_("as @%(name)s says", name=origin.removeprefix("group ")))
    words = {
        "job": _("as the job says"),
        "host": _("as the host says"),
        "setting": _("as the console's setting says"),
        "worker": _("for neither host, group nor setting says another"),
    }
    return str(words.get(origin, origin))


def login_word(login: str | None) -> str:
    """Returns what hosts are signed in to with in the reader's language: a job ("cred:web"), a plan and the page of a
    host ("credential web") write it differently; ``None`` is nothing."""
    if login is None:
        return str(_("no credential"))
    named = re.fullmatch(r"(key|cred|credential)[: ](.+)", login)
    if named:
        name = named[2]
        return str(_("key file %(name)s", name=name) if named[1] == "key" else _("credential %(name)s", name=name))
    words = {"auto": _("automatic"), "ambient": _("own keys and agent"), "own keys": _("own keys and agent")}
    return str(words.get(login, _("the password typed for this job")))


def visible(text: str) -> str:
    """Returns a line of host output without escape sequences, with what could deceive shown by its name.

    The page with script draws colours; this is the plain reading of the same line.
    """
    stripped = without_escapes(text)
    # A terminal shows what was written last; all that a line overwrote would only repeat it.
    last = stripped.rstrip("\r").rpartition("\r")[2]
    return _DECEIVING.sub(_named, last)


def _named(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"‹x{code:02X}›" if code < 0xA0 else f"‹U+{code:04X}›"


def wanted_letters(values: Sequence[str]) -> str:
    """Returns the states named in ``?state=f,k``, ``?state=failed`` or ``?state=f&state=k`` as letters, in contract
    order; what is none is passed over."""
    asked: set[str] = set()
    for word in ",".join(values).split(","):
        with suppress(ValueError):
            asked.update(state_letters(word))
    return "".join(letter for letter in LETTERS if letter in asked)
