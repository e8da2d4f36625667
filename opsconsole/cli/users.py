"""``opsconsole users``: people and their roles, on the console's own machine."""

import json

import click

from opsconsole.settings import Settings

_ROLES = click.Choice(["viewer", "operator", "approver", "admin"])


@click.group()
def users() -> None:
    """List, add, disable people and change roles (on the console's own machine)."""


@users.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(*, as_json: bool) -> None:
    """List everybody by name."""
    from opsconsole.launcher.people import everybody

    for user in everybody(Settings.load()):
        state = "disabled" if user.disabled_at else "enabled"
        facts = {"name": user.name, "role": user.role, "state": state, "has_password": user.password_hash is not None}
        click.echo(json.dumps(facts) if as_json else f"{user.name:<24} {user.role:<9} {state}")


@users.command()
@click.argument("name")
@click.option("--role", type=_ROLES, default="operator", show_default=True)
def add(name: str, *, role: str) -> None:
    """Add NAME, without a password; opsconsole login-link NAME lets them in."""
    from opsconsole.accounts.permissions import Role
    from opsconsole.launcher import people

    people.add(Settings.load(), name, Role(role))
    click.echo(f"{name} is added as {role}.")


@users.command()
@click.argument("name")
@click.argument("role", type=_ROLES)
def role(name: str, role: str) -> None:
    """Give NAME another ROLE, at once for sessions and tokens too."""
    from opsconsole.accounts.permissions import Role
    from opsconsole.launcher import people

    people.change_role(Settings.load(), name, Role(role))
    click.echo(f"{name} has the role {role} now.")


@users.command()
@click.argument("name")
def disable(name: str) -> None:
    """Shut NAME out at once: sessions end, tokens and links fail, and what is queued for them does not start."""
    from opsconsole.launcher import people

    people.shut_out(Settings.load(), name)
    click.echo(f"{name} is disabled.")


@users.command()
@click.argument("name")
def enable(name: str) -> None:
    """Let NAME in again."""
    from opsconsole.launcher import people

    people.let_in(Settings.load(), name)
    click.echo(f"{name} is enabled.")
