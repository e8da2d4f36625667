"""The processes of a console as the system shows them (Linux): which part each is, and what CPU it has used."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of_tree(root: int) -> float:
    """Returns the CPU seconds used so far by process ``root`` and all below it, those that have ended included."""
    return sum(cpu_by_part(root).values())


def cpu_by_part(root: int) -> dict[str, float]:
    """Returns the CPU seconds of ``cpu_of_tree`` split by the kind of the child of ``root`` that used them."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for pid, parent, seconds in processes():
        parents[pid], used[pid] = parent, seconds
    parts: dict[str, float] = {}
    for pid, seconds in used.items():
        child = _child_above(pid, root, parents)
        if child is not None:
            name = "supervisor" if child == root else kind_of(child)
            parts[name] = parts.get(name, 0.0) + seconds
    return parts


def processes() -> Iterator[tuple[int, int, float]]:
    """Yields id, parent's id and CPU seconds, those of its ended children included, of all processes."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in brackets may hold anything; all else follows the last bracket.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield int(entry.name), int(fields[1]), sum(map(int, fields[11:15])) / _TICKS


def _child_above(pid: int, root: int, parents: Mapping[int, int]) -> int | None:
    """Returns the child of ``root`` that ``pid`` is or is below, ``root`` for itself, ``None`` for a stranger."""
    if pid == root:
        return root
    while pid and (parent := parents.get(pid, 0)) != root:
        pid = parent
    return pid or None


def kind_of(pid: int) -> str:
    """Returns which part of a console process ``pid`` is: worker, web, beat, broker or other."""
    try:
        words = (Path("/proc") / str(pid) / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return "other"
    if "valkey" in words[0] or "redis" in words[0]:
        return "broker"
    return next((kind for kind in ("worker", "web", "beat") if kind in words), "other")
