"""``opsconsole columns``: a table of values taken out of what the hosts of a job wrote, with simple sums."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import Terminal, harmless
from opsconsole.settings import Settings

_PAGE = 1000
_WIDTH = 40


@click.command()
@click.argument("job", type=int)
@click.argument("column", nargs=-1, required=True)
@click.option("--sort", metavar="NAME", help="Sort by this column, or host, state, exit, ms; -NAME turns it round.")
@click.option("--state", help="Only hosts in these states: f,k or failed,timed_out.")
@click.option("--host", "q", help="Only hosts with this in their name, or of a range or pattern: web[18-20].")
@click.option("--find", help="Only hosts with this TEXT in their output.")
@click.option("-E", "--re", "re", is_flag=True, help="The text of --find is a regular expression (RE2).")
@click.option("-s", "--case", "case", is_flag=True, help="Upper and lower case differ for --find.")
@click.option(
    "--found", type=click.Choice(["with", "without"]), help="Hosts with a hit for --find (usual), or without."
)
@click.option("--sums", is_flag=True, help="Only the sums: least, median, greatest, the most common values.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def columns(job: int, column: Sequence[str], *, sums: bool, as_json: bool, **asked: Any) -> int:
    """Show each COLUMN of what the hosts of a JOB wrote.

    A COLUMN is json:PATH, key:NAME, re:EXPRESSION or table:HEADER@ROW; NAME= before it names it.
    """
    query: Body = {"column": list(column), **{name: value for name, value in asked.items() if value}}
    with open_client(Settings.load()) as client:
        if sums:
            found = client.get(f"jobs/{job}/hosts", **query, limit=1)["columns"]
            for one in found:
                click.echo(json.dumps(one) if as_json else harmless(_sums(one)))
            return ExitCode.OK
        found = _print_rows(client, job, query, as_json=as_json)
    terminal = Terminal.of_process(colour=None)
    for one in found:
        terminal.note(harmless(_sums(one)))
    return ExitCode.OK


def _print_rows(client: ConsoleClient, job: int, query: Body, *, as_json: bool) -> list[Body]:
    """Prints all rows and returns the columns with their sums."""
    found: list[Body] = []
    for page in _pages(client, job, query):
        if not found and not as_json:
            click.echo(_line(["host", *(one["name"] for one in page["columns"])]))
        found = page["columns"]
        for row in page["rows"]:
            if as_json:
                click.echo(json.dumps({name: row[name] for name in ("i", "host", "state", "values")}))
            else:
                click.echo(_line([row["host"], *(row["values"][one["name"]] for one in found)]))
    return found


def _pages(client: ConsoleClient, job: int, query: Body) -> Iterator[Body]:
    cursor: str | None = None
    while True:
        page: Body = client.get(f"jobs/{job}/hosts", **query, limit=_PAGE, cursor=cursor)
        yield page
        cursor = page["next"]
        if cursor is None:
            return


def _line(cells: Sequence[str | None]) -> str:
    """Returns one row: what is short stands under each other, what is long is told whole."""
    first, *others = ["-" if cell is None else cell for cell in cells]
    return harmless("  ".join([f"{first:<24}", *(f"{cell:<14}" for cell in others)]).rstrip())


def _sums(one: Body) -> str:
    parts = [f"{one['name']}: {one['filled']} of {one['filled'] + one['missing']} hosts"]
    if one["numbers"]:
        parts.append(f"min {one['min']}, median {one['median']}, max {one['max']}")
    common = ", ".join(f"{value[:_WIDTH]} ({hosts})" for value, hosts in one["common"][:5])
    more = one["distinct"] - min(len(one["common"]), 5)
    if common:
        parts.append(common + (f" and {more} more values" if more > 0 else ""))
    return "; ".join(parts)
