"""``opsconsole export``: what came of a job as a file."""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from opsconsole.cli.client import ConsoleClient, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.wrote import wrote_of, wrote_options
from opsconsole.errors import Invalid
from opsconsole.settings import Settings

_FORMATS = ("json", "ndjson", "csv", "hosts", "zip", "tar.gz")
_ARCHIVES = frozenset({"zip", "tar.gz"})
# The console may have to search through all output before it begins.
_SILENCE_SECONDS = 120.0


@click.command()
@click.argument("job", type=int)
@click.option("--format", "format", type=click.Choice(_FORMATS), default="json", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--state", help="Only hosts in these states: f,k or failed,timed_out.")
@click.option("--host", "q", help="Only hosts with this in their name, or of a range or pattern: web[18-20].")
@wrote_options
@click.option("--sort", metavar="NAME", help="Rows by host, state, exit, ms, bytes or a column; -NAME turns it round.")
@click.option("--fold", is_flag=True, help="With --format hosts: one expression with ranges.")
@click.option(
    "--column",
    "column",
    multiple=True,
    metavar="COLUMN",
    help="Add a column made of the output: json:PATH, key:NAME, re:EXPR or table:HEADER@ROW; repeat for more.",
)
@edge
def export(job: int, *, output: Path | None, **asked: Any) -> int:
    """Export what came of a JOB: rows of its hosts, their names, or an archive with what each wrote."""
    if asked["format"] in _ARCHIVES and output is None and sys.stdout.isatty():
        raise Invalid("An archive is nothing for a terminal: add -o FILE.")
    columns = list(asked.pop("column"))
    wrote_of(asked)
    query: dict[str, str | list[str]] = {name: str(value) for name, value in asked.items() if value}
    query["column"] = columns
    with open_client(Settings.load()) as client:
        if output is None:
            _copy(client, job, query, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return ExitCode.OK
        try:
            # A broken transfer leaves no half of a file where a whole one is expected.
            with tempfile.NamedTemporaryFile(dir=output.absolute().parent, delete=False) as draft:
                try:
                    _copy(client, job, query, draft)
                    draft.flush()
                    os.replace(draft.name, output)
                except BaseException:
                    Path(draft.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise Invalid(f"{output} cannot be written: {error.strerror}.") from None
    return ExitCode.OK


def _copy(client: ConsoleClient, job: int, query: Mapping[str, str | list[str]], into: Any) -> None:
    with client.streaming(f"jobs/{job}/export", params=query, read_timeout=_SILENCE_SECONDS) as response:
        for data in response.iter_bytes():
            into.write(data)
