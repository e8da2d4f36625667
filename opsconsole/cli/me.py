"""``opsconsole me``: what a person has chosen for the pages."""

import json

import click

from opsconsole.accounts.preferences import CHOICES
from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.settings import Settings


@click.command()
@click.option("--language", type=click.Choice(CHOICES["language"]), help="Of the pages; 'browser' is what it asks for.")
@click.option("--theme", type=click.Choice(CHOICES["theme"]), help="Light, dark, or as the system.")
@click.option("--contrast", type=click.Choice(CHOICES["contrast"]), help="Whether states that recede stand out more.")
@click.option("--keys", type=click.Choice(CHOICES["keys"]), help="Whether single keys are shortcuts on the pages.")
@click.option("--json", "as_json", is_flag=True)
@edge
def me(*, as_json: bool, **said: str | None) -> int:
    """Tell how you want to see and use the pages, or choose it, for every browser of yours."""
    chosen = {name: word for name, word in said.items() if word is not None}
    with open_client(Settings.load()) as client:
        kept: Body = client.get("me/preferences")
        if chosen:
            kept = client.put("me/preferences", {**kept, **chosen})
    if as_json:
        click.echo(json.dumps(kept))
        return ExitCode.OK
    for name in CHOICES:
        click.echo(f"{name:<9} {kept[name]}")
    return ExitCode.OK
