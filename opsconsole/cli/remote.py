"""The commands that give orders and look at them over the API: run, resolve, jobs, logs, attach, rerun."""

import json
import uuid
from collections.abc import Callable
from typing import Any, ParamSpec

import click

from opsconsole.cli import confirm
from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.confirm import Consent
from opsconsole.cli.edge import CommandLine, edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.following import Showing, see_through
from opsconsole.cli.logs import print_logs
from opsconsole.cli.ordering import (
    control_options,
    login_options,
    order_of,
    question_of,
    target_options,
    text_of,
    what_options,
)
from opsconsole.cli.password import RUN_AS, ask_password
from opsconsole.cli.planning import show_plan
from opsconsole.cli.render import job_row
from opsconsole.cli.terminal import Terminal, harmless
from opsconsole.cli.wrote import wrote_of, wrote_options
from opsconsole.errors import ConfirmationRequired, Invalid
from opsconsole.hostset import STATES_HINT, state_letters
from opsconsole.jobs.similarity import Mode
from opsconsole.jobs.transcript import Encoding
from opsconsole.settings import Settings

P = ParamSpec("P")

_RERUN_STATES = "f,k,u"
# A tag with more values than these says nothing about where an order goes.
_VALUES_SHOWN = 8


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


# Apart from the others: of files, a mode is something else.
alike_option = click.option(
    "--mode",
    "alike",
    type=click.Choice([mode.value for mode in Mode]),
    help="What is one group: to the byte, but for colours, or (as usual) but for times, sizes and PIDs, too.",
)


