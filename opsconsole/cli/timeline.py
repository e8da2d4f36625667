"""``opsconsole timeline``: what happened to a job as a whole."""

import json
import shutil
from datetime import datetime

import click

from opsconsole.cli import chart
from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.jobs.packing import Rows
from opsconsole.settings import Settings


@click.command()
@click.argument("job", type=int)
@click.option(
    "--chart",
    "rows",
    type=click.Choice([kind.value for kind in Rows]),
    help="When each host ran instead: a row for each slot, for the hundred slowest hosts or for those in trouble.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Rows of the chart.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def timeline(job: int, *, rows: str | None, limit: int, as_json: bool) -> int:
    """Tell what happened to a JOB: who steered it, its waves, why it waited or stopped."""
    with open_client(Settings.load()) as client:
        if rows is not None:
            _chart(client, job, rows, limit, as_json=as_json)
            return ExitCode.OK
        told = client.get(f"jobs/{job}/timeline")
    if told["left_out"] and not as_json:
        click.echo(f"({told['left_out']} earlier events are left out)")
    for event in told["events"]:
        click.echo(json.dumps(event) if as_json else harmless(line(event)))
    return ExitCode.OK


def _chart(client: ConsoleClient, job: int, rows: str, limit: int, *, as_json: bool) -> None:
    if as_json:
        for row in chart.read(client, job, rows, limit):
            click.echo(json.dumps(row))
        return
    for text in chart.chart(client, job, rows=rows, limit=limit, width=shutil.get_terminal_size().columns):
        click.echo(text)


def line(event: Body) -> str:
    """Returns one event with its time in the zone of this machine."""
    at = datetime.fromisoformat(str(event["at"])).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}  {event['text']}"
