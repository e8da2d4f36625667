"""``opsconsole groups``: the inventory's groups, listed and changed over the console's API."""

import json
from typing import Any
from urllib.parse import quote

import click

from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.hosts import confirmed, counted
from opsconsole.cli.terminal import harmless
from opsconsole.errors import NotFound
from opsconsole.settings import Settings

_FIELDS = ("credential", "jump", "profile", "host_key_policy", "notes")


@click.group()
def groups() -> None:
    """List and change the groups of the inventory."""


@groups.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def list_(*, as_json: bool) -> int:
    """List groups with their own hosts counted, and the groups in them."""
    with open_client(Settings.load()) as client:
        for group in client.get("inventory/groups")["groups"]:
            inside = " ".join(f"@{name}" for name in group["children"])
            text = f"@{group['name']:<31} {group['count']:>7}  {inside}".rstrip()
            click.echo(json.dumps(group) if as_json else harmless(text))
    return ExitCode.OK


@groups.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@edge
def show(name: str, *, as_json: bool) -> int:
    """Show the group NAME."""
    with open_client(Settings.load()) as client:
        group: Body = client.get(_path(name))
    if as_json:
        click.echo(json.dumps(group))
        return ExitCode.OK
    click.echo(f"{counted(group['total'])} in all, {len(group['hosts'])} of its own")
    said = {"credential": "credential", "jump": "jump hosts", "profile": "algorithms", "host_key_policy": "host keys"}
    for field, words in said.items():
        if group[field]:
            click.echo(harmless(f"{words} of its hosts: {group[field]}"))
    if group["used_by"]:
        click.echo(harmless(f"used by   {', '.join(one['name'] for one in group['used_by'])}"))
    for field in ("children", "parents", "hosts"):
        if group[field]:
            click.echo(harmless(f"{field:<9} {' '.join(group[field])}"))
    return ExitCode.OK


@groups.command(name="set")
@click.argument("name")
@click.option("-w", "expression", metavar="EXPRESSION", help="Its own hosts, all of them; '' for none.")
@click.option("--child", "children", multiple=True, metavar="NAME", help="A group in it; all of them, repeat for more.")
@click.option("--credential", help="cred:NAME or the name of a key file, for its hosts; '' leaves it to the console.")
@click.option("--jump", help="Jump hosts to its hosts: user@bastion:22,inner; '' leaves it to the console.")
@click.option("--profile", help="modern or legacy, for its hosts.")
@click.option("--host-key-policy", help="strict, accept_new or pinned, for its hosts; '' leaves it to the console.")
@click.option("--notes", help="Free text.")
@edge
def set_(name: str, **options: Any) -> int:
    """Make the group NAME, or change what is in it."""
    values: Body = {}
    with open_client(Settings.load()) as client:
        if options["expression"] is not None:
            values["hosts"] = _hosts(client, options["expression"])
        if options["children"]:
            values["children"] = list(options["children"])
        for field in _FIELDS:
            if options[field] is not None:
                values[field] = options[field] or None
        try:
            group, done = client.patch(_path(name), values), "changed"
        except NotFound:
            group, done = client.post("inventory/groups", {"name": name, **values}), "made"
    click.echo(harmless(f"@{group['name']} {done}: {counted(group['total'])} in all."))
    return ExitCode.OK


@groups.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@edge
def remove(name: str, *, yes: bool) -> int:
    """Remove the group NAME; its hosts stay."""
    with open_client(Settings.load()) as client:
        if not yes and not confirmed(f"Remove the group {name}?"):
            return ExitCode.REFUSED
        client.delete(_path(name))
    click.echo(harmless(f"@{name.removeprefix('@')} removed."))
    return ExitCode.OK


def _hosts(client: ConsoleClient, expression: str) -> list[str]:
    names: list[str] = []
    after: str | None = ""
    while expression.strip() and after is not None:
        page = client.get("inventory/hosts", expression=expression, after=after, limit=5000)
        names += [*(host["name"] for host in page["hosts"]), *page["unknown"]]
        after = page["next"]
    return names


def _path(name: str) -> str:
    return f"inventory/groups/{quote(name.removeprefix('@'), safe='/')}"