@click.command(cls=CommandLine, context_settings={"allow_interspersed_args": False})
@target_options
@login_options
@what_options
@control_options
@showing_options
@alike_option
@click.option("--yes", metavar="[=N]", help="Do not ask; with a number only if that many hosts are meant.")
@click.option("--reason", help="Why; kept with the job.")
@click.option("--detach", is_flag=True, help="Print the job's id and leave.")
@click.option("--dry-run", is_flag=True, help="Say host by host what would be done. Nothing connects.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@edge
def run(
    command: tuple[str, ...], *, yes: str | None, reason: str | None, detach: bool, dry_run: bool, **options: Any
) -> int:
    """Run COMMAND on hosts: opsconsole run -w 'web[01-20]' -- uptime"""
    showing = Showing.of_options(options)
    terminal = showing.terminal()
    consent = Consent.parse(yes, reason)
    order = order_of(text_of(command, options), options)
    with open_client(Settings.load()) as client:
        if dry_run:
            return show_plan(client.post("plan", order), terminal, as_json=showing.as_json)
        job = give(client, order, question_of(order["command"], options), consent, terminal)
        if detach:
            click.echo(job)
            return ExitCode.OK
        return see_through(client, job, showing, terminal)


def give(client: ConsoleClient, order: Body, question: Body, consent: Consent, terminal: Terminal) -> int:
    """Gives ``order`` once the person has agreed to what ``question`` is answered, and returns the job's number."""
    preview: Body = client.post("resolve", question)
    _note_unknown(preview, terminal)
    if changed := key_changed(preview):
        terminal.note(changed, always=True, fg="red")
    order |= confirm.obtain(consent, preview, terminal)
    order["expect"] = {"count": preview["count"], "digest": preview["digest"], "hosts": preview["folded"]}
    return int(client.launch(order, key=str(uuid.uuid4()))["id"])


@click.command()
@target_options
@click.option("--json", "as_json", is_flag=True)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@edge
def resolve(command: tuple[str, ...], *, as_json: bool, **options: Any) -> int:
    """Show which hosts an order would touch. Nothing connects."""
    with open_client(Settings.load()) as client:
        preview: Body = client.post("resolve", question_of(" ".join(command), options))
    if as_json:
        click.echo(json.dumps(preview))
        return ExitCode.OK
    click.echo(f"{'1 host' if preview['count'] == 1 else str(preview['count']) + ' hosts'}: {preview['folded']}")
    if preview["excluded_count"]:
        click.echo(f"left out: {preview['excluded_count']}: {preview.get('excluded', '')}")
    if preview["table"]:
        click.echo(f"read from a table: its column {preview['table']}")
    if preview["lines"] > 1:
        click.echo(f"lines of the list: {preview['lines']}")
    if preview["duplicates"]:
        click.echo(f"named more than once: {preview['duplicates']}")
    for line in _blast(preview):
        click.echo(line)
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
@click.option("--since", metavar="TIME", help="Launched since: a day or a time; UTC unless it says otherwise.")
@click.option("--like-targets", help="Jobs with these targets, as they were written; or, where both are given,")
@click.option("--like-command", help="jobs with this first line of the command.")
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
@alike_option
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
@click.option("--step", type=click.Choice(["check", "act", "verify"]), help="Only what this step of HOST wrote.")
@click.option("--encoding", type=click.Choice([one.value for one in Encoding]), help="Read what HOST wrote as this.")
@showing_options
@alike_option
@edge
def logs(
    job: int,
    host: str | None,
    *,
    follow: bool,
    stream: str,
    step: str | None,
    encoding: str | None,
    **options: Any,
) -> int:
    """Print what HOST, or every host, of a job has written."""
    if encoding is not None and (host is None or follow):
        raise Invalid("--encoding needs a HOST, and does not go with -f.")
    if step is not None and (host is None or follow):
        raise Invalid("--step needs a HOST, and -f goes through all steps.")
    showing = Showing.of_options(options)
    with open_client(Settings.load()) as client:
        if host is None and follow:
            return see_through(client, job, showing, showing.terminal())
        return print_logs(
            client, job, host, follow=follow, stream=stream, showing=showing, step=step, encoding=encoding
        )


@click.command(cls=CommandLine)
@click.argument("job", type=int)
@click.option(
    "--states",
    default=_RERUN_STATES,
    show_default=True,
    help="Letters of the page (o f k u x s l) or names: failed,unreachable.",
)
@click.option("--host", "hosts", multiple=True, help="Only these hosts of the job: web[18-20].")
@wrote_options
@click.option("--yes", metavar="[=N]", help="Do not ask; with a number only if that many hosts are meant.")
@click.option("--reason", help="Why; kept with the job.")
@click.option("--ask-password", is_flag=True, help="Ask for the password again (or read it from stdin).")
@click.option("--ask-run-as-password", is_flag=True, help="Ask for the password of the account to run as, too.")
@click.option("--detach", is_flag=True, help="Print the job's id and leave.")
@showing_options
@alike_option
@edge
def rerun(job: int, *, yes: str | None, reason: str | None, detach: bool, **options: Any) -> int:
    """Run a job's command again on its hosts in the given states."""
    showing = Showing.of_options(options)
    terminal = showing.terminal()
    consent = Consent.parse(yes, reason)
    try:
        letters = list(state_letters(options["states"].strip(" ,")))
    except ValueError as error:
        raise Invalid(f"--states: {str(error)!r} is no state. Give letters or names: {STATES_HINT}.") from None
    order: Body = {"states": letters, "hosts": list(options["hosts"]) or None, "reason": reason}
    order |= wrote_of(options)
    if options["ask_password"]:
        order["password"] = ask_password()
    if options["ask_run_as_password"]:
        order["run_as_password"] = ask_password(RUN_AS)
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
    except Invalid as error:
        if "password" not in order and any(fault.field == "password" for fault in error.errors):
            raise Invalid(f"Job {job} used a password, and none is kept: add --ask-password.") from None
        if "run_as_password" not in order and any(fault.field == "run_as_password" for fault in error.errors):
            message = f"Job {job} used a password to run as another account: add --ask-run-as-password."
            raise Invalid(message) from None
        raise
    except ConfirmationRequired as error:
        risk: Any = error.extra["risk"]
        count = consent.count or int(str(risk["confirm"]).rpartition(" ")[2])
        given = confirm.obtain(consent, {"count": count, "risk": risk}, terminal)
        launched = client.post(f"jobs/{job}/rerun", order | given, headers=key)
    return int(launched["id"])


def _note_unknown(preview: Body, terminal: Terminal) -> None:
    """Says which names the inventory does not know, unless it knows none of them: then there is none to speak of."""
    unknown = preview.get("unknown_count", len(preview["unknown"]))
    skipped = preview.get("unknown_skipped")
    if unknown and (unknown < preview["count"] or preview.get("unknown_blocks") or skipped):
        left_out = ", left out" if skipped else ""
        terminal.note(f"Not in the inventory ({unknown}){left_out}: {_unknown(preview)}", fg="yellow")
        if preview.get("unknown_blocks"):
            for line in _meant(preview):
                terminal.note(line, fg="yellow")


def _unknown(preview: Body) -> str:
    return str(preview.get("unknown_folded") or ", ".join(preview["unknown"]))


def _blast(preview: Body) -> list[str]:
    """Returns what ``resolve`` prints of hosts that need a look, and of how the others are made up."""
    lines = []
    if preview["unknown"]:
        left_out = ", left out" if preview.get("unknown_skipped") else ""
        lines += [f"not in the inventory{left_out}: {_unknown(preview)}", *_meant(preview)]
    if preview.get("frozen_count"):
        lines.append(f"frozen, left out: {preview['frozen_count']}: {preview['frozen_folded']}")
    if changed := key_changed(preview):
        lines.append(changed)
    for tag, counts in (preview.get("by") or {}).items():
        if len(counts) <= _VALUES_SHOWN:
            parts = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            lines.append(f"by {tag}: {', '.join(f'{count} {value}' for value, count in parts)}")
    if preview.get("eta_runs"):
        lines.append(f"usually {preview['eta_ms'] / 1000:.0f} s, by {_runs(preview['eta_runs'])}")
    if preview.get("inventory_share"):
        lines.append(f"share of the inventory: {preview['inventory_share']:.0%}")
    return lines


def _runs(count: int) -> str:
    return "one earlier run" if count == 1 else f"{count} earlier runs"


def key_changed(preview: Body) -> str:
    """Returns what is said of hosts that are refused for their changed host key; nothing where there is none."""
    count = preview.get("key_changed_count")
    if not count:
        return ""
    folded = preview["key_changed_folded"]
    return (
        f"HOST KEY CHANGED, nothing connects: {count}: {folded}. "
        "An administrator has to decide: opsconsole host-keys list --status alarm"
    )


def _meant(preview: Body) -> list[str]:
    return [f"  {one['unknown']}: did you mean {one['use']}?" for one in preview.get("unknown_suggestions") or ()]
