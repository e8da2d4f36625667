"""``opsconsole find``: the global search of the pages."""

import json

import click

from opsconsole.cli.client import open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.settings import Settings


@click.command()
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 50), default=6, show_default=True, help="How many of each kind.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def find(text: str, *, limit: int, as_json: bool) -> int:
    """Find jobs (also by number, command, targets), hosts, groups, saved commands and pages by a part of their name."""
    with open_client(Settings.load()) as client:
        found = client.get("search", q=text, limit=limit)["found"]
    for item in found:
        line = f"{item['kind']:<6} {item['title']}  {item['detail']}".rstrip()
        click.echo(json.dumps(item) if as_json else harmless(line))
    if not found:
        click.echo("Nothing has that in its name.", err=True)
    return ExitCode.OK
