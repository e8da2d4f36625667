"""``opsconsole inventory``: import with a dry run, and export."""

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.hosts import confirmed, counted
from opsconsole.cli.terminal import harmless
from opsconsole.errors import Invalid
from opsconsole.inventory.formats import AUTO, EXPORTS, IMPORTS, ExportFormat
from opsconsole.settings import Settings

_INCLUDE = re.compile(r"^\s*include(?:\s*=\s*|\s+)(.+)$", re.IGNORECASE | re.MULTILINE)
_MAX_FILES = 200
_SHOWN = 200


@click.group()
def inventory() -> None:
    """Import hosts and groups from files, and export them."""


@inventory.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", "wanted", type=click.Choice(IMPORTS), default=AUTO, show_default=True)
@click.option("--prune", is_flag=True, help="Also remove what the file does not name.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--skip-faulty", is_flag=True, help="Leave out lines with faults instead of refusing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@edge
def import_(file: Path, **options: Any) -> int:
    """Read hosts and groups from FILE (- is stdin): say what changes, ask, then do exactly that."""
    return bring(file, **options)


def bring(file: Path, **options: Any) -> int:
    """Imports a file with a dry run first and returns the exit code. ``options`` are those of the command."""
    if options["prune"] and options["skip_faulty"]:
        raise Invalid(
            "--prune needs a file without faults: what a faulty line means to name would be removed. Leave "
            "out --skip-faulty."
        )
    order = _order(file, options)
    with open_client(Settings.load()) as client:
        plan: Body = client.post("inventory/import", order)
        if not options["as_json"]:
            _show(plan)
        count = plan["changes_count"]
        if options["dry_run"] or not count:
            return _end(plan, as_json=options["as_json"], blocked=bool(plan["faults"]))
        if plan["faults"] and not options["skip_faulty"]:
            click.echo("Nothing was changed. Mend these lines, or leave them out with --skip-faulty.", err=True)
            return _end(plan, as_json=options["as_json"], blocked=True)
        if not options["yes"] and not confirmed(f"Make {count} {'change' if count == 1 else 'changes'}?"):
            return ExitCode.REFUSED
        done = client.post("inventory/import", {**order, "digest": plan["digest"]})
    if not options["as_json"]:
        click.echo("Done.")
    return _end(done, as_json=options["as_json"], blocked=False)


@inventory.command()
@click.argument("expression", default="")
@click.option("--format", "wanted", type=click.Choice(EXPORTS), default=ExportFormat.CSV.value, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of stdout.")
@edge
def export(expression: str, *, wanted: str, output: Path | None) -> int:
    """Write the inventory, or the hosts of EXPRESSION, in another program's format."""
    with open_client(Settings.load()) as client:
        body = _download(client, wanted, expression)
    if output is not None:
        output.write_bytes(body)
    else:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
    return ExitCode.OK


@inventory.group()
def sources() -> None:
    """Programs and addresses that hosts are fetched from."""


@sources.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def list_(*, as_json: bool) -> int:
    """List sources: how old their last good answer is, and what was wrong since then."""
    with open_client(Settings.load()) as client:
        for source in client.get("inventory/sources")["sources"]:
            what = " ".join(source["argv"] or [source["url"]])
            age = "never" if source["age_ms"] is None else f"{source['age_ms'] // 1000} s ago"
            text = f"{source['name']:<20} {source['host_count']:>6} hosts  {age:<12} {what}  {source['error'] or ''}"
            click.echo(json.dumps(source) if as_json else harmless(text.rstrip()))
    return ExitCode.OK


@sources.command()
@click.argument("name")
@click.argument("words", nargs=-1, required=True, metavar="URL | PROGRAM [ARGUMENT]...")
@click.option("--timeout", type=click.IntRange(1, 300), default=30, show_default=True, help="Seconds.")
@click.option("--every", type=click.IntRange(0), default=3600, show_default=True, help="Seconds; 0: only by hand.")
@edge
def add(name: str, words: tuple[str, ...], *, timeout: int, every: int) -> int:
    """Add a source: a URL or a program (write -- before it) that answers as ansible-inventory --list."""
    order: Body = {"name": name, "timeout_seconds": timeout, "interval_seconds": every}
    order |= {"url": words[0]} if len(words) == 1 and "://" in words[0] else {"argv": list(words)}
    with open_client(Settings.load()) as client:
        client.post("inventory/sources", order)
    return ExitCode.OK


@sources.command()
@click.argument("name")
@edge
def refresh(name: str) -> int:
    """Ask the source NAME now."""
    with open_client(Settings.load()) as client:
        source = client.post(f"inventory/sources/{name}/refresh", {})
    click.echo(f"{counted(source['host_count'])}.")
    return ExitCode.OK


@sources.command()
@click.argument("name")
@edge
def remove(name: str) -> int:
    """Forget the source NAME; its hosts stay."""
    with open_client(Settings.load()) as client:
        client.delete(f"inventory/sources/{name}")
    return ExitCode.OK


def _download(client: ConsoleClient, wanted: str, expression: str) -> bytes:
    parameters = {"format": wanted, "expression": expression}
    with client.streaming("inventory/export", params=parameters) as response:
        return response.read()


def _order(file: Path, options: dict[str, Any]) -> Body:
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.") from None
    files = {}
    if options["wanted"] == "ssh-config" or file.name in {"config", "ssh_config"}:
        files = included(content, file.parent)
    return {
        "format": options["wanted"],
        "content_base64": base64.b64encode(content).decode(),
        "file_name": str(file)[-255:],
        "files": files,
        "prune": options["prune"],
        "skip_faulty": options["skip_faulty"],
    }


def included(content: bytes, folder: Path) -> dict[str, str]:
    """Returns the files that Include lines mean, by path below ``folder``; nothing outside of it is read."""
    found: dict[str, str] = {}
    waiting = [content.decode("utf-8", "replace")]
    while waiting:
        for line in _INCLUDE.finditer(waiting.pop()):
            for word in line[1].replace('"', " ").split():
                for path in _below(folder, word.removeprefix("~/.ssh/")):
                    name = path.relative_to(folder).as_posix()
                    if name not in found and len(found) < _MAX_FILES:
                        found[name] = path.read_text(errors="replace")
                        waiting.append(found[name])
    return found


def _below(folder: Path, pattern: str) -> list[Path]:
    if pattern.startswith(("/", "~")) or ".." in pattern.split("/"):
        return []
    inside = folder.resolve()
    return [path for path in sorted(folder.glob(pattern)) if path.is_file() and path.resolve().is_relative_to(inside)]


def _show(plan: Body) -> None:
    if plan.get("format"):
        click.echo(f"Read as {plan['format']}.", err=True)
    marks = {"added": "+", "changed": "~", "removed": "-"}
    for change in plan["changes"][:_SHOWN]:
        name = f"@{change['name']}" if change["kind"] == "group" else change["name"]
        parts = "; ".join(_field(part) for part in change["fields"])
        click.echo(harmless(f"{marks[change['action']]} {name}  {parts}".rstrip()[:500]))
    if plan["changes_count"] > _SHOWN:
        click.echo(f"... and {plan['changes_count'] - _SHOWN} more")
    for notice in plan["notices"]:
        times = f" ({notice['count']})" if notice["count"] > 1 else ""
        click.echo(harmless(f"note: {notice['text']}{times}"), err=True)
    for fault in plan["faults"]:
        place = " ".join(filter(None, (fault["file"], f"line {fault['line']}" if fault["line"] else "")))
        click.echo(harmless(f"{place}: {fault['message']}" if place else fault["message"]), err=True)
    told = [
        f"{kind.replace('_', ' ')} {action}: {count}"
        for kind, parts in plan["counts"].items()
        for action, count in parts.items()
        if count
    ]
    click.echo(", ".join(told) if told else "Nothing changes.")


def _field(part: Body) -> str:
    if part["before"] == part["after"]:
        return f"{part['field']} {part['before']}"
    if part["field"] in {"hosts", "groups"}:
        gone, come = part["before"], part["after"]
        return " ".join(filter(None, (part["field"], come and f"+{come}", gone and f"-{gone}")))
    return f"{part['field']} {part['before'] or '(none)'} -> {part['after'] or '(none)'}"


def _end(plan: Body, *, as_json: bool, blocked: bool) -> int:
    if as_json:
        click.echo(json.dumps(plan))
    return ExitCode.REFUSED if blocked else ExitCode.OK
