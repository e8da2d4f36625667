"""The commands that steer jobs: pause, resume, continue, cancel, the queue, and the emergency stop."""

import json
from typing import Any

import click

from opsconsole.cli.client import Body, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.seconds import Seconds
from opsconsole.cli.terminal import harmless
from opsconsole.jobs.states import JobState
from opsconsole.settings import Settings

_WAVE = click.option("--wave", type=click.IntRange(min=0), help="Only this wave; 0 is the first, or the canary.")


@click.command()
@click.argument("job", type=int)
@click.argument("hosts", nargs=-1)
@_WAVE
@edge
def pause(job: int, hosts: tuple[str, ...], *, wave: int | None) -> int:
    """Start no further host of a JOB, or hold some of its HOSTS back. What runs goes on."""
    return _tell(_steer(job, "pause", {"hosts": list(hosts) or None, "wave": wave}))


@click.command()
@click.argument("job", type=int)
@click.argument("hosts", nargs=-1)
@_WAVE
@click.option("--held", is_flag=True, help="All hosts that were held back.")
@edge
def resume(job: int, hosts: tuple[str, ...], *, wave: int | None, held: bool) -> int:
    """Let a paused JOB go on, or HOSTS of it that were held back."""
    return _tell(_steer(job, "resume", {"hosts": list(hosts) or None, "wave": wave, "held": held}))


@click.command("continue")
@click.argument("job", type=int)
@click.option("--wave", type=click.IntRange(min=0), help="Only if the job waits after this wave.")
@edge
def proceed(job: int, *, wave: int | None) -> int:
    """Let a JOB that waits between two waves go on with the next one at once."""
    return _tell(_steer(job, "continue", {"wave": wave}))


@click.command()
@click.argument("job", type=int)
@click.argument("hosts", nargs=-1)
@_WAVE
@click.option("--grace", "grace_s", type=Seconds("kill_grace"), metavar="SECONDS", help="Between TERM and KILL.")
@edge
def cancel(job: int, hosts: tuple[str, ...], *, wave: int | None, grace_s: float | None) -> int:
    """Cancel a job, or only some of its HOSTS. What runs gets TERM, then KILL."""
    with open_client(Settings.load()) as client:
        status = client.status(job)
        if JobState(status["state"]).terminal:
            click.echo(f"#{job} had ended: {status['state']}")
            return ExitCode.OK
    return _tell(_steer(job, "cancel", {"hosts": list(hosts) or None, "wave": wave, "grace_s": grace_s}))


@click.command()
@click.argument("job", type=int)
@click.argument("words", nargs=-1)
@edge
def title(job: int, words: tuple[str, ...]) -> int:
    """Give a JOB another title; without WORDS it is called by its command."""
    status = _steer(job, "title", {"title": " ".join(words)})
    click.echo(harmless(f"#{job} is called: {status['title']}"))
    return ExitCode.OK


@click.command()
@click.option("--json", "as_json", is_flag=True)
@edge
def queue(*, as_json: bool) -> int:
    """List the jobs that have not ended in the order of their turns, and why each waits."""
    with open_client(Settings.load()) as client:
        view = client.get("queue")
    if as_json:
        click.echo(json.dumps(view))
        return ExitCode.OK
    slots = view["slots"]
    click.echo(f"{slots['busy']} of {slots['total']} slots busy")
    if view["backlog"]["hosts"]:
        count, since = view["backlog"]["hosts"], view["backlog"]["since"]
        click.echo(f"{'1 host has' if count == 1 else f'{count} hosts have'} not started, the oldest job is of {since}")
    if view["hold"]["held"]:
        click.echo(harmless(_held(view["hold"])))
    for job in view["jobs"]:
        for line in _queued(job):
            click.echo(harmless(line))
    return ExitCode.OK


@click.command("stop-all")
@click.option("--reason", help="Why; everybody sees it.")
@click.option("--no-cancel", is_flag=True, help="Only start nothing more; what runs goes on.")
@edge
def stop_all(*, reason: str | None, no_cancel: bool) -> int:
    """Emergency stop: start nothing any more, and cancel every job of everybody."""
    with open_client(Settings.load()) as client:
        held = client.post("hold", {"reason": reason, "cancel": not no_cancel})
    click.echo(harmless(_held(held)))
    cancelled = held["cancelled"]
    if not no_cancel:
        named = ": " + " ".join(f"#{job}" for job in cancelled[:50]) if cancelled else ""
        click.echo(f"{len(cancelled)} {'job' if len(cancelled) == 1 else 'jobs'} cancelled{named}")
    click.echo("An admin lets it start commands again with: opsconsole lift")
    return ExitCode.OK


@click.command()
@edge
def lift() -> int:
    """End the emergency stop: jobs may start again. What was cancelled stays so."""
    with open_client(Settings.load()) as client:
        client.delete("hold")
    click.echo("The console may start commands again.")
    return ExitCode.OK


def _steer(job: int, verb: str, body: dict[str, Any]) -> Body:
    with open_client(Settings.load()) as client:
        status: Body = client.post(f"jobs/{job}/{verb}", body)
    return status


def _tell(status: Body) -> int:
    waits = (status.get("waiting") or {}).get("text")
    click.echo(harmless(f"#{status['id']} {status['state']}" + (f": {waits}" if waits else "")))
    return ExitCode.OK


def _held(hold: Body) -> str:
    why = f": {hold['reason']}" if hold["reason"] else ""
    return f"The console is held by {hold['by'] or 'its operator'}{why}. Nothing starts."


def _queued(job: Body) -> list[str]:
    place = "-" if job["place"] is None else str(job["place"])
    figures = f"{job['in_flight']} in flight, {job['pending']} to go"
    line = f"{place:>4}  #{job['id']:<6} {job['state']:<8} {job['priority']:<6} {job['by']:<12.12} {figures:<28} "
    waits = job["waits"]
    return [line + job["title"], *([" " * 14 + waits["text"]] if waits else [])]
