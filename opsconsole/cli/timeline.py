"""``opsconsole timeline``: what happened to a job as a whole."""

import json
from datetime import datetime

import click

from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.settings import Settings


@click.command()
@click.argument("job", type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def timeline(job: int, *, as_json: bool) -> int:
    """Tell what happened to a JOB: who steered it, its waves, why it waited or stopped."""
    with open_client(Settings.load()) as client:
        told = client.get(f"jobs/{job}/timeline")
    if told["left_out"] and not as_json:
        click.echo(f"({told['left_out']} earlier events are left out)")
    for event in told["events"]:
        click.echo(json.dumps(event) if as_json else harmless(line(event)))
    return ExitCode.OK


def line(event: Body) -> str:
    """Returns one event with its time in the zone of this machine."""
    at = datetime.fromisoformat(str(event["at"])).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}  {event['text']}"
