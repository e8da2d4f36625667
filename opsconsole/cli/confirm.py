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


@dataclass(frozen=True, slots=True)
class Consent:
    """What the caller said in advance: ``yes`` alone, or with the ``count`` of hosts it is meant for."""

    yes: bool = False
    count: int | None = None
    reason: str | None = None

    @classmethod
    def parse(cls, text: str | None, reason: str | None) -> "Consent":
        """Returns the meaning of ``--yes`` (``any``), ``--yes=412`` or neither. Raises ``Invalid`` for others."""
        why = (reason or "").strip() or None
        if text is None:
            return cls(reason=why)
        if text == "any":
            return cls(yes=True, reason=why)
        if text.isascii() and text.isdigit():
            return cls(yes=True, count=int(text), reason=why)
        raise Invalid(f"--yes={text}: write the number of hosts, as in --yes=412.")


_NOTHING_SAID = Consent()


def obtain(consent: Consent, preview: Body, terminal: Terminal) -> dict[str, str]:
    """Returns the members ``confirm`` and ``reason`` of the order, after asking the person where that is due.

    Raises ``Invalid`` when the number of hosts is not the one agreed to, or nobody is there to be asked.
    """
    count = int(preview["count"])
    risk: dict[str, Any] = preview["risk"]
    if consent.count is not None and consent.count != count:
        raise Invalid(
            f"--yes={consent.count}, but these are {count} hosts now. Nothing was started.", code="count_changed"
        )
    given = {"reason": consent.reason} if consent.reason else {}
    if int(risk["tier"]) < _TYPED_TIER:
        if risk["tier"]:
            _count_down(consent, preview, terminal)
        return given
    missing = needed(preview, consent)
    if missing and not terminal.interactive:
        raise Invalid(f"{_danger(preview)}. Add {' and '.join(missing)} to go on.", code="confirmation_required")
    confirm = str(risk["confirm"])
    if consent.count is None:
        _ask_for(confirm, preview, terminal)
    if risk["reason_required"] and not given:
        given = {"reason": click.prompt("Reason (kept with the job)", err=True)}
    return {"confirm": confirm} | given


def needed(preview: Body, consent: Consent = _NOTHING_SAID) -> list[str]:
    """Returns the options that an order of this risk needs beyond what ``consent`` says: ``["--yes=412"]``."""
    risk: dict[str, Any] = preview["risk"]
    options = []
    if int(risk["tier"]) >= _TYPED_TIER and consent.count is None:
        options.append(f"--yes={preview['count']}")
    if risk["reason_required"] and not consent.reason:
        options.append("--reason '...'")
    return options


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
    for reason in preview["risk"].get("reasons", ()):
        terminal.note(str(reason), always=True)
    typed = click.prompt(f"{summary(preview)}. Type {confirm} to go on", default="", show_default=False, err=True)
    if typed.strip() != confirm:
        raise Invalid(f"Not confirmed: {confirm} was to be typed. Nothing was started.", code="not_confirmed")


def _danger(preview: Body) -> str:
    count = preview["count"]
    others = [str(reason) for reason in preview["risk"].get("reasons", ()) if reason != f"{count} hosts"]
    return "; ".join([summary(preview), *others])


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
