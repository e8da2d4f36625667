"""``opsconsole trust``: a person's decision on the host keys that the hosts of a job have shown."""

import sys
from collections.abc import Sequence

import click

from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.host_keys import decide
from opsconsole.cli.terminal import harmless
from opsconsole.settings import Settings

_CHANGED = "host_key_changed"


@click.command()
@click.argument("job", type=int)
@click.argument("hosts", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask. Compare the fingerprints before you write this.")
@edge
def trust(job: int, hosts: tuple[str, ...], *, yes: bool) -> int:
    """Trust the host keys that JOB's hosts (or only HOSTS) have shown, after a look at their fingerprints.

    A key that differs from the one trusted before is left out unless its host is named.
    """
    with open_client(Settings.load()) as client:
        offered: list[Body] = client.get(f"jobs/{job}/host-keys")["host_keys"]
        chosen = [key for key in offered if key["host"] in hosts or (not hosts and key["reason"] != _CHANGED)]
        _show(offered, chosen)
        if not chosen:
            click.echo("No host key awaits a decision here." if not offered else "Name the hosts to trust.", err=True)
            return ExitCode.REFUSED
        if not yes and not _asked(len(chosen)):
            return ExitCode.REFUSED
        decide(client, "trust", chosen)
    click.echo(f"{len(chosen)} trusted. Run the job again on them: opsconsole rerun {job} --states u")
    return ExitCode.OK


def _show(offered: Sequence[Body], chosen: Sequence[Body]) -> None:
    for key in offered:
        mark = "+" if key in chosen else " "
        warning = "   CHANGED: not the key trusted before" if key["reason"] == _CHANGED else ""
        click.echo(harmless(f"{mark} {key['host']}  {key['algorithm']} {key['fingerprint']}{warning}"))


def _asked(count: int) -> bool:
    if not sys.stdin.isatty():
        click.echo("Add --yes to trust them without being asked.", err=True)
        return False
    return click.confirm(f"Trust {count}?", default=False, err=True)
