"""Files to hosts and back: push, pull, and what is kept of both on the console."""

import hashlib
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec

import click

from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.confirm import Consent
from opsconsole.cli.edge import CommandLine, edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.following import Showing, see_through
from opsconsole.cli.ordering import (
    become_options,
    control_options,
    login_options,
    order_of,
    question_of,
    target_options,
)
from opsconsole.cli.planning import show_plan
from opsconsole.cli.remote import give, showing_options
from opsconsole.cli.terminal import Terminal, harmless
from opsconsole.errors import Invalid, NotFound
from opsconsole.settings import Settings

P = ParamSpec("P")

_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Local:
    """A file of this machine and where it goes on the hosts."""

    path: Path
    to: str


def _order_options(command: Callable[P, None]) -> Callable[P, None]:
    options: list[Callable[[Callable[P, None]], Callable[P, None]]] = [
        target_options,
        login_options,
        become_options,
        control_options,
        showing_options,
        click.option("--yes", metavar="[=N]", help="Do not ask; with a number only if that many hosts are meant."),
        click.option("--reason", help="Why; kept with the job."),
        click.option("--detach", is_flag=True, help="Print the job's id and leave."),
        click.option("--dry-run", is_flag=True, help="Say host by host what would be done. Nothing connects."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=CommandLine)
@_order_options
@click.option("--mode", metavar="OCTAL", help="Mode of the files there: 0644. Else as it is there.")
@click.option("--owner", metavar="USER:GROUP", help="Owner of the files there, names or numbers.")
@click.option("-p", "--preserve", is_flag=True, help="With the mode that each file has here.")
@click.option("--make-folders", is_flag=True, help="Make folders that are missing there.")
@click.argument("local", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.argument("path")
@edge
def push(local: tuple[Path, ...], *, path: str, yes: str | None, reason: str | None, **options: Any) -> int:
    """Put files on hosts: opsconsole push -w 'web[01-20]' motd /etc/motd

    With several files or a slash at its end, PATH is the folder they go into. Of a folder all files go, below its name;
    empty folders do not. A file is there whole or not at all; one that is the same already is left alone.
    """
    showing = Showing.of_options(options)
    terminal = showing.terminal()
    consent = Consent.parse(yes, reason)
    files = list(_found(local, path, terminal))
    if not files:
        raise Invalid("There is no file in what was named.")
    with open_client(Settings.load()) as client:
        carried: Body = {"push": [_item(client, file, options, terminal) for file in files]}
        terminal.clear_progress()
        if options["make_folders"] or any(one.is_dir() for one in local):
            carried["make_folders"] = True
        return _carry(client, carried, consent, showing, terminal, options)[1]


@click.command(cls=CommandLine)
@_order_options
@click.argument("paths", nargs=-1, required=True)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@edge
def pull(paths: tuple[str, ...], *, folder: Path, yes: str | None, reason: str | None, **options: Any) -> int:
    """Bring files from hosts: opsconsole pull -w '@web' /etc/nginx '/var/log/nginx/*.log' FOLDER

    PATHS are files and folders there, with * ? and [...] in quotes. FOLDER, which is here, gets a folder for each host.
    """
    showing = Showing.of_options(options)
    terminal = showing.terminal()
    consent = Consent.parse(yes, reason)
    if not all(paths):
        raise Invalid("One of the paths is empty. Write what to bring back from the hosts.")
    if not options["dry_run"] and not options["detach"]:
        # Looked at before anything runs: what came would have nowhere to go.
        _make(folder)
    with open_client(Settings.load()) as client:
        job, code = _carry(client, {"pull": list(paths)}, consent, showing, terminal, options)
        if job is not None and not options["detach"]:
            _fetch(client, job, folder, terminal)
        return code


@click.group()
def files() -> None:
    """Files that were uploaded, and those that jobs brought back."""


@files.command(name="list")
@edge
def list_files() -> int:
    """List the files you have uploaded, the last used first."""
    with open_client(Settings.load()) as client:
        for file in client.get("files")["files"]:
            click.echo(f"{file['sha256'][:16]}  {file['size']:>14,}  {file['used_at'][:10]}  {harmless(file['name'])}")
    return ExitCode.OK


@files.command()
@click.argument("sha256")
@edge
def remove(sha256: str) -> int:
    """Remove an uploaded file by its SHA-256, of which the first characters will do."""
    with open_client(Settings.load()) as client:
        found = [file for file in client.get("files")["files"] if file["sha256"].startswith(sha256.lower())]
        if len(found) != 1:
            raise Invalid(f"{len(found) or 'No'} files of yours begin with that. See: opsconsole files list")
        client.delete(f"files/{found[0]['sha256']}")
    return ExitCode.OK


@files.command()
@click.argument("job", type=int)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@edge
def fetch(job: int, folder: Path) -> int:
    """Fetch what JOB brought back into FOLDER, below which each host has one of its own."""
    with open_client(Settings.load()) as client:
        _fetch(client, job, folder, Terminal.of_process(colour=None))
    return ExitCode.OK


def _carry(
    client: ConsoleClient,
    carried: Body,
    consent: Consent,
    showing: Showing,
    terminal: Terminal,
    options: dict[str, Any],
) -> tuple[int | None, int]:
    order = order_of("", options) | carried
    if options["dry_run"]:
        return None, show_plan(client.post("plan", order), terminal, as_json=showing.as_json)
    job = give(client, order, question_of("", options) | carried, consent, terminal)
    if options["detach"]:
        click.echo(job)
        return job, ExitCode.OK
    return job, see_through(client, job, showing, terminal)


def _found(local: tuple[Path, ...], path: str, terminal: Terminal) -> Iterator[Local]:
    into = len(local) > 1 or path.endswith("/")
    base = path.rstrip("/") + "/"
    for one in local:
        if not one.is_dir():
            yield Local(one, f"{base}{one.name}" if into else path)
            continue
        name = one.resolve().name
        for folder, below, names in os.walk(one):
            below.sort()
            if not below and not names:
                terminal.note(f"left out, an empty folder: {folder}", fg="yellow")
            for file in sorted(names):
                source = Path(folder, file)
                if source.is_symlink() or not source.is_file():
                    terminal.note(f"left out, no plain file: {source}", fg="yellow")
                    continue
                yield Local(source, f"{base}{name}/{source.relative_to(one).as_posix()}")


def _item(client: ConsoleClient, file: Local, options: dict[str, Any], terminal: Terminal) -> Body:
    try:
        with file.path.open("rb") as source:
            mode = f"{stat.S_IMODE(os.fstat(source.fileno()).st_mode):04o}" if options["preserve"] else options["mode"]
            item = {"file": _uploaded(client, file, source, terminal), "to": file.to}
    except OSError as error:
        raise Invalid(f"{file.path} cannot be read: {error.strerror}.") from None
    return item | {name: value for name, value in (("mode", mode), ("owner", options["owner"])) if value}


def _uploaded(client: ConsoleClient, file: Local, source: BinaryIO, terminal: Terminal) -> str:
    """Returns the digest of a file that the console has then; what it has already is not sent."""
    summed, size = hashlib.sha256(), 0
    while data := source.read(_PIECE):
        summed.update(data)
        size += len(data)
    try:
        client.get(f"files/{summed.hexdigest()}")
    except NotFound:
        source.seek(0)

        def tell(sent: int) -> None:
            terminal.progress(f"uploading {harmless(file.path.name)}: {sent / max(size, 1):.0%} of {size:,} bytes")

        return str(client.upload(file.path.name, source, size, tell)["sha256"])
    return summed.hexdigest()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"The folder {folder} cannot be made: {error.strerror}. Name another.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Invalid(f"The folder {folder} cannot be written to. Name another.")


def _fetch(client: ConsoleClient, job: int, folder: Path, terminal: Terminal) -> None:
    _make(folder)
    with tempfile.TemporaryFile(dir=folder) as draft:
        try:
            with client.streaming(f"jobs/{job}/files.zip", read_timeout=300.0) as response:
                for data in response.iter_raw(_PIECE):
                    draft.write(data)
        except NotFound as error:
            terminal.note(error.detail, fg="yellow")
            return
        try:
            with zipfile.ZipFile(draft) as packed:
                names = packed.namelist()
                # It takes any way out of the folder away from the names.
                packed.extractall(folder)
        except zipfile.BadZipFile:
            raise Invalid("What came is not a whole zip: fetch it again.", code="broken_off") from None
        except OSError as error:
            again = f"It is kept: opsconsole files fetch {job} FOLDER"
            raise Invalid(f"What came cannot be written to {folder}: {error.strerror}. {again}") from None
    hosts = {name.partition("/")[0] for name in names}
    terminal.note(f"{len(names)} files of {len(hosts)} hosts are in {folder}")
