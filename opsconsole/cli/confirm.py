"""How sure a person must be before many hosts are touched. The console decides the tier; here it is asked for."""

import time
from dataclasses import dataclass
from typing import Any

import click

from opsconsole.cli.client import Body
from opsconsole.cli.terminal import Terminal
from opsconsole.errors import Invalid

_COUNTDOWN_SECONDS = 3
_TYPED_TIER = 2
_REASON_TIER = 3


@dataclass(frozen=True, slots=True)
class Consent:
    """What the caller said in advance: ``yes`` alone, or with the ``count`` of hosts it is meant for."""

    yes: bool = False
    count: int | None = None
    reason: str | None = None

    @classmethod
    def parse(cls, text: str | None, reason: str | None) -> "Consent":
        """Returns the meaning of ``--yes`` (``any``), ``--yes=412`` or neither. Raises ``Invalid`` for others."""
        if text is None:
            return cls(reason=reason)
        if text == "any":
            return cls(yes=True, reason=reason)
        if text.isascii() and text.isdigit():
            return cls(yes=True, count=int(text), reason=reason)
        raise Invalid(f"--yes={text}: write the number of hosts, as in --yes=412.")


def obtain(consent: Consent, preview: Body, terminal: Terminal) -> dict[str, str]:
    """Returns the members ``confirm`` and ``reason`` of the order, after asking the person where that is due.

    Raises ``Invalid`` when the number of hosts is not the one agreed to, or nobody is there to be asked.
    """
    count = int(preview["count"])
    risk: dict[str, Any] = preview["risk"]
    tier = int(risk["tier"])
    if consent.count is not None and consent.count != count:
        raise Invalid(
            f"--yes={consent.count}, but these are {count} hosts now. Nothing was started.", code="count_changed"
        )
    if tier == 0:
        return {}
    if tier < _TYPED_TIER:
        _count_down(consent, preview, terminal)
        return {}
    confirm = str(risk["confirm"])
    if consent.count is None:
        _ask_for(confirm, preview, terminal)
    return {"confirm": confirm} | _reason(consent, tier, terminal)


def _count_down(consent: Consent, preview: Body, terminal: Terminal) -> None:
    if consent.yes:
        return
    if not terminal.interactive:
        raise Invalid(f"{summary(preview)}. Add --yes, or --yes={preview['count']} to be sure of their number.")
    for left in range(_COUNTDOWN_SECONDS, 0, -1):
        terminal.progress(f"{summary(preview)}. Starting in {left}, Ctrl-C to stop")
        time.sleep(1)
    terminal.clear_progress()


def _ask_for(confirm: str, preview: Body, terminal: Terminal) -> None:
    if not terminal.interactive:
        raise Invalid(f"{summary(preview)}. Add --yes={preview['count']} to go on.", code="confirmation_required")
    for reason in preview["risk"].get("reasons", ()):
        terminal.note(str(reason), always=True)
    typed = click.prompt(f"{summary(preview)}. Type {confirm} to go on", default="", show_default=False, err=True)
    if typed.strip() != confirm:
        raise Invalid(f"Not confirmed: {confirm} was to be typed. Nothing was started.", code="not_confirmed")


def _reason(consent: Consent, tier: int, terminal: Terminal) -> dict[str, str]:
    if consent.reason:
        return {"reason": consent.reason}
    if tier < _REASON_TIER:
        return {}
    if not terminal.interactive:
        raise Invalid("An order of this size needs a reason. Add --reason TEXT.", code="reason_required")
    return {"reason": click.prompt("Reason (kept with the job)", err=True)}


def summary(preview: Body) -> str:
    """Returns ``412 hosts (412 prod), worst case 70 fail before it stops`` for an answer of ``resolve``."""
    count = int(preview["count"])
    text = "1 host" if count == 1 else f"{count} hosts"
    by_env: dict[str, int] = (preview.get("by") or {}).get("env") or {}
    if by_env:
        text += f" ({', '.join(f'{n} {env}' for env, n in sorted(by_env.items(), key=lambda item: -item[1]))})"
    worst = preview.get("worst_case")
    if worst is not None and worst < count:
        text += f", worst case {worst} fail before it stops"
    return text
