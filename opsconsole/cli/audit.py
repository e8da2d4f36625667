"""``opsconsole audit``: who did what, when and from where."""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.settings import Settings

_MAX_COMMAND = 100


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that choose records; they are the filters of the API."""
    for option in reversed(
        (
            click.option("--actor", metavar="NAME", help="Who did it."),
            click.option("--action", help="What was done: job.launch, or a kind of actions such as job."),
            click.option("--object", metavar="OBJECT", help="To what: job/1042, host:web1, user:li.wei."),
            click.option("--address", help="From which address."),
            click.option("--text", help="A part of the command."),
            click.option("--since", metavar="TIME", help="A day or a time; UTC unless it says otherwise."),
            click.option("--until", metavar="TIME", help="Likewise; a day is taken in as a whole."),
        )
    ):
        command = option(command)
    return command


@click.group()
def audit() -> None:
    """Read the audit (approvers and admins), export it, and check that it is whole."""


@audit.command(name="list")
@_filters
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def list_(*, limit: int, as_json: bool, **filters: str | None) -> int:
    """List what was done, newest first."""
    with open_client(Settings.load()) as client:
        records = client.get("audit", limit=limit, **filters)["records"]
    for entry in records:
        click.echo(json.dumps(entry) if as_json else harmless(_row(entry)))
    return ExitCode.OK


@audit.command()
@_filters
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), default="csv", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of stdout.")
@edge
def export(*, form: str, output: Path | None, **filters: str | None) -> int:
    """Write all that was done, newest first; formula cells of CSV are escaped. The export is a record itself."""
    params = {"format": form} | {name: value for name, value in filters.items() if value is not None}
    with open_client(Settings.load()) as client, client.streaming("audit/export", params=params) as response:
        if output is None:
            for piece in response.iter_bytes():
                sys.stdout.buffer.write(piece)
            sys.stdout.flush()
        else:
            with output.open("wb") as file:
                for piece in response.iter_bytes():
                    file.write(piece)
    return ExitCode.OK


@audit.command()
@edge
def verify() -> int:
    """Check on the console's own machine that no record was changed, removed or put in between."""
    from opsconsole.launcher.audit import first_broken

    broken = first_broken(Settings.load())
    if broken is None:
        click.echo("The audit is whole.")
        return ExitCode.OK
    click.echo(f"The audit is not whole: record {broken} is not what was written, or is missing.", err=True)
    return ExitCode.TROUBLE


def _row(entry: Body) -> str:
    at = datetime.fromisoformat(str(entry["at"])).astimezone()
    detail = entry["detail"]
    command = str(entry["text"] or "").partition("\n")[0][:_MAX_COMMAND]
    hosts = f"{detail['targets']} = {detail['count']} hosts" if detail.get("digest") else ""
    typed = f"typed: {detail['confirm']}" if detail.get("confirm") else ""
    told = [entry["actor"], entry["address"] or "-", entry["action"], entry["object"] or "", hosts, typed, command]
    return f"{at:%Y-%m-%d %H:%M:%S}  " + "  ".join(str(part) for part in told if part)
