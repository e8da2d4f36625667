"""``opsconsole settings``: what the console is set to."""

import json

import click

from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def settings(*, as_json: bool) -> int:
    """List limits, confirmations, reach, logins and retention, and where each value comes from (admins)."""
    with open_client(Settings.load()) as client:
        rows = client.get("settings")["settings"]
    for row in rows:
        click.echo(json.dumps(row) if as_json else harmless(_line(row)))
    return ExitCode.OK


def _line(row: Body) -> str:
    value = row["value"]
    if isinstance(value, list):
        told = ",".join(str(item) for item in value) or "-"
    elif isinstance(value, bool):
        told = "yes" if value else "no"
    else:
        told = "-" if value is None else str(value)
    return f"{row['variable']:<34} {told:<16} {row['source']:<12} {row['meaning']}"
