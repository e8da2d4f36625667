"""``opsconsole search``: which hosts of a job wrote something, and the lines."""

import json
from collections.abc import Iterator
from typing import Any

import click

from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import Terminal
from opsconsole.errors import Unavailable
from opsconsole.settings import Settings

# Most hosts have few lines with a hit: those come with the totals, more of a host by itself.
_AT_FIRST = 20
_PAGE = 1000


@click.command()
@click.argument("job", type=int)
@click.argument("text")
@click.option("-E", "--re", "re", is_flag=True, help="TEXT is a regular expression (RE2), looked for within each line.")
@click.option("-s", "--case", "case", is_flag=True, help="Upper and lower case differ.")
@click.option("--state", help="Only hosts in these states: f,k or failed,timed_out.")
@click.option("--host", help="Only hosts with this in their name, or of a range or pattern: web[18-20].")
@click.option("-c", "mode", flag_value="count", help="How many lines of each host, not the lines.")
@click.option("-l", "mode", flag_value="with", help="The hosts with a hit, one a line.")
@click.option("-L", "mode", flag_value="without", help="The hosts without a hit, one a line.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line with a hit.")
@edge
def search(job: int, text: str, *, mode: str | None, as_json: bool, **asked: Any) -> int:
    """Search for TEXT in what the hosts of a JOB wrote. Exits with 1 when nothing is found, as grep does."""
    terminal = Terminal.of_process(colour=None)
    query = {"q": text, **{name: value for name, value in asked.items() if value}}
    with open_client(Settings.load()) as client:
        found = _totals(client, job, query)
        match mode:
            case "with" | "without" | "count":
                _print_hosts(client, job, found, query, mode, as_json=as_json)
            case _:
                _print_lines(client, job, query, terminal, as_json=as_json)
        terminal.note(_summary(found))
    return ExitCode.OK if found["with"] else ExitCode.HOST_FAILED


def _totals(client: ConsoleClient, job: int, query: Body) -> Body:
    """Asks until all hosts were searched; the console answers after some seconds with what it has."""
    last: tuple[object, ...] = ()
    while True:
        found: Body = client.get(f"jobs/{job}/search", **query, limit=1)
        now = (found["ver"], found["searched"])
        # A running job is searched anew each time: when that is too much for one answer it stays so.
        if found["complete"] or now == last:
            return found
        last = now


def _rows(client: ConsoleClient, job: int, query: Body) -> Iterator[Body]:
    cursor: int | None = 0
    while cursor is not None:
        page = client.get(f"jobs/{job}/search", **query, limit=100, hits=_AT_FIRST, cursor=cursor)
        yield from page["rows"]
        cursor = page["next"]


def _hits(client: ConsoleClient, job: int, row: Body, query: Body) -> Iterator[Body]:
    yield from row["hits"]
    for skip in range(len(row["hits"]), row["lines"], _PAGE):
        one = {name: value for name, value in query.items() if name in {"q", "re", "case"}}
        page = client.get(f"jobs/{job}/search", **one, i=row["i"], skip=skip, hits=_PAGE)
        for more in page["rows"]:
            yield from more["hits"]


def _print_lines(client: ConsoleClient, job: int, query: Body, terminal: Terminal, *, as_json: bool) -> None:
    for row in _rows(client, job, query):
        for hit in _hits(client, job, row, query):
            if as_json:
                click.echo(json.dumps({"i": row["i"], "host": row["host"], **hit}))
            else:
                terminal.host_line(hit["text"], prefix=f"{row['host']}:{hit['n']}: ")


def _print_hosts(client: ConsoleClient, job: int, found: Body, query: Body, mode: str, *, as_json: bool) -> None:
    names: list[str] = client.get(f"jobs/{job}/roster")["hosts"]
    totals = dict(found["totals"])
    if mode == "without":
        if not found["complete"]:
            raise Unavailable("Not all hosts could be searched in the time. Ask again when the job has ended.")
        places = [row["i"] for row in _host_rows(client, job, query) if row["i"] not in totals]
    else:
        places = list(totals)
    for i in places:
        if as_json:
            click.echo(json.dumps({"i": i, "host": names[i], "lines": totals.get(i, 0)}))
        else:
            click.echo(f"{names[i]}: {totals[i]}" if mode == "count" else names[i])


def _host_rows(client: ConsoleClient, job: int, query: Body) -> Iterator[Body]:
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(
            f"jobs/{job}/hosts", state=query.get("state"), q=query.get("host"), limit=_PAGE, cursor=cursor or None
        )
        yield from page["rows"]
        cursor = page["next"]


def _summary(found: Body) -> str:
    lines = "1 line" if found["lines"] == 1 else f"{found['lines']} lines"
    text = f"{lines} on {found['with']} of {found['searched']} hosts"
    return text if found["complete"] else f"{text}; not all hosts could be searched in the time"
