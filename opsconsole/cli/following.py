"""Sees a job through on the command line: watches it, prints what the hosts said, closes with verdict and exit code."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from opsconsole.cli import board as words
from opsconsole.cli import exit_codes
from opsconsole.cli.client import Body, ConsoleClient
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.render import Gathered, Prefixed
from opsconsole.cli.terminal import Terminal
from opsconsole.cli.watch import Left, Watch
from opsconsole.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Showing:
    """How a person wants to see a job. ``mode`` is ``gathered``, ``lines`` or ``None`` for what fits stdout; ``alike``
    says what one group is, by the modes of the API."""

    mode: str | None = None
    diff: bool = False
    quiet: bool = False
    largest: bool = False
    colour: bool | None = None
    as_json: bool = False
    alike: str | None = None

    @classmethod
    def of_options(cls, options: Mapping[str, Any]) -> "Showing":
        """Returns what the options of the command line say."""
        return cls(
            mode=options["gathered"],
            diff=options["diff"],
            quiet=options["quiet"],
            largest=options["largest"],
            colour=options["colour"],
            as_json=options["as_json"],
            alike=options.get("alike"),
        )

    def terminal(self) -> Terminal:
        """Returns the terminal to show it on."""
        return Terminal.of_process(colour=self.colour, quiet=self.quiet)

    def live(self) -> bool:
        """Returns whether lines are printed as they come instead of gathered at the end."""
        if self.as_json or self.diff:
            return False
        return self.mode == "lines" or (self.mode is None and not sys.stdout.isatty())


def see_through(client: ConsoleClient, job: int, showing: Showing, terminal: Terminal) -> int:
    """Watches the job to its end, prints its output and returns the exit code of the process."""
    live = Prefixed(client, terminal, job) if showing.live() else None
    watch = Watch(client, terminal, job, live=live, as_json=showing.as_json)
    try:
        left = watch.follow()
    except Unavailable:
        terminal.note(f"opsconsole: lost sight of #{job}. Return to it with: opsconsole attach {job}", always=True)
        raise
    if left is Left.DETACHED:
        terminal.note(f"#{job} goes on. Return to it with: opsconsole attach {job}", always=True)
        return ExitCode.OK
    groups = client.groups(job, showing.alike)
    if showing.as_json:
        click.echo(json.dumps({"event": "groups", "id": None, "data": {"groups": groups}}))
    else:
        _show(client, job, groups, showing, terminal, live=live is not None)
    if left is Left.NO_WORKER:
        return ExitCode.TROUBLE
    if left is Left.IMPATIENT:
        terminal.note(f"#{job} is still stopping. Look again with: opsconsole attach {job}", always=True)
        return ExitCode.CANCELLED
    status = client.status(job)
    board = watch.board
    terminal.note(words.closing_line(board, _seconds(status), f"{client.url}/j/{job}"))
    plain = exit_codes.of_job(board.state, board.stop_reason, board.counts)
    if showing.largest:
        return exit_codes.largest(plain, (group.get("exit") for group in groups))
    return plain


def _show(
    client: ConsoleClient, job: int, groups: list[Body], showing: Showing, terminal: Terminal, *, live: bool
) -> None:
    gathered = Gathered(client, terminal, job, diff=showing.diff, alike=showing.alike)
    if live:
        gathered.show_trouble_only(groups)
    else:
        gathered.show(groups)


def _seconds(status: Body) -> float | None:
    if not status.get("started_at") or not status.get("finished_at"):
        return None
    ended = datetime.fromisoformat(status["finished_at"])
    return max(0.0, (ended - datetime.fromisoformat(status["started_at"])).total_seconds())
