"""The Run page's form: what a person typed, kept as typed, and the order it means."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from opsconsole.errors import FieldError, Invalid
from opsconsole.jobs.launch import LaunchType, Order
from opsconsole.secret import Secret
from opsconsole.settings import Settings


@dataclass(frozen=True, slots=True)
class RunForm:
    """Every field as text. The password is not among them: it is never shown again."""

    targets: str = ""
    exclude: str = ""
    command: str = ""
    title: str = ""
    user: str = ""
    credential: str = "auto"
    concurrency: str = ""
    connect_timeout: str = ""
    command_timeout: str = ""
    max_failures: str = ""
    confirm: str = ""
    reason: str = ""
    expect_count: str = ""
    expect_digest: str = ""
    idempotency_key: str = ""
    rerun_of: str = ""

    @classmethod
    def blank(cls, settings: Settings) -> Self:
        """Returns the form as it is first shown."""
        return cls(
            concurrency=str(settings.concurrency),
            connect_timeout=f"{settings.connect_timeout:g}",
            command_timeout=f"{settings.command_timeout:g}",
            idempotency_key=str(uuid.uuid4()),
        )

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Self:
        """Returns the form as it was sent."""
        return cls(**{item.name: values.get(item.name, "") for item in fields(cls)})

    def prefilled(self, values: Mapping[str, str]) -> Self:
        """Returns the form with what an address may prefill. It never carries a confirmation."""
        allowed = ("targets", "exclude", "command", "title", "user", "credential", "concurrency", "max_failures")
        return replace(self, **{name: values[name] for name in allowed if values.get(name)})

    def repeating(self, order: Order) -> Self:
        """Returns the form that means ``order``: an earlier job's, on some of its hosts."""
        return replace(
            self,
            targets=order.targets,
            exclude="",
            command=order.command,
            title=order.title or "",
            user=order.user or "",
            credential=order.credential,
            concurrency=_text(order.concurrency),
            connect_timeout=_text(order.connect_timeout),
            command_timeout=_text(order.command_timeout),
            max_failures=order.max_failures or "",
            rerun_of=_text(order.rerun_of),
        )

    def order(self, password: str) -> Order:
        """Returns the order. Raises ``Invalid`` naming each field that should hold a number and does not."""
        faults: list[FieldError] = []
        order = Order(
            targets=self.targets,
            exclude=self.exclude,
            command=self.command,
            title=self.title or None,
            user=self.user.strip() or None,
            credential=self.credential or "auto",
            password=Secret(password) if self.credential == "password" else None,
            concurrency=_whole("concurrency", self.concurrency, faults),
            connect_timeout=_seconds("connect_timeout", self.connect_timeout, faults),
            command_timeout=_seconds("command_timeout", self.command_timeout, faults),
            max_failures=self.max_failures.strip() or None,
            confirm=self.confirm or None,
            reason=self.reason.strip() or None,
            expect_count=_whole("expect_count", self.expect_count, faults),
            expect_digest=self.expect_digest or None,
            idempotency_key=self.idempotency_key or None,
            launch_type=LaunchType.RELAUNCH if self.rerun_of else LaunchType.MANUAL,
            rerun_of=_whole("rerun_of", self.rerun_of, faults),
        )
        if faults:
            raise Invalid("; ".join(fault.message for fault in faults), errors=faults)
        return order


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


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
