"""``opsconsole hosts``: the inventory's hosts, listed and changed over the console's API."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import click

from opsconsole.cli import health
from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.errors import Invalid
from opsconsole.settings import Settings

_PAGE = 1000
_FIELDS = ("address", "port", "user", "credential", "jump", "profile", "host_key_policy", "executor", "zone", "notes")
_Command = Callable[..., Any]


@click.group()
def hosts() -> None:
    """List and change the hosts of the inventory."""


def _field_options(command: _Command) -> _Command:
    """Adds an option for each field; an empty text unsets it."""
    texts = {
        "address": "Dialled instead of the name.",
        "port": "Port of its SSH server.",
        "user": "Remote user.",
        "credential": "Name of a key file of the console, or cred:NAME for a stored credential.",
        "jump": "Jump hosts in order: user@bastion:22,inner; or none.",
        "profile": "modern, or legacy for a device that speaks nothing newer.",
        "host_key_policy": "strict, accept_new or pinned; else its groups or the console say it.",
        "executor": "What carries out its runs: ssh, local or simulate; else the order or the console says it.",
        "zone": "Site it belongs to; kept, and nothing depends on it.",
        "notes": "Free text.",
    }
    for name in reversed(_FIELDS):
        command = click.option(f"--{name.replace('_', '-')}", name, help=texts[name])(command)
    command = click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="One tag; repeat for more.")(
        command
    )
    return click.option("--group", "groups", multiple=True, metavar="NAME", help="A group it is in; repeat for more.")(
        command
    )


@hosts.command(name="list")
@click.argument("expression", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--match", "q", default="", help="Only hosts with this in the name or address.")
@click.option("--health", "healthy", is_flag=True, help="How each has answered: o let us in, u could not be reached.")
@edge
def list_(expression: str, *, as_json: bool, q: str, healthy: bool) -> int:
    """List all hosts, or those of a target EXPRESSION such as '@web & @dc:eu'."""
    after = ""
    with open_client(Settings.load()) as client:
        while True:
            more = {"health": "1"} if healthy else {}
            page = client.get("inventory/hosts", expression=expression, q=q, after=after, limit=_PAGE, **more)
            for host in page["hosts"]:
                text = health.line(host["name"], host["health"]) if healthy else _line(host)
                click.echo(json.dumps(host) if as_json else harmless(text))
            if page["unknown"]:
                click.echo(harmless(f"Not in the inventory: {', '.join(page['unknown'])}"), err=True)
            if page["next"] is None:
                return ExitCode.OK
            after = page["next"]


@hosts.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@edge
def show(name: str, *, as_json: bool) -> int:
    """Show one host, and how it has answered lately."""
    with open_client(Settings.load()) as client:
        host: Body = client.get(_path(name))
        told = client.get(f"{_path(name)}/health")
    if as_json:
        click.echo(json.dumps(host | told))
        return ExitCode.OK
    texts = [(field, _text(value)) for field, value in host.items() if field != "health"]
    for field, text in [*texts, *health.lines(told)]:
        if text:
            click.echo(harmless(f"{field:<14} {text}"))
    return ExitCode.OK


@hosts.command()
@click.argument("name")
@_field_options
@edge
def add(name: str, **options: Any) -> int:
    """Add the host NAME."""
    with open_client(Settings.load()) as client:
        host = client.post("inventory/hosts", {"name": name, **_values(options)})
    click.echo(harmless(f"{host['name']} added."))
    return ExitCode.OK


@hosts.command(name="set")
@click.argument("name")
@click.option("--rename", metavar="NAME", help="Another name for it.")
@_field_options
@edge
def set_(name: str, *, rename: str | None, **options: Any) -> int:
    """Change fields of the host NAME; --user '' unsets one. --tag and --group name all it has afterwards."""
    values = _values(options) | ({"name": rename} if rename else {})
    if not values:
        raise Invalid("Say what to change: opsconsole hosts set NAME --user deploy")
    with open_client(Settings.load()) as client:
        host = client.patch(_path(name), values)
    click.echo(harmless(f"{host['name']} changed."))
    return ExitCode.OK


@hosts.command()
@click.argument("expression")
@click.option("--yes", is_flag=True, help="Do not ask.")
@edge
def remove(expression: str, *, yes: bool) -> int:
    """Take the hosts of EXPRESSION out of the inventory. Jobs keep their names and output."""
    with open_client(Settings.load()) as client:
        found = client.get("inventory/hosts", expression=expression, limit=1)
        if not yes and not confirmed(f"Remove {counted(found['total'])} from the inventory?"):
            return ExitCode.REFUSED
        return _changed(client.post("inventory/hosts/change", {"expression": expression, "remove": True}), "removed")


@hosts.command()
@click.argument("expression")
@click.argument("tags", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--drop", multiple=True, metavar="KEY", help="Take the tag away; repeat for more.")
@edge
def tag(expression: str, tags: tuple[str, ...], *, drop: tuple[str, ...]) -> int:
    """Give the hosts of EXPRESSION tags, beside those they have."""
    if not tags and not drop:
        raise Invalid("Say which tags: opsconsole hosts tag 'web*' dc=eu")
    order = {"expression": expression, "put_tags": tags_of(tags), "drop_tags": list(drop)}
    with open_client(Settings.load()) as client:
        return _changed(client.post("inventory/hosts/change", order))


@hosts.command()
@click.argument("expression")
@click.option("--reason", default="", help="Why; shown wherever the hosts are left out.")
@edge
def freeze(expression: str, *, reason: str) -> int:
    """Freeze the hosts of EXPRESSION: no job takes them."""
    with open_client(Settings.load()) as client:
        order = {"expression": expression, "frozen": True, "reason": reason}
        return _changed(client.post("inventory/hosts/change", order))


@hosts.command()
@click.argument("expression")
@edge
def unfreeze(expression: str) -> int:
    """Let jobs take the hosts of EXPRESSION again."""
    with open_client(Settings.load()) as client:
        return _changed(client.post("inventory/hosts/change", {"expression": expression, "frozen": False}))


def tags_of(words: Sequence[str]) -> dict[str, str]:
    """Returns the tags of ``key=value`` words. Raises ``Invalid``."""
    pairs = [word.partition("=") for word in words]
    if any(not equals for _, equals, _ in pairs):
        raise Invalid("Write tags as KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def counted(hosts: int) -> str:
    """Returns ``1 host`` or ``12 hosts``."""
    return "1 host" if hosts == 1 else f"{hosts} hosts"


def confirmed(question: str) -> bool:
    """Returns whether the person agrees; without a terminal nobody can, and that is said."""
    if not sys.stdin.isatty():
        click.echo("Add --yes to do it without being asked.", err=True)
        return False
    return click.confirm(question, default=False, err=True)


def _values(options: dict[str, Any]) -> Body:
    values: Body = {name: options[name] for name in _FIELDS if options[name] is not None}
    if values.get("port") == "":
        values["port"] = None
    if options["tags"]:
        values["tags"] = tags_of(options["tags"])
    if options["groups"]:
        values["groups"] = list(options["groups"])
    return values


def _changed(answer: Body, what: str = "changed") -> int:
    count = int(answer["changed"])
    click.echo(f"{counted(count)} {what}.")
    return ExitCode.OK


def _line(host: Body) -> str:
    where = host["address"] or ""
    if host["port"]:
        where += f":{host['port']}"
    tags = " ".join(f"{key}={value}" for key, value in host["tags"].items())
    state = "frozen" if host["frozen"] else ""
    return f"{host['name']:<32} {where:<24} {host['user'] or '':<10} {state:<7} {tags}".rstrip()


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None or value is False else str(value)


def _path(name: str) -> str:
    return f"inventory/hosts/{quote(name, safe='')}"
