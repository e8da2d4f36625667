"""Between the command line and the rest: exit codes and sentences of what a command returns or raises."""

import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec

import click

from opsconsole.cli import exit_codes
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.help import write_options
from opsconsole.cli.terminal import harmless
from opsconsole.errors import Invalid, OpsconsoleError
from opsconsole.jobs.transcript import as_text

P = ParamSpec("P")


class CommandLine(click.Command):
    """A command that gives an order: options come first, ``--`` may stand before somebody else's words, as with ssh."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses; a bare ``--yes`` never takes the following word for its number."""
        end = args.index("--") if "--" in args else len(args)
        options = ["--yes=any" if arg == "--yes" else arg for arg in args[:end]]
        return super().parse_args(ctx, options + args[end:])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options under headings: there are many."""
        write_options(self, ctx, formatter)


def edge(command: Callable[P, int]) -> Callable[P, None]:
    """Makes an exit code of what ``command`` returns or raises, and a sentence of an error."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            _check_text(kwargs.values())
            code = command(*args, **kwargs)
        except OpsconsoleError as error:
            for line in explained(error):
                click.echo(harmless(line), err=True)
            code = exit_codes.of_error(error)
        except (KeyboardInterrupt, click.Abort):
            click.echo("opsconsole: interrupted", err=True)
            code = ExitCode.CANCELLED
        sys.exit(int(code))

    return run


def _check_text(given: Iterable[object]) -> None:
    """Raises ``Invalid`` for words that cannot be sent: bytes in them are not UTF-8."""
    for value in given:
        for word in value if isinstance(value, tuple) else (value,):
            if isinstance(word, str) and not word.isascii() and any("\udc80" <= char <= "\udcff" for char in word):
                raise Invalid(f"Not valid UTF-8: {as_text(os.fsencode(word))}", code="not_utf8")


def explained(error: OpsconsoleError) -> list[str]:
    """Returns the lines that tell a person what is wrong, where, and how to mend it."""
    lines = [f"opsconsole: {error.detail}"]
    for fault in error.errors:
        where = fault.field + (f", column {fault.column}" if fault.column else "")
        if fault.message not in error.detail:
            lines.append(f"  {where}: {fault.message}")
        elif fault.column:
            lines.append(f"  at {where}")
        if fault.hint:
            lines.append(f"  {fault.hint}")
    for name, sign in (("added", "+"), ("removed", "-")):
        hosts = error.extra.get(name)
        if isinstance(hosts, list) and hosts:
            lines.append(f"  {sign} {', '.join(str(host) for host in hosts[:50])}")
    return lines
