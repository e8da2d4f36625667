"""``opsconsole logs``: what one host, or each host, of a job has written."""

import json
import sys
import time

import click

from opsconsole.cli.board import in_words
from opsconsole.cli.client import ConsoleClient
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.following import Showing
from opsconsole.cli.render import Gathered, Line, Prefixed, ending, lines_of
from opsconsole.cli.terminal import Terminal
from opsconsole.jobs.states import ACTIVE, RunState

_FOLLOW_SECONDS = 0.5
_ACTIVE = frozenset(state.value for state in ACTIVE)
_FDS = {"both": frozenset({1, 2}), "stdout": frozenset({1}), "stderr": frozenset({2})}


def print_logs(
    client: ConsoleClient,
    job: int,
    host: str | None,
    *,
    follow: bool,
    stream: str,
    showing: Showing,
    step: str | None = None,
    encoding: str | None = None,
) -> int:
    """Prints the output stored so far, of ``host`` or of all; with ``follow`` goes on until the host has ended.
    Of one ``step`` of a host, and in another ``encoding``, what is there is printed.

    How hosts ended that are not ok is told on stderr behind it, with reason and detail; so is that there is no output.
    """
    terminal = showing.terminal()
    silent = True
    as_text = showing.as_json or sys.stdout.isatty()
    if host is not None and (encoding is not None or (step is not None and as_text)):
        for line in lines_of(client, job, host, fds=_FDS[stream], step=step, encoding=encoding):
            _print(line, as_json=showing.as_json, terminal=terminal)
    elif host is None:
        _print_all(client, job, showing, terminal, fds=_FDS[stream])
    elif follow or as_text:
        _print_lines(client, job, host, follow=follow, fds=_FDS[stream], as_json=showing.as_json, terminal=terminal)
    else:
        silent = not _copy_raw(client, job, host, stream, step)
        left_out = client.output(job, host, from_line=-1, limit=1, step=step)["truncated"]
        if left_out:
            terminal.note(f"opsconsole: {host}: {left_out['bytes']} bytes were not kept", always=True, fg="yellow")
    if showing.as_json:
        return ExitCode.OK
    silent = silent and terminal.silent
    if host is not None:
        _tell_end(client, job, host, terminal, silence=_silence(stream) if silent else "")
        return ExitCode.OK
    if silent:
        terminal.note(f"{_silence(stream)}; {', '.join(in_words(client.status(job)['counts']))}")
    if silent or showing.live():
        # Gathered output has told the trouble already.
        Gathered(client, terminal, job).show_trouble_only(client.groups(job, showing.alike))
    return ExitCode.OK


def _tell_end(client: ConsoleClient, job: int, host: str, terminal: Terminal, *, silence: str) -> None:
    row = client.host(job, host)
    letter = RunState(row["state"]).letter
    if letter == "o" or row["state"] in _ACTIVE:
        if silence:
            terminal.note(f"{silence}; {', '.join(in_words({letter: 1}))}")
        return
    terminal.note(f"{silence}; {ending(row)}" if silence else f"opsconsole: {ending(row)}", always=True, fg="red")


def _silence(stream: str) -> str:
    return f"no {'output' if stream == 'both' else stream}"


def _copy_raw(client: ConsoleClient, job: int, host: str, stream: str, step: str | None) -> int:
    """Into a file or a pipe go the very bytes, and a line where some were not kept; returns how many there were."""
    size = 0
    for piece in client.raw(job, host, stream=stream, step=step):
        size += sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    return size


def _print_all(client: ConsoleClient, job: int, showing: Showing, terminal: Terminal, *, fds: frozenset[int]) -> None:
    printer = Prefixed(client, terminal, job, fds=fds)
    if showing.as_json:
        for index, host in enumerate(printer.hosts):
            for line in lines_of(client, job, index, fds=fds):
                click.echo(json.dumps({"host": host, "n": line.number, "fd": line.fd, "text": line.text}))
    elif showing.live():
        for index in range(len(printer.hosts)):
            printer.show(index)
    else:
        gathered = Gathered(client, terminal, job, diff=showing.diff, fds=fds, alike=showing.alike)
        gathered.show(client.groups(job, showing.alike))


def _print_lines(
    client: ConsoleClient,
    job: int,
    host: str,
    *,
    follow: bool,
    fds: frozenset[int],
    as_json: bool,
    terminal: Terminal,
) -> None:
    next_line = 1
    while True:
        # Asked before the lines are read: an end that comes in between means one more round, not lost lines.
        ended = client.output(job, host, from_line=next_line, limit=1)["state"] not in _ACTIVE
        for line in lines_of(client, job, host, from_line=next_line):
            if line.fd in fds:
                _print(line, as_json=as_json, terminal=terminal)
            next_line = line.number + 1
        if ended or not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def _print(line: Line, *, as_json: bool, terminal: Terminal) -> None:
    if as_json:
        click.echo(json.dumps({"n": line.number, "fd": line.fd, "text": line.text}))
    else:
        terminal.host_line(line.text)
