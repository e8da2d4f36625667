"""``opsconsole saved``: commands that are kept under a name, for hosts that are fixed or looked up at each run."""

import json
import uuid
from typing import Any

import click

from opsconsole.cli import confirm
from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.confirm import Consent
from opsconsole.cli.edge import CommandLine, edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.following import Showing, see_through
from opsconsole.cli.hosts import confirmed
from opsconsole.cli.ordering import control_options, login_options, order_of, target_options, text_of, what_options
from opsconsole.cli.password import RUN_AS, ask_password
from opsconsole.cli.remote import showing_options
from opsconsole.cli.terminal import harmless
from opsconsole.errors import Invalid, NotFound
from opsconsole.settings import Settings

# What `resolve` is asked about an order; the rest says who logs in, and under which title.
_NOT_ASKED = ("title", "user", "credential", "priority")


@click.group()
def saved() -> None:
    """Keep commands under a name, and run them again."""


@saved.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def list_(*, as_json: bool) -> int:
    """List saved commands by name."""
    with open_client(Settings.load()) as client:
        for item in client.get("saved")["saved"]:
            click.echo(json.dumps(item) if as_json else harmless(_row(item)))
    return ExitCode.OK


@saved.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@edge
def show(name: str, *, as_json: bool) -> int:
    """Show the saved command NAME."""
    with open_client(Settings.load()) as client:
        item = _find(client, name)
    if as_json:
        click.echo(json.dumps(item))
        return ExitCode.OK
    click.echo(harmless(_row(item)))
    if item["hosts"]:
        click.echo(harmless(f"fixed hosts: {item['hosts']}"))
    for field, value in item["order"].items():
        lines = value.splitlines() if isinstance(value, str) else [json.dumps(value)]
        click.echo(harmless(f"{field:<18} {lines[0] if lines else ''}"))
        for line in lines[1:]:
            click.echo(harmless(f"{'':<18} {line}"))
    if item["notes"]:
        click.echo(harmless(item["notes"]))
    return ExitCode.OK


# Options stand on both sides of the name, so the command comes after a --.
@saved.command(cls=CommandLine)
@click.option("--static", is_flag=True, help="Fix the hosts now; without, -w is looked up at each run.")
@click.option("--notes", help="Free text.")
@click.option("--replace", "replacing", is_flag=True, help="Put it in the place of the one that has the name.")
@target_options
@login_options
@control_options
@what_options
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@edge
def add(
    name: str, command: tuple[str, ...], *, static: bool, notes: str | None, replacing: bool, **options: Any
) -> int:
    """Save COMMAND under NAME: opsconsole saved add -w @web disks -- df -h"""
    if options["ask_password"] or options["ask_run_as_password"]:
        message = "No password is kept: give --credential password (or --run-as-credential), and it when it is run."
        raise Invalid(message)
    body = {"name": name, "notes": notes, "static": static, "order": order_of(text_of(command, options), options)}
    with open_client(Settings.load()) as client:
        before = _look_for(client, name) if replacing else None
        if before is None:
            made = client.post("saved", body)
        else:
            made = client.put(f"saved/{before['id']}", body | {"version": before["version"]})
    click.echo(harmless(_row(made)))
    return ExitCode.OK


@saved.command(cls=CommandLine)
@click.argument("name")
@click.option("--yes", metavar="[=N]", help="Do not ask; with a number only if that many hosts are meant.")
@click.option("--reason", help="Why; kept with the job.")
@click.option("--ask-password", "asking", is_flag=True, help="Ask for the password (or read it from stdin).")
@click.option("--ask-run-as-password", is_flag=True, help="Ask for the password of the account to run as, too.")
@click.option("--detach", is_flag=True, help="Print the job's id and leave.")
@showing_options
@edge
def run(name: str, *, yes: str | None, reason: str | None, asking: bool, detach: bool, **options: Any) -> int:
    """Run the saved command NAME, on its fixed hosts or on those that its targets name now."""
    showing = Showing.of_options(options)
    terminal = showing.terminal()
    consent = Consent.parse(yes, reason)
    with open_client(Settings.load()) as client:
        item = _find(client, name)
        preview: Body = client.post("resolve", _question(item))
        order: Body = confirm.obtain(consent, preview, terminal)
        order["expect"] = {"count": preview["count"], "digest": preview["digest"], "hosts": preview["folded"]}
        if asking:
            order["password"] = ask_password()
        if options["ask_run_as_password"]:
            order["run_as_password"] = ask_password(RUN_AS)
        key = {"Idempotency-Key": str(uuid.uuid4())}
        job = int(client.post(f"saved/{item['id']}/run", order, headers=key)["id"])
        if detach:
            click.echo(job)
            return ExitCode.OK
        return see_through(client, job, showing, terminal)


@saved.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@edge
def remove(name: str, *, yes: bool) -> int:
    """Remove the saved command NAME; its jobs stay."""
    with open_client(Settings.load()) as client:
        item = _find(client, name)
        if not yes and not confirmed(f"Remove the saved command {item['name']}?"):
            return ExitCode.REFUSED
        client.delete(f"saved/{item['id']}")
    return ExitCode.OK


def _question(item: Body) -> Body:
    question = {name: value for name, value in item["order"].items() if name not in _NOT_ASKED}
    return question | ({"targets": item["hosts"], "exclude": ""} if item["static"] else {})


def _find(client: ConsoleClient, name: str) -> Body:
    found = _look_for(client, name)
    if found is None:
        raise NotFound(f"There is no saved command {name[:100]}. List them with: opsconsole saved list")
    return found


def _look_for(client: ConsoleClient, name: str) -> Body | None:
    wanted = " ".join(name.split()).lower()
    items: list[Body] = client.get("saved")["saved"]
    for item in items:
        if item["name"].lower() == wanted or f"#{item['id']}" == wanted:
            return item
    return None


def _row(item: Body) -> str:
    hosts = f"fixed: {item['hosts']}" if item["static"] else item["order"]["targets"]
    command = str(item["order"]["command"]).partition("\n")[0]
    shown = " ".join(str(hosts).split())
    return f"#{item['id']:<4} {item['name']:<24} {shown[:32]:<32}  {command[:80]}".rstrip()
