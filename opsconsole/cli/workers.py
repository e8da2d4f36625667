"""``opsconsole workers``: the worker processes, and which of them take runs."""

import json
from urllib.parse import quote

import click

from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.settings import Settings


@click.group()
def workers() -> None:
    """List the workers, drain one, let it take runs again."""


@workers.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def list_(*, as_json: bool) -> int:
    """List the workers that are connected, with their slots and whether they take runs."""
    with open_client(Settings.load()) as client:
        found: list[Body] = client.get("workers")["list"]
    for worker in found:
        click.echo(json.dumps(worker) if as_json else _line(worker))
    return ExitCode.OK


@workers.command()
@click.argument("name")
@edge
def drain(name: str) -> int:
    """Let worker NAME take no further run. What it runs goes on."""
    return _tell(name, "drain")


@workers.command()
@click.argument("name")
@edge
def resume(name: str) -> int:
    """Let worker NAME take runs again."""
    return _tell(name, "resume")


def _tell(name: str, verb: str) -> int:
    with open_client(Settings.load()) as client:
        worker: Body = client.post(f"workers/{quote(name, safe='')}/{verb}", {})
    click.echo(_line(worker))
    return ExitCode.OK


def _line(worker: Body) -> str:
    by = f" by {worker['drained_by']}" if worker["drained_by"] else ""
    return harmless(f"{worker['name']:<32} {worker['busy']:>4} of {worker['slots']:<4} slots  {worker['state']}{by}")
