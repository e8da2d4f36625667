"""``opsconsole check``: whether the command still runs on hosts where its end is not known."""

import json
import time
from typing import Any

import click

from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.settings import Settings

_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 120.0
_PAGE = 1000
# Lost; or ended by a cancel, a deadline or a stop that the host has not confirmed.
_MAY_RUN = "lxk"
_ASKED = "asked"
_WORDS = {"running": "still runs", "gone": "is gone", "unknown": "not known", _ASKED: "no answer yet"}


@click.command()
@click.argument("job", type=int)
@click.argument("hosts", nargs=-1)
@click.option("--kill", is_flag=True, help="End what is found: TERM, then KILL.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a host.")
@edge
def check(job: int, hosts: tuple[str, ...], *, kill: bool, as_json: bool) -> int:
    """Look whether a JOB's command still runs where its end is not known, or on HOSTS. Never runs it again."""
    with open_client(Settings.load()) as client:
        client.post(f"jobs/{job}/check", {"hosts": list(hosts) or None, "kill": kill})
        rows = _answered(client, job, hosts)
    for row in rows:
        look: dict[str, Any] = row["look"]
        if as_json:
            click.echo(json.dumps({"host": row["host"], "state": row["state"], "look": look}))
        else:
            click.echo(harmless(f"{row['host']}: {_WORDS[look['state']]}. {look['detail'] or ''}".rstrip()))
    if not rows:
        click.echo(f"#{job}: the end of its command is known on every host.", err=True)
    doubtful = {row["look"]["state"] for row in rows} - {"gone"}
    return ExitCode.UNREACHED if doubtful else ExitCode.OK


def _answered(client: ConsoleClient, job: int, hosts: tuple[str, ...]) -> list[Body]:
    """Returns the rows that were looked at once all are answered, or as they are when that takes too long."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        rows = _looked_at(client, job, hosts)
        if time.monotonic() > deadline or not any(row["look"]["state"] == _ASKED for row in rows):
            return rows
        time.sleep(_POLL_SECONDS)


def _looked_at(client: ConsoleClient, job: int, hosts: tuple[str, ...]) -> list[Body]:
    if hosts:
        rows = [client.host(job, host) for host in hosts]
    else:
        rows, cursor = [], "0"
        while cursor is not None:
            page = client.get(f"jobs/{job}/hosts", state=_MAY_RUN, limit=_PAGE, cursor=cursor)
            rows += page["rows"]
            cursor = page["next"]
    return [row for row in rows if row["look"] is not None]
