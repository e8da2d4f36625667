"""``opsconsole test``: the way to hosts, tried step by step by the workers."""

import json
import time
from typing import Any

import click

from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.hosts import counted
from opsconsole.cli.terminal import harmless
from opsconsole.settings import Settings

_POLL_SECONDS = 0.3
_SIGNS = {"ok": "+", "warned": "~", "failed": "!"}
_COLOURS = {"ok": "green", "warned": "yellow", "failed": "red"}
_FIELDS = ("user", "credential", "jump", "run_as", "run_as_method", "run_as_credential")


@click.command()
@click.argument("expression")
@click.option("-x", "exclude", default="", help="Hosts to leave out.")
@click.option("--user", "-l", help="Remote user.")
@click.option("--credential", help="auto, ambient, key:NAME or cred:NAME (a stored one).")
@click.option("--jump", "-J", metavar="HOSTS", help="Jump hosts: user@bastion:22,inner; or none.")
@click.option("--run-as", metavar="USER", help="Account to become as the last step.")
@click.option("--run-as-method", type=click.Choice(["sudo", "su"]), help="How; sudo.")
@click.option("--run-as-credential", help="With what: none, login or cred:NAME.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and host.")
@edge
def test(expression: str, *, exclude: str, as_json: bool, **options: str | None) -> int:
    """Have the workers test the connections to EXPRESSION's hosts, step by step, on the way that a run would take.

    Nothing is run there but a look at who and what answers. Exit code 3 when a host could not be used.
    """
    order: Body = {"targets": expression, "exclude": exclude}
    order |= {name: options[name] for name in _FIELDS if options[name] is not None}
    shown = 0
    with open_client(Settings.load()) as client:
        told = client.post("tests", order)
        while True:
            for host in _ended(told)[shown:]:
                click.echo(json.dumps(host) if as_json else "\n".join(_lines(host)))
            shown = len(_ended(told))
            if told["done"] >= told["count"]:
                break
            time.sleep(_POLL_SECONDS)
            told = client.get(f"tests/{told['test']}")
    if not as_json:
        click.echo(
            f"{told['count'] - told['failed']} of {counted(told['count'])} can be used.",
            err=True,
        )
    return ExitCode.UNREACHED if told["failed"] else ExitCode.OK


def _ended(told: Body) -> list[Body]:
    """Returns the hosts that were tried, those that ended first in front."""
    done = [host for host in told["hosts"] if host["done"]]
    return sorted(done, key=lambda host: str(host["done_at"]))


def _lines(host: Body) -> list[str]:
    place = harmless(f"{host['host']} ({host['user']}@{host['address']}:{host['port']})")
    return [click.style(place, bold=True), *(_line(step) for step in host["steps"])]


def _line(step: dict[str, Any]) -> str:
    sign = click.style(_SIGNS.get(step["verdict"], "?"), fg=_COLOURS.get(step["verdict"]))
    return f"  {sign} {step['stage']:<12} {step['ms']:>6} ms  {harmless(step['detail'])}"
