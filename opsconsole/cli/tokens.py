"""``opsconsole token``: the caller's own API tokens."""

import json

import click

from opsconsole.cli.client import open_client
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.remote import edge
from opsconsole.settings import Settings


@click.group()
def token() -> None:
    """Make, list and revoke your API tokens."""


@token.command()
@click.argument("name")
@click.option("--scope", type=click.Choice(["read", "run"]), default="run", show_default=True)
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Days until it expires.")
@edge
def create(name: str, *, scope: str, days: int) -> int:
    """Make a token. It is printed this once."""
    with open_client(Settings.load()) as client:
        made = client.post("tokens", {"name": name, "scope": scope, "expires_in_days": days})
    click.echo(made["token"])
    return ExitCode.OK


@token.command(name="list")
@click.option("--json", "as_json", is_flag=True)
@edge
def list_(*, as_json: bool) -> int:
    """List your tokens, newest first."""
    with open_client(Settings.load()) as client:
        tokens = client.get("tokens")["tokens"]
    for item in tokens:
        if as_json:
            click.echo(json.dumps(item))
            continue
        state = "revoked" if item["revoked_at"] else f"until {str(item['expires_at'] or 'revoked')[:10]}"
        used = str(item["used_at"] or "never")[:16].replace("T", " ")
        click.echo(f"{item['id']:<14} {item['scope']:<5} {state:<18} used {used:<17} {item['name']}")
    return ExitCode.OK


@token.command()
@click.argument("token_id")
@edge
def revoke(token_id: str) -> int:
    """Revoke a token by its id. It stops working at once."""
    with open_client(Settings.load()) as client:
        client.delete(f"tokens/{token_id}")
    return ExitCode.OK
