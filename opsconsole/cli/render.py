"""Prints what the hosts said: gathered as ``clush -b`` does, as differences, or line by line with the host in front."""

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from opsconsole.cli.client import Body, ConsoleClient
from opsconsole.cli.terminal import Terminal
from opsconsole.jobs.similarity import Mode

_RULE = "-" * 15
_PAGE = 10_000
_STDERR = 2
_REFUSED = {
    "run_as": "not let become the other account",
    "exec_refused": "refused to run it",
}
_STEPS = {
    "check": "check failed{}, the act was not started",
    "verify": "verify failed{} after the act",
}
_WHY = {
    "k": "timed out",
    "u": "unreachable",
    "x": "cancelled",
    "s": "skipped",
    "l": "lost, the command may have run",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output: its number counted from 1, the stream (1 or 2), the text without its end."""

    number: int
    fd: int
    text: str


BOTH = frozenset({1, 2})


def lines_of(
    client: ConsoleClient,
    job: int,
    host: int | str,
    *,
    from_line: int = 1,
    fds: Collection[int] = BOTH,
    step: str | None = None,
    encoding: str | None = None,
) -> Iterator[Line]:
    """Yields the lines of one host's output as far as they are stored, page by page; only those of streams ``fds``,
    and of one ``step``, read as ``encoding``."""
    while True:
        page = client.output(job, host, from_line=from_line, limit=_PAGE, step=step, encoding=encoding)
        for number, _, fd, text in page["lines"]:
            if fd in fds:
                yield Line(number, fd, text)
        if len(page["lines"]) < _PAGE:
            return
        from_line = page["lines"][-1][0] + 1


class Gathered:
    """Prints one block for all hosts that said the same, and one line for each kind of trouble."""

    def __init__(
        self,
        client: ConsoleClient,
        terminal: Terminal,
        job: int,
        *,
        diff: bool = False,
        fds: Collection[int] = BOTH,
        alike: str | None = None,
    ) -> None:
        self._client = client
        self._terminal = terminal
        self._job = job
        self._diff = diff
        self._fds = fds
        self._alike = alike

    def show(self, groups: list[Body]) -> None:
        """Prints ``groups``, good ones first; with ``diff`` the first in full and the others as differences to it."""
        good = [group for group in groups if group["state"] == "o"]
        bad = [group for group in groups if group["state"] != "o"]
        reference: list[str] | None = None
        for group in good:
            if self._diff and reference is not None:
                self._show_difference(group, reference, good[0])
            elif self._diff:
                reference = self._show_block(group, self._lines(group))
            else:
                self._show_block(group, self._lines(group))
        self._show_idle(good)
        for group in bad:
            self._show_trouble(group)

    def show_trouble_only(self, groups: list[Body]) -> None:
        """Prints a line for each kind of trouble, for when the hosts' own lines are printed already."""
        self._show_idle([group for group in groups if group["state"] == "o"])
        for group in groups:
            if group["state"] != "o":
                self._terminal.note(trouble_line(group), always=True, fg="red")

    def _show_idle(self, good: list[Body]) -> None:
        """Says where the check found nothing to do: nothing was changed there."""
        for group in good:
            if group.get("reason") == "nothing_to_do":
                names = f"{group['folded']} ({group['count']})"
                self._terminal.note(f"opsconsole: {names}: nothing to do, the act was not started")

    def _lines(self, group: Body) -> Iterator[Line]:
        if group.get("variants", 1) > 1 and self._alike != Mode.EXACT:
            return self._masked(group)
        return lines_of(self._client, self._job, group["i"], fds=self._fds)

    def _masked(self, group: Body) -> Iterator[Line]:
        """Yields what the hosts of a group have in common: one host's lines would be wrong for the others."""
        from_line = 1
        while True:
            page = self._client.group(self._job, group["g"], self._alike, from_line=from_line, limit=_PAGE)["lines"]
            yield from (Line(number, fd, text) for number, fd, text in page if fd in self._fds)
            if len(page) < _PAGE:
                return
            from_line = page[-1][0] + 1

    def _show_block(self, group: Body, lines: Iterator[Line]) -> list[str]:
        """Prints header and lines, nothing when there are none, and returns the lines if they are to be compared."""
        shown: list[str] = []
        last = 0
        for line in lines:
            if last == 0:
                self._header(group)
            if line.number > last + 1 and self._fds == BOTH:
                self._terminal.line(f"[{_not_kept(last + 1, line.number - 1)}]", fg="yellow")
            self._terminal.host_line(line.text)
            last = line.number
            if self._diff:
                shown.append(line.text)
        return shown

    def _show_difference(self, group: Body, reference: list[str], other: Body) -> None:
        self._header(group)
        self._terminal.line(f"--- {other['folded']}")
        self._terminal.line(f"+++ {group['folded']}")
        if self._fds == BOTH:
            found = self._client.group_diff(self._job, group["g"], other["g"], self._alike)
            for hunk in found["hunks"]:
                self._terminal.host_line(hunk["at"])
                for sign, text in hunk["lines"]:
                    self._terminal.host_line(f"{sign}{text}")
            return
        lines = [line.text for line in self._lines(group)]
        for text in list(difflib.unified_diff(reference, lines, lineterm=""))[2:]:
            self._terminal.host_line(text)

    def _show_trouble(self, group: Body) -> None:
        """A single line of error text fits behind the names; more is a block of its own first."""
        lines = list(self._lines(group)) if _may_have_output(group) else []
        said = ""
        if len(lines) == 1 and lines[0].fd == _STDERR:
            said = lines[0].text
        elif lines:
            self._show_block(group, iter(lines))
        self._terminal.note(trouble_line(group, said), always=True, fg="red")

    def _header(self, group: Body) -> None:
        self._terminal.line(_RULE)
        self._terminal.line(f"{group['folded']} ({group['count']}{_variants(group)})", bold=True)
        self._terminal.line(_RULE)


def _variants(group: Body) -> str:
    return f", {group['variants']} variants" if group.get("variants", 1) > 1 else ""


def _end(group: Body) -> str:
    step = _STEPS.get(str(group.get("reason")))
    if step is not None:
        return step.format("" if group["exit"] is None else f" (exit {group['exit']})")
    if signal := group.get("signal"):
        return f"killed by {signal}"
    if group.get("reason") == "device_fault":
        # Whatever status it gave besides.
        return "told a fault"
    if group["exit"] is not None:
        return f"exit {group['exit']}"
    reason = str(group.get("reason") or "failed")
    return _REFUSED.get(reason, reason.replace("_", " "))


def trouble_line(group: Body, said: str = "") -> str:
    """Returns ``opsconsole: NAMES (COUNT): what went wrong[: detail]`` for a group that is not ok."""
    parts = [f"opsconsole: {group['folded']} ({group['count']})"]
    if group["state"] == "f":
        parts.append(_end(group))
    else:
        parts.append(_WHY.get(group["state"], "not finished"))
    if said:
        parts.append(said)
    elif group["state"] == "u" or group.get("reason") in _REFUSED:
        # Nothing ran, so the head is no output but the reason in words.
        parts.append(str(group.get("head") or str(group.get("reason") or "").replace("_", " ")))
    elif group["state"] != "f" and group.get("reason"):
        parts.append(str(group["reason"]).replace("_", " "))
    return ": ".join(part for part in parts if part)


def ending(row: Body) -> str:
    """Returns how a host ended that is not ok: ``NAME: state: reason: detail``, of what is known of it."""
    reason = str(row.get("reason") or "")
    if row["state"] == "failed" and (
        row.get("signal") or reason in _STEPS or (reason == "exit_status" and row["exit"] is not None)
    ):
        reason = _end(row)
    parts = [str(row["host"]), str(row["state"]), reason, str(row.get("detail") or "")]
    return ": ".join(part.replace("_", " ") if place == 1 else part for place, part in enumerate(parts) if part)


def _may_have_output(group: Body) -> bool:
    return group["state"] in "fkxl"


class Prefixed:
    """Prints each host's lines with its name in front, as they come; call it with the hosts that may have more."""

    def __init__(self, client: ConsoleClient, terminal: Terminal, job: int, *, fds: Collection[int] = BOTH) -> None:
        self._client = client
        self._terminal = terminal
        self._job = job
        self._fds = fds
        self._next: dict[int, int] = {}
        self._hosts: list[str] | None = None

    def show(self, index: int) -> None:
        """Prints the lines of host ``index`` not printed yet."""
        prefix = f"{self.hosts[index]}: "
        first = self._next.get(index, 1)
        for line in lines_of(self._client, self._job, index, from_line=first):
            if line.number > first:
                # Among the lines it would be taken for one of the host's.
                missing = _not_kept(first, line.number - 1)
                self._terminal.note(f"opsconsole: {prefix}{missing}", always=True, fg="yellow")
            if line.fd in self._fds:
                self._terminal.host_line(line.text, prefix=prefix, err=line.fd == _STDERR)
            first = self._next[index] = line.number + 1

    @property
    def hosts(self) -> list[str]:
        """The names of the job's hosts by index."""
        if self._hosts is None:
            self._hosts = self._client.get(f"jobs/{self._job}/roster")["hosts"]
        return self._hosts


def _not_kept(first: int, last: int) -> str:
    return f"lines {first} to {last} were not kept"


def job_row(job: Body) -> str:
    """Returns one line of the list of jobs."""
    counts: dict[str, Any] = job["counts"]
    trouble = sum(counts.get(letter, 0) for letter in "fkul")
    figures = f"{counts.get('o', 0)}/{job['targets']['count']} ok" + (f", {trouble} not" if trouble else "")
    created = str(job["created_at"])[:16].replace("T", " ")
    return f"#{job['id']:<6} {job['state']:<10} {created}  {job['by']:<12.12} {figures:<20} {job['title']}"
