"""``opsconsole credentials``: stored ways to log in, managed over the console's API. Nothing reads a secret back."""

import getpass
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.hosts import confirmed
from opsconsole.cli.terminal import harmless
from opsconsole.credentials.kinds import PLAIN_FIELDS, SECRET_FIELDS, Kind
from opsconsole.errors import Invalid
from opsconsole.settings import Settings

# What is asked for on a terminal when no file was given.
_ASKED = {Kind.PASSWORD: "password"}
_HOSTS_TOLD = 20
_MOST_BYTES = 256 * 1024
_READ = [name for name in SECRET_FIELDS if name not in PLAIN_FIELDS]
_WRITTEN = [name for name in SECRET_FIELDS if name in PLAIN_FIELDS]


@click.group()
def credentials() -> None:
    """Manage stored credentials: passwords and keys that are used by name and that nobody can read back."""


def _change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--notes", help="Free text.")(command)
    command = click.option("--user", help="The one remote user it is for; '' for any.")(command)
    command = click.option(
        "--scope", multiple=True, metavar="EXPRESSION", help="Used on these hosts alone; repeat for more. '*' is all."
    )(command)
    command = click.option(
        "--set",
        "written",
        multiple=True,
        metavar="FIELD=VALUE",
        help=f"Of the kind external, where the secret is: {', '.join(_WRITTEN)}. Repeat for more.",
    )(command)
    return click.option(
        "--file",
        "files",
        multiple=True,
        metavar="FIELD=PATH",
        help=f"Read a secret part from a file, - is stdin: {', '.join(_READ)}. Repeat for more.",
    )(command)


@credentials.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def list_(*, as_json: bool) -> int:
    """List credentials: kind, user, how many hosts they are for, when they were used."""
    with open_client(Settings.load()) as client:
        for item in client.get("credentials")["credentials"]:
            used = f"used {item['last_used_at'][:16]}" if item["last_used_at"] else "never used"
            text = f"{item['name']:<24} {item['kind']:<20} {item['user'] or '':<12} {_hosts(item['covers'], 6)}  {used}"
            if warning := _warning(item):
                text += f"  {warning}"
            click.echo(json.dumps(item) if as_json else harmless(text))
    return ExitCode.OK


@credentials.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True)
@edge
def show(name: str, *, as_json: bool) -> int:
    """Show the credential NAME: everything but its secrets."""
    with open_client(Settings.load()) as client:
        item: Body = client.get(_path(name))
    if as_json:
        click.echo(json.dumps(item))
        return ExitCode.OK
    warning, named = _warning(item), item.pop("named_by")
    for field, value in {**item.pop("public"), **item}.items():
        if value not in (None, [], ""):
            click.echo(harmless(f"{field:<14} {', '.join(map(str, value)) if isinstance(value, list) else value}"))
    click.echo(harmless(f"{'named by':<14} {_users(named) or 'nobody'}"))
    if warning:
        click.echo(harmless(warning), err=True)
    return ExitCode.OK


@credentials.command()
@click.argument("name")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), required=True)
@_change_options
@edge
def add(name: str, *, kind: str, **options: Any) -> int:
    """Add the credential NAME.

    \b
    opsconsole credentials add web --kind private_key --scope @web --file private_key=~/.ssh/id_ed25519
    opsconsole credentials add db --kind password --user dba --scope '@db & @dc:eu'

    A password is asked for when no file is given; a secret is never an argument, which others could see.
    """
    secrets = _secrets(options.pop("files"), options.pop("written"))
    asked = _ASKED.get(Kind(kind))
    if asked is not None and asked not in secrets:
        secrets[asked] = _typed(asked)
    with open_client(Settings.load()) as client:
        values = {"name": name, "kind": kind, **_values(options), "secrets": secrets}
        _report(_sent(lambda body: client.post("credentials", body), values))
    return ExitCode.OK


@credentials.command()
@click.argument("name")
@click.option("--rename", metavar="NAME", help="Another name for it; what names it has to be changed too.")
@click.option("--ask-password", is_flag=True, help="Ask for another password.")
@_change_options
@edge
def update(name: str, *, rename: str | None, ask_password: bool, **options: Any) -> int:
    """Change the credential NAME. Secret parts that are given replace all it has; its kind stays."""
    secrets = _secrets(options.pop("files"), options.pop("written"))
    if ask_password:
        secrets["password"] = _typed("password")
    values = _values(options) | ({"name": rename} if rename else {}) | ({"secrets": secrets} if secrets else {})
    if not values:
        raise Invalid("Say what to change: opsconsole credentials update NAME --scope @web")
    with open_client(Settings.load()) as client:
        _report(_sent(lambda body: client.patch(_path(name), body), values))
    return ExitCode.OK


