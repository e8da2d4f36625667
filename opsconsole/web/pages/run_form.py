"""The Run page's form: what a person typed, kept as typed, and the order it means."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs.launch import LaunchType, Order
from opsconsole.jobs.options import RunOptions
from opsconsole.secret import Secret
from opsconsole.sentences import joined
from opsconsole.settings import Settings
from opsconsole.web.pages import run_files, run_what

# How a job goes through its hosts: all as slots allow, a canary and batches, or one after the other.
ALL, WAVES, ONE = "all", "waves", "one"
_SECONDS = (
    "connect_timeout",
    "command_timeout",
    "idle_timeout",
    "job_timeout",
    "wave_pause",
    "wave_jitter",
    "retry_pause",
)
_OF_WAVES = ("waves", "wave_pause", "wave_jitter", "wave_gate", "canary_match", "canary_gate")
_TEXTS = ("max_failures", "at_stop", "limit_per", "jump", "executor", "simulation")
_ADDRESS = (
    *("targets", "exclude", "command", "title", "user", "credential", "concurrency", "max_failures", "retries"),
    *("interpreter", "args", "stdin", "cwd", "umask", "env", "run_as", "run_as_method", "run_as_credential"),
    *("raw", "raw_typed", "check", "verify", "step_barrier"),
    *("waves", "wave_pause", "wave_gate", "canary_match", "canary_gate", "limit_per", "jump"),
    *("priority", "job_timeout", "executor", "simulation"),
)


@dataclass(frozen=True, slots=True)
class RunForm:
    """Every field as text. The password is not among them: it is never shown again."""

    targets: str = ""
    exclude: str = ""
    skip_unknown: str = ""
    command: str = ""
    title: str = ""
    user: str = ""
    credential: str = "auto"
    concurrency: str = ""
    connect_timeout: str = ""
    command_timeout: str = ""
    idle_timeout: str = ""
    job_timeout: str = ""
    max_failures: str = ""
    ignore_unreachable: str = ""
    at_stop: str = ""
    pace: str = ""
    canary_mode: str = ""
    canary_of: str = ""
    canary_match: str = ""
    canary_gate: str = ""
    waves: str = ""
    wave_pause: str = ""
    wave_jitter: str = ""
    wave_gate: str = ""
    order: str = ""
    spread: str = ""
    limit_per: str = ""
    jump: str = ""
    retries: str = ""
    retry_pause: str = ""
    priority: str = ""
    durable: str = ""
    executor: str = ""
    simulation: str = ""
    kind: str = ""
    interpreter: str = ""
    args: str = ""
    stdin: str = ""
    cwd: str = ""
    umask: str = ""
    env: str = ""
    run_as: str = ""
    run_as_method: str = ""
    run_as_credential: str = ""
    check: str = ""
    verify: str = ""
    step_barrier: str = ""
    raw: str = ""
    raw_typed: str = ""
    push: str = ""
    pull: str = ""
    make_folders: str = ""
    confirm: str = ""
    reason: str = ""
    expect_count: str = ""
    expect_digest: str = ""
    expect_hosts: str = ""
    idempotency_key: str = ""
    rerun_of: str = ""
    saved_id: str = ""
    save_name: str = ""
    save_notes: str = ""
    save_static: str = ""
    save_version: str = ""

    @classmethod
    def blank(cls, settings: Settings) -> Self:
        """Returns the form as it is first shown; what it says of waves counts once waves are chosen."""
        return cls(
            concurrency=str(settings.concurrency),
            connect_timeout=f"{settings.connect_timeout:g}",
            command_timeout=f"{settings.command_timeout:g}",
            kind=run_what.COMMAND,
            interpreter="bash",
            pace=ALL,
            canary_mode="first",
            canary_of="1",
            canary_gate="manual",
            waves="10% 100%",
            priority="normal",
            idempotency_key=str(uuid.uuid4()),
        )

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Self:
        """Returns the form as it was sent."""
        return cls(**{item.name: values.get(item.name, "") for item in fields(cls)} | {"push": run_files.read(values)})

    def prefilled(self, values: Mapping[str, str]) -> Self:
        """Returns the form with what an address may prefill. It never carries a confirmation."""
        given = {name: values[name] for name in _ADDRESS if values.get(name)}
        if "interpreter" in given:
            given["kind"] = run_what.SCRIPT
        waved = bool(values.get("waves") or values.get("canary"))
        if waved:
            given |= {"pace": WAVES, "waves": values.get("waves", ""), **_canary(values.get("canary"))}
        given |= run_files.chosen(values)
        return replace(self, **given, **_sequence(values.get("order") or "given"))

    def repeating(self, order: Order) -> Self:
        """Returns the form that means ``order``: an earlier job's, on some of its hosts."""
        pace = WAVES if order.waves or order.canary else ONE if order.concurrency == 1 else ALL
        kept = {name: _text(getattr(order, name)) for name in (*_SECONDS, *_TEXTS)} | run_what.fields_of(order)
        kept |= run_files.fields_of(order)
        if pace == WAVES:
            kept |= {name: _text(getattr(order, name)) for name in _OF_WAVES} | _canary(order.canary)
        return replace(
            self,
            targets=order.targets,
            exclude="",
            command=order.command,
            title=order.title or "",
            user=order.user or "",
            credential=order.credential,
            concurrency=self.concurrency if pace == ONE else _text(order.concurrency),
            ignore_unreachable="yes" if order.count_unreachable is False else "",
            pace=pace,
            retries=_text(order.retries) if order.retries else "",
            priority=order.priority,
            durable="yes" if order.durable else "",
            rerun_of=_text(order.rerun_of),
            **kept,
            **_sequence(order.order or "given"),
        )

    @property
    def special(self) -> bool:
        """Whether anything under "More options" differs from what a plain order says."""
        plain = RunOptions(concurrency=1, connect_timeout=1, command_timeout=1)
        unusual = self.at_stop not in {"", plain.at_stop} or self.priority not in {"", "normal"}
        timed = any(value.strip() not in {"", "0"} for value in (self.idle_timeout, self.job_timeout))
        placed = self.order not in {"", plain.order} or bool(
            self.limit_per.strip() or self.jump.strip() or self.executor
        )
        return bool(unusual or timed or placed or self.ignore_unreachable or self.durable)

    def to_order(self, password: str, run_as_password: str = "") -> Order:
        """Returns the order. Raises ``Invalid`` naming each field that should hold a number and does not."""
        faults: list[FieldError] = []
        pace = self.pace or (WAVES if self.waves.strip() or self.canary_mode else ALL)
        seconds = {name: _seconds(name, getattr(self, name), faults) for name in _SECONDS}
        words = {name: getattr(self, name).strip() or None for name in (*_TEXTS, *_OF_WAVES)}
        values: dict[str, Any] = {**words, **seconds}
        if pace != WAVES:
            values |= dict.fromkeys(_OF_WAVES)
        canary = self._canary_text() if pace == WAVES else None
        if canary is None:
            # The form always says what follows a canary.
            values["canary_gate"] = None
        order = Order(
            targets=self.targets,
            exclude=self.exclude,
            skip_unknown=bool(self.skip_unknown),
            # What was written before files were chosen is not part of the order.
            command="" if self.kind == run_files.FILES else self.command,
            title=self.title or None,
            user=self.user.strip() or None,
            credential=self.credential or "auto",
            password=Secret(password) if self.credential == "password" else None,
            run_as_password=Secret(run_as_password) if self.asks_to_become else None,
            concurrency=1 if pace == ONE else _whole("concurrency", self.concurrency, faults),
            canary=canary,
            order=self._order_text(),
            count_unreachable=False if self.ignore_unreachable else None,
            retries=_whole("retries", self.retries, faults),
            durable=True if self.durable else None,
            priority=self.priority or "normal",
            confirm=self.confirm or None,
            reason=self.reason.strip() or None,
            expect_count=_whole("expect_count", self.expect_count, faults),
            expect_digest=self.expect_digest or None,
            expect_hosts=self.expect_hosts or None,
            idempotency_key=self.idempotency_key or None,
            launch_type=LaunchType.RELAUNCH if self.rerun_of else LaunchType.MANUAL,
            rerun_of=_whole("rerun_of", self.rerun_of, faults),
            saved_id=_whole("saved_id", self.saved_id, faults),
            **self._surroundings(faults),
            **run_files.asked(self.kind, self.push, self.pull, self.make_folders),
            **values,
        )
        if faults:
            raise Invalid(joined("; ", [fault.message for fault in faults]), errors=faults)
        return order

    @property
    def asks_to_become(self) -> bool:
        """Whether the password of another account is to be typed."""
        return bool(self.run_as.strip()) and self.run_as_credential == "password"

    @property
    def surrounded(self) -> bool:
        """Whether anything under "Arguments, input and environment" is filled in."""
        return any((self.args.strip(), self.stdin, self.cwd.strip(), self.umask.strip(), self.env.strip()))

    def _surroundings(self, faults: list[FieldError]) -> dict[str, Any]:
        return {
            "interpreter": self.interpreter.strip() if self.kind == run_what.SCRIPT else None,
            "args": run_what.words(self.args, faults),
            # A form sends CRLF at the end of each line.
            "stdin": self.stdin.replace("\r\n", "\n") or None,
            "cwd": self.cwd.strip() or None,
            "umask": self.umask.strip() or None,
            "env": run_what.variables(self.env, faults),
            **run_what.stepping(self.check, self.verify, self.step_barrier),
            "raw": True if self.raw else None,
            "raw_typed": True if self.raw and self.raw_typed else None,
            **run_what.becoming(self.run_as, self.run_as_method, self.run_as_credential),
        }

    def _order_text(self) -> str | None:
        if self.order == "spread":
            return f"spread {self.spread.strip()}"
        return None if self.order in {"", "given"} else self.order

    def _canary_text(self) -> str | None:
        of = self.canary_of.strip()
        prefix = {"first": "", "random": "random ", "each": "each "}.get(self.canary_mode)
        return None if prefix is None else f"{prefix}{of}".strip() or None


