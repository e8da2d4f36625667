"""The commands that speak to a console over its API: run, resolve, jobs, logs, attach, cancel, rerun."""

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec

import click

from opsconsole.cli import confirm, exit_codes
from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.confirm import Consent
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.following import Showing, see_through
from opsconsole.cli.logs import print_logs
from opsconsole.cli.password import ask_password
from opsconsole.cli.render import job_row
from opsconsole.cli.terminal import Terminal, harmless
from opsconsole.errors import ConfirmationRequired, Invalid, OpsconsoleError
from opsconsole.jobs.output import as_text
from opsconsole.jobs.states import JobState
from opsconsole.settings import Settings

P = ParamSpec("P")

_RERUN_STATES = "f,k,u"


class CommandLine(click.Command):
    """A command that ends with somebody else's words, as ssh does: options come first, ``--`` may stand between."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses; a bare ``--yes`` never takes the following word for its number."""
        end = args.index("--") if "--" in args else len(args)
        options = ["--yes=any" if arg == "--yes" else arg for arg in args[:end]]
        return super().parse_args(ctx, options + args[end:])


def edge(command: Callable[P, int]) -> Callable[P, None]:
    """Makes an exit code of what ``command`` returns or raises, and a sentence of an error."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            _check_text(kwargs.values())
            code = command(*args, **kwargs)
        except OpsconsoleError as error:
            for line in explained(error):
                click.echo(harmless(line), err=True)
            code = exit_codes.of_error(error)
        except (KeyboardInterrupt, click.Abort):
            click.echo("opsconsole: interrupted", err=True)
            code = ExitCode.CANCELLED
        sys.exit(int(code))

    return run


def _check_text(given: Iterable[object]) -> None:
    """Raises ``Invalid`` for words that cannot be sent: bytes in them are not UTF-8."""
    for value in given:
        for word in value if isinstance(value, tuple) else (value,):
            if isinstance(word, str) and not word.isascii() and any("\udc80" <= char <= "\udcff" for char in word):
                raise Invalid(f"Not valid UTF-8: {as_text(os.fsencode(word))}", code="not_utf8")


def explained(error: OpsconsoleError) -> list[str]:
    """Returns the lines that tell a person what is wrong, where, and how to mend it."""
    lines = [f"opsconsole: {error.detail}"]
    for fault in error.errors:
        where = fault.field + (f", column {fault.column}" if fault.column else "")
        if fault.message != error.detail:
            lines.append(f"  {where}: {fault.message}")
        elif fault.column:
            lines.append(f"  at {where}")
        if fault.hint:
            lines.append(f"  {fault.hint}")
    for name, sign in (("added", "+"), ("removed", "-")):
        hosts = error.extra.get(name)
        if isinstance(hosts, list) and hosts:
            lines.append(f"  {sign} {', '.join(str(host) for host in hosts[:50])}")
    return lines


def showing_options(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the options that say how output and progress are shown."""
    options = [
        click.option("-b", "gathered", flag_value="gathered", help="Gather equal output (default on a terminal)."),
        click.option("-L", "gathered", flag_value="lines", help="Live lines with the host in front."),
        click.option("--diff", is_flag=True, help="Show what differs from the largest group."),
        click.option("-q", "--quiet", is_flag=True, help="No progress and no closing line."),
        click.option("-S", "largest", is_flag=True, help="Exit with the largest exit code of the hosts."),
        click.option("--color/--no-color", "colour", default=None, help="Colours of hosts' output, too."),
        click.option("--json", "as_json", is_flag=True, help="The job's events, one JSON object a line."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def target_options(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the options that say which hosts, and how many of them at once."""
    options = [
        click.option("-w", "targets", multiple=True, required=True, help="Hosts: web[01-20],@db, several times too."),
        click.option("-x", "exclude", multiple=True, help="Hosts to leave out; wins over -w."),
        click.option("-f", "concurrency", type=click.IntRange(min=1), help="Hosts at once."),
        click.option("--max-failures", help="Stop when more hosts fail: 3 or 5%."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=CommandLine, context_settings={"allow_interspersed_args": False})
@target_options
@showing_options
@click.option("--yes", metavar="[=N]", help="Do not ask; with a number only if that many hosts are meant.")
@click.option("--reason", help="Why; kept with the job.")
@click.option("--detach", is_flag=True, help="Print the job's id and leave.")
@click.option("--title", help="Title of the job; default is the command.")
@click.option("--user", "-l", help="Remote user.")
@click.option("--credential", help="auto, ambient or key:NAME.")
@click.option("--ask-password", is_flag=True, help="Ask for a password (or read a line of stdin) for this job alone.")
@click.option("--connect-timeout", type=float, metavar="SECONDS")
@click.option("--timeout", "command_timeout", type=float, metavar="SECONDS", help="Of the command; 0 means none.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@edge
def run(command: tuple[str, ...], *, yes: str | None, reason: str | None, detach: bool, **options: Any) -> int:
    """Run COMMAND on hosts: opsconsole run -w 'web[01-20]' -- uptime"""
    showing = Showing.of_options(options)
    terminal = showing.terminal()
    consent = Consent.parse(yes, reason)
    order = _order(" ".join(command), options)
    with open_client(Settings.load()) as client:
        preview = _resolve(client, options, order["command"])
        _note_unknown(preview, terminal)
        order |= confirm.obtain(consent, preview, terminal)
        order["expect"] = {"count": preview["count"], "digest": preview["digest"]}
        job = int(client.launch(order, key=str(uuid.uuid4()))["id"])
        if detach:
            click.echo(job)
            return ExitCode.OK
        return see_through(client, job, showing, terminal)


@click.command()
@target_options
@click.option("--json", "as_json", is_flag=True)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@edge
def resolve(command: tuple[str, ...], *, as_json: bool, **options: Any) -> int:
    """Show which hosts an order would touch. Nothing connects."""
    with open_client(Settings.load()) as client:
        preview = _resolve(client, options, " ".join(command))
    if as_json:
        click.echo(json.dumps(preview))
        return ExitCode.OK
    click.echo(f"{preview['count']} hosts: {preview['folded']}")
    if preview["excluded_count"]:
        click.echo(f"left out: {preview['excluded_count']}: {preview.get('excluded', '')}")
    if preview["duplicates"]:
        click.echo(f"named more than once: {preview['duplicates']}")
    if preview["unknown"]:
        click.echo(f"not in the inventory: {_unknown(preview)}")
    if preview["recent_unreachable"]:
        click.echo(f"unreachable last time: {', '.join(preview['recent_unreachable'])}")
    if preview["worst_case"] is not None:
        click.echo(f"could fail before it stops: {preview['worst_case']}")
    if options_needed := confirm.needed(preview):
        click.echo(f"to confirm: {' '.join(options_needed)} ({', '.join(preview['risk']['reasons'])})")
    return ExitCode.OK


@click.command()
@click.option("--state", help="For example running or failed,partial.")
@click.option("--by", help="Who launched it.")
@click.option("--host", help="Jobs that touched this host.")
@click.option("--find", "q", help="Text in title or command.")
@click.option("-n", "limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True)
@edge
def jobs(*, as_json: bool, **query: Any) -> int:
    """List jobs, newest first."""
    with open_client(Settings.load()) as client:
        found = client.get("jobs", **query)["jobs"]
    for job in found:
        click.echo(json.dumps(job) if as_json else harmless(job_row(job)))
    return ExitCode.OK


@click.command()
@click.argument("job", type=int)
@showing_options
@edge
def attach(job: int, **options: Any) -> int:
    """Return to a job: its progress, its output at the end, its exit code."""
    showing = Showing.of_options(options)
    with open_client(Settings.load()) as client:
        return see_through(client, job, showing, showing.terminal())


@click.command()
@click.argument("job", type=int)
@click.argument("host", required=False)
@click.option("-f", "follow", is_flag=True, help="Go on until the host has ended.")
@click.option("--stream", type=click.Choice(["both", "stdout", "stderr"]), default="both")
@showing_options
@edge
def logs(job: int, host: str | None, *, follow: bool, stream: str, **options: Any) -> int:
    """Print what HOST, or every host, of a job has written."""
    showing = Showing.of_options(options)
    with open_client(Settings.load()) as client:
        if host is None and follow:
            return see_through(client, job, showing, showing.terminal())
        return print_logs(client, job, host, follow=follow, stream=stream, showing=showing)


@click.command()
@click.argument("job", type=int)
@click.argument("hosts", nargs=-1)
@edge
def cancel(job: int, hosts: tuple[str, ...]) -> int:
    """Cancel a job, or only some of its HOSTS. What runs gets TERM, then KILL."""
    with open_client(Settings.load()) as client:
        status = client.status(job)
        if JobState(status["state"]).terminal:
            click.echo(f"#{job} had ended: {status['state']}")
            return ExitCode.OK
        status = client.post(f"jobs/{job}/cancel", {"hosts": list(hosts) or None})
    click.echo(f"#{job} {status['state']}")
    return ExitCode.OK


@click.command(cls=CommandLine)
@click.argument("job", type=int)
@click.option("--states", default=_RERUN_STATES, show_default=True, help="Letters of the page: o f k u x s l.")
@click.option("--host", "hosts", multiple=True, help="Only these hosts of the job.")
@click.option("--yes", metavar="[=N]", help="Do not ask; with a number only if that many hosts are meant.")
@click.option("--reason", help="Why; kept with the job.")
@click.option("--ask-password", is_flag=True, help="Ask for the password again (or read it from stdin).")
@click.option("--detach", is_flag=True, help="Print the job's id and leave.")
@showing_options
@edge
def rerun(job: int, *, yes: str | None, reason: str | None, detach: bool, **options: Any) -> int:
    """Run a job's command again on its hosts in the given states."""
    showing = Showing.of_options(options)
    terminal = showing.terminal()
    consent = Consent.parse(yes, reason)
    letters = [letter for letter in options["states"] if letter not in ", "]
    order: Body = {"states": letters, "hosts": list(options["hosts"]) or None, "reason": reason}
    if options["ask_password"]:
        order["password"] = ask_password()
    with open_client(Settings.load()) as client:
        again = _rerun(client, job, order, consent, terminal)
        if detach:
            click.echo(again)
            return ExitCode.OK
        return see_through(client, again, showing, terminal)


def _rerun(client: ConsoleClient, job: int, order: Body, consent: Consent, terminal: Terminal) -> int:
    if consent.count is not None:
        order["expect"] = {"count": consent.count}
    key = {"Idempotency-Key": str(uuid.uuid4())}
    try:
        launched = client.post(f"jobs/{job}/rerun", order, headers=key)
    except ConfirmationRequired as error:
        risk: Any = error.extra["risk"]
        count = consent.count or int(str(risk["confirm"]).rpartition(" ")[2])
        given = confirm.obtain(consent, {"count": count, "risk": risk}, terminal)
        launched = client.post(f"jobs/{job}/rerun", order | given, headers=key)
    return int(launched["id"])


def _order(command: str, options: dict[str, Any]) -> Body:
    credential = options["credential"]
    password = None
    if options["ask_password"]:
        if credential not in {None, "password"}:
            raise Invalid("--ask-password and --credential exclude each other.")
        credential = "password"
        password = ask_password()
    order = {
        "targets": ",".join(options["targets"]),
        "exclude": ",".join(options["exclude"]),
        "command": command,
        "title": options["title"],
        "user": options["user"],
        "credential": credential,
        "password": password,
        "concurrency": options["concurrency"],
        "max_failures": options["max_failures"],
        "timeouts": {
            f"{name}_ms": round(options[f"{name}_timeout"] * 1000)
            for name in ("connect", "command")
            if options[f"{name}_timeout"] is not None
        },
    }
    return {name: value for name, value in order.items() if value not in (None, {})}


def _resolve(client: ConsoleClient, options: dict[str, Any], command: str) -> Body:
    question = {
        "targets": ",".join(options["targets"]),
        "exclude": ",".join(options["exclude"]),
        "command": command,
        "concurrency": options["concurrency"],
        "max_failures": options["max_failures"],
    }
    preview: Body = client.post("resolve", question)
    return preview


def _note_unknown(preview: Body, terminal: Terminal) -> None:
    """Says which names the inventory does not know, unless it knows none of them: then there is none to speak of."""
    unknown = preview.get("unknown_count", len(preview["unknown"]))
    if unknown and (unknown < preview["count"] or preview.get("unknown_blocks")):
        terminal.note(f"Not in the inventory ({unknown}): {_unknown(preview)}", fg="yellow")


def _unknown(preview: Body) -> str:
    return str(preview.get("unknown_folded") or ", ".join(preview["unknown"]))