@credentials.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@edge
def remove(name: str, *, yes: bool) -> int:
    """Remove the credential NAME and its secrets for good."""
    with open_client(Settings.load()) as client:
        named = client.get(_path(name))["named_by"]
        users = _users(named)
        told = f" It is named by {users}, which could then not log in." if users else ""
        if yes and told:
            click.echo(harmless(f"{name}:{told}"), err=True)
        if not yes and not confirmed(harmless(f"Remove the credential {name} for good?{told}")):
            return ExitCode.REFUSED
        client.delete(_path(name))
    return ExitCode.OK


@credentials.command("test-scope")
@click.argument("name")
@click.argument("targets")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@edge
def test_scope(name: str, targets: str, *, as_json: bool) -> int:
    """Say on which hosts of TARGETS the credential NAME may be used. Exit 1 when not on all. Nothing connects."""
    with open_client(Settings.load()) as client:
        found: Body = client.post(f"{_path(name)}/test-scope", {"targets": targets})
    if as_json:
        click.echo(json.dumps(found))
    else:
        for word, field in (("in scope", "covered"), ("not in scope", "outside")):
            if found[f"{field}_count"]:
                click.echo(harmless(f"{word:<12} {found[f'{field}_count']:>6}  {found[field]}"))
    return ExitCode.HOST_FAILED if found["outside_count"] else ExitCode.OK


def _sent(send: Callable[[Body], Body], values: Body) -> Body:
    """Returns the answer to ``values``; the passphrase of a key is asked for where that helps."""
    try:
        return send(values)
    except Invalid as error:
        locked = any(fault.field == "passphrase" for fault in error.errors)
        secrets = values.get("secrets") or {}
        if not locked or "passphrase" in secrets or not sys.stdin.isatty():
            raise
    passphrase = getpass.getpass("Passphrase of the private key: ")
    return send({**values, "secrets": {**secrets, "passphrase": passphrase}})


def _values(options: dict[str, Any]) -> Body:
    values: Body = {name: options[name] for name in ("user", "notes") if options[name] is not None}
    if options["scope"]:
        values["scope"] = list(options["scope"])
    return values


def _secrets(files: Sequence[str], written: Sequence[str]) -> Body:
    read = {name: _content(name, Path(path)) for name, path in (_part("file", text, _READ) for text in files)}
    return read | dict(_part("set", text, _WRITTEN) for text in written)


def _part(option: str, text: str, fields: Sequence[str]) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not equals or name not in fields:
        raise Invalid(f"Write --{option} FIELD=..., where FIELD is one of {', '.join(fields)}.")
    return name, rest


def _content(name: str, path: Path) -> str:
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES) if str(path) == "-" else path.expanduser().read_bytes()[:_MOST_BYTES]
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from None
    text = data.decode(errors="replace")
    # An editor ends the line of a password; a key is a text of lines.
    return text if "key" in name or "certificate" in name else text.removesuffix("\n").removesuffix("\r")


def _typed(field: str) -> str:
    if sys.stdin.isatty():
        typed = getpass.getpass(f"{field.capitalize()} to store: ")
        if typed != getpass.getpass("Once more: "):
            raise Invalid("The two differ. Nothing was stored.")
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _report(item: Body) -> None:
    shown = f", {item['public']['fingerprint']}" if "fingerprint" in item["public"] else ""
    click.echo(harmless(f"{item['name']}: {item['kind']}{shown}, for {_hosts(item['covers'])} of the inventory now"))
    if warning := _warning(item):
        click.echo(harmless(f"{item['name']}: {warning}"), err=True)


def _users(named: Body) -> str:
    """Returns who names a credential, in one line; some of many hosts."""
    hosts = named["hosts"][:_HOSTS_TOLD]
    users = [*(f"@{group}" for group in named["groups"]), *hosts]
    more = named["host_count"] - len(hosts)
    users += [f"{_hosts(more)} more"] if more > 0 else []
    users += [f"the saved command {command}" for command in named.get("saved", ())]
    users += ["the console's setting OPSCONSOLE_CREDENTIAL"] if named["setting"] else []
    return ", ".join(users)


def _warning(item: Body) -> str:
    """Returns why servers refuse a certificate, or soon will; nothing when they do not."""
    public = item["public"]
    match item.get("validity"):
        case "expired":
            return f"EXPIRED on {public['valid_before']}: servers refuse it"
        case "not_yet":
            return f"NOT VALID YET, from {public['valid_after']} on: servers refuse it until then"
        case "ends_soon":
            return f"EXPIRES SOON, on {public['valid_before']}"
    return ""


def _hosts(count: int, width: int = 0) -> str:
    return f"{count:>{width}} {'host' if count == 1 else 'hosts'}"


def _path(name: str) -> str:
    return f"credentials/{quote(name, safe='')}"