def _canary(text: str | None) -> dict[str, str]:
    """Returns the fields that mean the canary ``text``."""
    if not text:
        return {"canary_mode": "", "canary_of": ""}
    mode, _, of = text.partition(" ")
    if mode in {"random", "each"}:
        return {"canary_mode": mode, "canary_of": of}
    return {"canary_mode": "first", "canary_of": text}


def _sequence(text: str) -> dict[str, str]:
    order, _, spread = text.partition(" ")
    return {"order": order, "spread": spread}


def _text(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return str(int(value)) if float(value).is_integer() else str(value)


def _whole(name: str, text: str, faults: list[FieldError]) -> int | None:
    cleaned = text.strip()
    if not cleaned:
        return None
    if cleaned.isascii() and cleaned.isdigit() and len(cleaned) < 16:
        return int(cleaned)
    faults.append(FieldError(name, "Write a whole number."))
    return None


def _seconds(name: str, text: str, faults: list[FieldError]) -> float | None:
    cleaned = text.strip()
    if not cleaned:
        return None
    whole, _, part = cleaned.partition(".")
    if whole.isascii() and whole.isdigit() and len(cleaned) < 16 and (not part or (part.isascii() and part.isdigit())):
        return float(cleaned)
    faults.append(FieldError(name, "Write a number of seconds."))
    return None
