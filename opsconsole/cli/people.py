"""Commands that let people in: the first administrator, and one-time sign-in links."""

import click

from opsconsole.settings import Settings


@click.command("create-admin")
@click.argument("name")
def create_admin(name: str) -> None:
    """Make NAME an administrator and print a one-time sign-in link."""
    from opsconsole.launcher.access import new_admin_link

    click.echo(new_admin_link(Settings.load(), name))


@click.command("login-link")
@click.argument("name", required=False)
def login_link(name: str | None) -> None:
    """Print a link that signs NAME (or the first administrator) in once within ten minutes."""
    from opsconsole.launcher.access import link_for

    click.echo(link_for(Settings.load(), name))
