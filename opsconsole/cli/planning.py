"""``opsconsole run --dry-run``: what an order would do, wave by wave and host by host."""

import json
import shlex

import click

from opsconsole.cli.client import Body
from opsconsole.cli.confirm import needed, summary
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import Terminal


def show_plan(plan: Body, terminal: Terminal, *, as_json: bool) -> int:
    """Prints the answer of ``plan`` and returns the exit code: 2 when the order would be refused."""
    if as_json:
        click.echo(json.dumps(plan))
    else:
        _print(plan, terminal)
    return ExitCode.OK if plan["policy"]["allowed"] else ExitCode.REFUSED


def _print(plan: Body, terminal: Terminal) -> None:
    terminal.line(f"Dry run, nothing connects: {summary(plan)}.", bold=True)
    for line in str(plan["command"]).splitlines():
        terminal.line(f"  $ {line}")
    for line in what_lines(plan.get("what")):
        terminal.line(f"  {line}")
    if len(plan["waves"]) > 1 or any(wave["kind"] == "canary" for wave in plan["waves"]):
        for number, wave in enumerate(plan["waves"]):
            terminal.line(f"wave {number} ({wave['kind']}): {_count(wave['size'])}: {wave['folded']}")
    if plan.get("drawn_again"):
        terminal.line("Drawn at random: the launch draws anew which hosts go first.")
    width = max((len(host["host"]) for host in plan["hosts"]), default=0)
    for host in plan["hosts"]:
        where = f"{host['user']}@{host['address']}:{host['port']}"
        login = f"{host['credential'] or 'NO CREDENTIAL'} ({host['credential_from']})"
        way = f"  through {host['jump']} ({host['jump_from']})" if host.get("jump") else ""
        terminal.line(f"{host['host']:<{width}}  wave {host['wave']}  {where}  {login}{way}")
        if host.get("variables"):
            for line in str(host["command"]).splitlines():
                terminal.line(f"  {'':<{width}}$ {line}")
    if confirmation := needed(plan):
        terminal.line(f"to confirm: {' '.join(confirmation)} ({', '.join(plan['risk']['reasons'])})")
    for reason in plan["policy"]["reasons"]:
        terminal.note(f"opsconsole: {reason}", always=True, fg="red")


def what_lines(what: Body | None) -> list[str]:
    """Returns how a command is run, one line for each thing that is said, in the names of the options."""
    lines = []
    for name, value in (what or {}).items():
        match value:
            case dict():
                text = " ".join(f"{key}={shlex.quote(part)}" for key, part in value.items())
            case list():
                text = shlex.join(value)
            case _:
                text = f"{len(value.encode()):,} bytes" if name == "stdin" else value
        lines.append(f"{name}: {text}")
    return lines


def _count(hosts: int) -> str:
    return "1 host" if hosts == 1 else f"{hosts} hosts"
