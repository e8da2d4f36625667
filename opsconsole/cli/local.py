"""Commands that run the console's own processes and look after its database.

Heavy parts are imported inside the commands, so that ``--help`` and the smaller ones stay quick.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

from opsconsole.settings import Settings

_DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder of database, keys, sockets and logs."
)


def _chosen(**options: Any) -> dict[str, Any]:
    """Returns the options that were given; the others stay with the environment."""
    return {name: value for name, value in options.items() if value is not None}


@click.command()
@click.option("--demo", "demo_hosts", type=int, default=0, metavar="N", help="Add N real SSH hosts on loopback.")
@click.option(
    "--demo-unconfined", is_flag=True, help="Commands and files of the demo hosts have all your rights on this machine."
)
@click.option(
    "--simulate", "simulated_hosts", type=int, default=0, metavar="N", help="N hosts that are only played; dial nobody."
)
@click.option("--host", help="Address the web server binds. [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port of the web server; the next free one when it is in use. [default: 8765]")
@click.option("--workers", type=int, help="Worker processes. [default: one per core]")
@click.option("--slots", type=int, help="Hosts one worker process handles at once. [default: 100]")
@_DATA_DIR
@click.option("--open/--no-open", "open_browser", default=False, help="Open the sign-in page in the browser.")
def up(
    demo_hosts: int,
    demo_unconfined: bool,
    simulated_hosts: int,
    host: str | None,
    port: int | None,
    workers: int | None,
    slots: int | None,
    data_dir: Path | None,
    open_browser: bool,
) -> None:
    """Start a whole console on this machine; Ctrl-C stops it."""
    if sys.stderr.isatty():
        click.echo("Starting; this takes some seconds", err=True)
    from opsconsole.launcher.up import make_plan, run

    chosen = _chosen(host=host, port=port, workers=workers, worker_slots=slots, data_dir=data_dir)
    plan = make_plan(chosen, demo_hosts, simulated_hosts, demo_unconfined=demo_unconfined)
    run(plan, _say, open_page=click.launch if open_browser else None)


@click.command()
@click.option("--host", help="Address to bind. [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to bind; the next free one when it is in use. [default: 8765]")
@click.option("--fd", "descriptor", type=int, hidden=True, help="Descriptor of a socket that listens already.")
def web(host: str | None, port: int | None, descriptor: int | None) -> None:
    """Serve the pages and the API (part of an installation over several processes or machines)."""
    from opsconsole.launcher.web import serve

    serve(Settings.load(**_chosen(host=host, port=port)), descriptor, _say)


@click.command()
@click.option("--name", default="worker", show_default=True, help="Name of this process on the console's pages.")
@click.option("--slots", type=int, help="Hosts this process handles at once. [default: 100]")
def worker(name: str, slots: int | None) -> None:
    """Carry out jobs. Start as many as you like, on any machine that has the URLs and the secret key."""
    from opsconsole.launcher.commands import become_worker

    become_worker(name, _chosen(worker_slots=slots))


@click.command()
def beat() -> None:
    """Send the clock's ticks that periodic work starts from."""
    from opsconsole.launcher.commands import become_beat

    become_beat()


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
def upgrade() -> None:
    """Bring the database to the schema of this version."""
    from opsconsole.launcher.database import bring_up_to_date

    settings = Settings.load()
    bring_up_to_date(settings)
    _say_revision(settings)


@db.command()
@click.argument("revision")
@click.confirmation_option(prompt="Columns and tables that the older schema lacks are deleted with their data. Go on?")
def downgrade(revision: str) -> None:
    """Take the database back to REVISION (-1: one step, base: empty)."""
    from opsconsole.launcher.database import take_back

    settings = Settings.load()
    take_back(settings, revision)
    _say_revision(settings)


@db.command()
def status() -> None:
    """Say which schema the database has and which one this version needs. Exit 1 when they differ."""
    sys.exit(0 if _say_revision(Settings.load()) else 1)


def _say_revision(settings: Settings) -> bool:
    from opsconsole.launcher.database import revisions

    current, wanted = revisions(settings)
    if current == wanted:
        click.echo(f"The database is at revision {current}, which is what this version needs.")
        return True
    click.echo(f"The database is at revision {current or 'none'}; this version needs {wanted}: opsconsole db upgrade")
    return False


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@_DATA_DIR
def doctor(as_json: bool, data_dir: Path | None) -> None:
    """Check database, broker, workers and data folder: what is wrong, and how to mend it. Exit 1 when something is."""
    from opsconsole.launcher.doctor import examine

    findings = examine(Settings.load(**_chosen(data_dir=data_dir)))
    healthy = all(finding.ok for finding in findings)
    if as_json:
        checks = [
            {"check": item.check, "ok": item.ok, "detail": item.detail, "remedy": item.remedy} for item in findings
        ]
        click.echo(json.dumps({"ok": healthy, "checks": checks}))
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            remedy = f". {finding.remedy}" if finding.remedy else ""
            click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.check:<{width}}  {finding.detail}{remedy}")
    sys.exit(0 if healthy else 1)


@click.command("demo-fleet", hidden=True)
@click.option("--hosts", "count", type=int, required=True)
@click.option("--unconfined", is_flag=True)
def demo_fleet(count: int, unconfined: bool) -> None:
    """Serve the demo hosts; `up --demo` starts this."""
    from opsconsole.launcher.fleet import serve

    serve(Settings.load(), count, unconfined=unconfined)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()
