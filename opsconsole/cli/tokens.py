"""``opsconsole token``: API tokens, made on the console's own machine for programs on this and other ones."""

import json
from typing import Any

import click

from opsconsole.settings import Settings

_OWNER = click.option("--user", "owner", metavar="NAME", help="Whose token. [default: the first administrator]")


@click.group()
def token() -> None:
    """Make, list and revoke API tokens (on the console's own machine)."""


@token.command()
@click.argument("name")
@_OWNER
@click.option("--scope", type=click.Choice(["read", "run"]), default="run", show_default=True)
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Days until it expires.")
def create(name: str, *, owner: str | None, scope: str, days: int) -> None:
    """Make a token called NAME. Its text is printed this once."""
    from opsconsole.accounts.permissions import Scope
    from opsconsole.launcher.tokens import make

    click.echo(make(Settings.load(), name, owner=owner, scope=Scope(scope), days=days))


@token.command(name="list")
@_OWNER
@click.option("--json", "as_json", is_flag=True)
def list_(*, owner: str | None, as_json: bool) -> None:
    """List tokens, newest first, without their secrets."""
    from opsconsole.launcher.tokens import tokens_of

    for item in tokens_of(Settings.load(), owner):
        ends = "revoked" if item.revoked_at else f"until {_day(item.expires_at)}"
        if as_json:
            facts = {"id": item.id, "name": item.name, "scope": item.scope, "state": ends, "used": _day(item.used_at)}
            click.echo(json.dumps(facts))
        else:
            click.echo(f"{item.id:<18} {item.scope:<5} {ends:<17} used {_day(item.used_at):<11} {item.name}")


@token.command()
@click.argument("token_id")
def revoke(token_id: str) -> None:
    """Revoke a token by its id. It stops working at once."""
    from opsconsole.launcher import tokens

    tokens.revoke(Settings.load(), token_id)


def _day(moment: Any) -> str:
    return f"{moment:%Y-%m-%d}" if moment is not None else "never"
