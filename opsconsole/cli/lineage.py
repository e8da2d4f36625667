"""``opsconsole lineage``: a job and its reruns side by side, hosts with the same history in one row."""

import json

import click

from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.hostset.folding import fold
from opsconsole.settings import Settings

_ABSENT = "."


@click.command()
@click.argument("job", type=int)
@click.option("--json", "as_json", is_flag=True)
@edge
def lineage(job: int, *, as_json: bool) -> int:
    """Show a JOB, those it is a rerun of, and their reruns: hosts down, jobs across, a letter for each state."""
    with open_client(Settings.load()) as client:
        jobs = client.get(f"jobs/{job}/lineage")["jobs"]
        histories = _histories(client, jobs)
    if as_json:
        rows = [{"hosts": fold(hosts), "count": len(hosts), "states": states} for states, hosts in histories.items()]
        click.echo(json.dumps({"jobs": jobs, "rows": rows}))
        return ExitCode.OK
    for item in jobs:
        created = str(item["created_at"])[:16].replace("T", " ")
        after = f"rerun of #{item['rerun_of']}" if item["rerun_of"] else "first"
        click.echo(harmless(f"#{item['id']:<6} {item['state']:<10} {created}  {item['by']:<12.12} {after}"))
    for line in table([str(item["id"]) for item in jobs], histories):
        click.echo(harmless(line))
    return ExitCode.OK


def table(jobs: list[str], histories: dict[str, list[str]]) -> list[str]:
    """Returns the lines of the table: ``histories`` are hosts by their states, one letter a job."""
    names = [f"{fold(hosts)} ({len(hosts)})" for hosts in histories.values()]
    width = max([5, *map(len, names)])
    columns = [f"#{job}" for job in jobs]
    lines = [f"{'hosts':<{width}}  {'  '.join(columns)}"]
    for name, states in zip(names, histories, strict=True):
        cells = (f"{letter:^{len(column)}}" for letter, column in zip(states, columns, strict=True))
        lines.append(f"{name:<{width}}  {'  '.join(cells)}".rstrip())
    return [*lines, f"{_ABSENT} not in that job"] if any(_ABSENT in states for states in histories) else lines


def _histories(client: ConsoleClient, jobs: list[Body]) -> dict[str, list[str]]:
    """Returns the hosts by their history, the longest history of trouble first."""
    letters: dict[str, list[str]] = {}
    for number, job in enumerate(jobs):
        hosts = client.get(f"jobs/{job['id']}/roster")["hosts"]
        for host, letter in zip(hosts, client.get(f"jobs/{job['id']}/grid")["grid"], strict=True):
            letters.setdefault(host, [_ABSENT] * len(jobs))[number] = letter
    histories: dict[str, list[str]] = {}
    for host, states in letters.items():
        histories.setdefault("".join(states), []).append(host)
    return dict(sorted(histories.items(), key=lambda item: (item[0].count(_ABSENT), item[0])))
