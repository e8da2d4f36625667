"""Looks at all that a console stands on and says in one line each what is wrong and how to mend it."""

import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from opsconsole.clock import SystemClock
from opsconsole.db import schema
from opsconsole.db.database import Database, database_time
from opsconsole.errors import OpsconsoleError
from opsconsole.jobs.models import WorkerProcess
from opsconsole.jobs.spool import Spool
from opsconsole.jobs.tide import Tide
from opsconsole.launcher import demo, secret_keys
from opsconsole.launcher.access import running_url
from opsconsole.launcher.demo import Announcement
from opsconsole.launcher.readiness import look_at_broker
from opsconsole.settings import Settings, agent_socket

_LOW_BYTES = 500 * 1024 * 1024
_SKEW_SECONDS = 2.0
_RECOVER = "Stop the console, run: opsconsole recover --hold; then start it again"
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check. ``remedy`` says how to mend it, and is empty when there is nothing to mend."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""


class _Sick(Exception):
    """What a check found wrong, and how to mend it."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


def examine(settings: Settings) -> list[Finding]:
    """Returns the findings of all checks. Changes nothing, waits at most some seconds for each."""
    with closing(Database(settings.database)) as database:
        return list(_findings(settings, database))


def _findings(settings: Settings, database: Database) -> Iterator[Finding]:
    yield _run("data folder", lambda: _data_folder(settings))
    yield _run("disk space", lambda: _disk_space(settings))
    schema_found = _run("database", lambda: _database(database))
    yield schema_found
    # Without its tables there is nothing to ask the database, and asking would make an empty SQLite file.
    if schema_found.ok:
        yield _run("clock", lambda: _clock(database))
        yield _run("secret key", lambda: _secret_key(settings, database))
        yield _run("age of data", lambda: _age(settings, database))
        yield _run("workers", lambda: _workers(settings, database))
    yield _run("spool", lambda: _spool(settings))
    yield _run("broker", lambda: _broker(settings))
    yield _run("web", lambda: _web(settings))
    yield _run("SSH keys", lambda: _ssh_keys(settings))
    yield _run("confirmation", lambda: _confirmation(settings))
    if (fleet := demo.announced(settings)) is not None and running_url(settings) is not None:
        yield _run("demo hosts", lambda: _demo_hosts(fleet))


def _run(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except _Sick as sick:
        return Finding(name, False, sick.detail, sick.remedy)
    except OpsconsoleError as error:
        return Finding(name, False, error.detail.rstrip("."))


def _data_folder(settings: Settings) -> str:
    folder = settings.data_dir
    try:
        facts = folder.stat()
    except FileNotFoundError:
        raise _Sick(f"{folder} does not exist yet", "opsconsole up makes it") from None
    except OSError as error:
        raise _Sick(
            f"{folder} cannot be read: {error.strerror}", f"Check the folders above it: ls -ld {folder}"
        ) from None
    if facts.st_uid != os.geteuid():
        raise _Sick(f"{folder} belongs to user number {facts.st_uid}", "Run as that user, or set OPSCONSOLE_DATA_DIR")
    mode = stat.S_IMODE(facts.st_mode)
    if mode & 0o077:
        raise _Sick(f"{folder} is open to others (mode {mode:04o})", f"chmod 700 {folder}")
    if os.statvfs(folder).f_flag & os.ST_RDONLY or not os.access(folder, os.W_OK | os.X_OK):
        raise _Sick(f"{folder} cannot be written", "Remount the disk for writing, or set OPSCONSOLE_DATA_DIR")
    return f"{folder} is private and can be written"


def _disk_space(settings: Settings) -> str:
    folder = _nearest_existing(settings.data_dir)
    free = shutil.disk_usage(folder).free
    shown = f"{free / 1024**3:.1f} GiB free at {folder}"
    if free < _LOW_BYTES:
        raise _Sick(f"only {shown}", "Free some space: below 500 MiB results may be lost")
    return shown


def _database(database: Database) -> str:
    name = "SQLite" if database.dialect == "sqlite" else "PostgreSQL"
    if database.dialect == "sqlite":
        path = Path(database.engine.url.database or "")
        if not path.exists():
            raise _Sick(f"{path} does not exist yet", "Run: opsconsole db upgrade (opsconsole up does that by itself)")
    current, wanted = schema.revisions(database)
    if current != wanted:
        raise _Sick(f"{name} is at revision {current or 'none'}, not at {wanted}", "Run: opsconsole db upgrade")
    # An empty transaction that may write: it takes the write lock where there is one.
    started = time.monotonic()
    with database.transaction() as session:
        session.connection()
    return f"{name} at revision {current}, can be written ({(time.monotonic() - started) * 1000:.0f} ms)"


def _clock(database: Database) -> str:
    with database.read() as session:
        before = SystemClock().now()
        theirs = database_time(session)
    skew = abs((theirs - before).total_seconds())
    if skew > _SKEW_SECONDS:
        raise _Sick(
            f"this machine's clock and the database's are {skew:.0f} s apart", "Run a time service (chrony, NTP)"
        )
    return f"agrees with the database's to {skew:.1f} s"


def _secret_key(settings: Settings, database: Database) -> str:
    try:
        secret_keys.self_test(settings, database)
    except OpsconsoleError as error:
        remedy = "Give every process the secret key that the database was filled with (OPSCONSOLE_SECRET_KEY_FILE)"
        raise _Sick(error.detail.rstrip("."), remedy) from None
    return "opens what the database keeps sealed"


def _age(settings: Settings, database: Database) -> str:
    tide = Tide(settings.tide_file)
    with database.read() as session:
        tide.look(session)
    if tide.refusal is not None:
        raise _Sick("the database has gone back in time: it was restored from an older copy", _RECOVER)
    return "not behind what this machine has seen of it"


def _spool(settings: Settings) -> str:
    waiting = len(Spool(settings.spool_dir, offload=lambda call: call()).waiting())
    if waiting:
        raise _Sick(f"{waiting} results wait in {settings.spool_dir}", "A worker stores them when the database is back")
    aside = settings.spool_dir / "aside"
    if aside.is_dir() and any(aside.iterdir()):
        raise _Sick(f"results that could not be used lie in {aside}", "Look at the workers' logs, then remove them")
    return "no result waits for the database"


def _broker(settings: Settings) -> str:
    report = look_at_broker(settings)
    if report.risk:
        raise _Sick(f"{report.what} {report.risk}", report.remedy)
    return report.what


def _workers(settings: Settings, database: Database) -> str:
    columns = select(WorkerProcess.name, WorkerProcess.slots, WorkerProcess.beat_at)
    with database.read() as session:
        now = database_time(session)
        rows = session.execute(columns.where(WorkerProcess.gone_at.is_(None))).all()
    fresh = [row for row in rows if (now - row.beat_at).total_seconds() < settings.worker_dead_seconds]
    if not fresh:
        raise _Sick("no worker process has reported lately", "Start one: opsconsole up, or opsconsole worker")
    return f"{len(fresh)} alive, {sum(row.slots for row in fresh)} slots"


def _web(settings: Settings) -> str:
    url = running_url(settings)
    if url is None:
        return "none was started by opsconsole up on this data folder"
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
    except OSError as error:
        raise _Sick(f"{url} does not answer: {error.strerror or error}", "Start it again: opsconsole up") from None
    return f"answers at {url}"


def _confirmation(settings: Settings) -> str:
    """Tells what orders want to be confirmed from which size on; there is nothing wrong with any of it."""
    told, count, run = settings.tier_hosts
    protected = ", ".join(settings.protected_tags) or "none"
    return (
        f"told from {told} hosts, count typed from {count}, RUN and a reason from {run} or {settings.tier_share:g}% of "
        f"the inventory; tags of production: {protected}"
    )


def _ssh_keys(settings: Settings) -> str:
    unreadable = [name for name, path in settings.key_files.items() if not os.access(path, os.R_OK)]
    if unreadable:
        raise _Sick(f"key files cannot be read: {', '.join(unreadable)}", "Correct OPSCONSOLE_KEY_FILES")
    agent = agent_socket()
    if agent is not None and not agent.is_socket():
        raise _Sick("SSH_AUTH_SOCK names an agent that is not there", "Start one (ssh-agent), or unset SSH_AUTH_SOCK")
    folder = Path(os.path.expanduser("~")) / ".ssh"
    keys = [name for name in _DEFAULT_KEYS if (folder / name).is_file()]
    sources = ["ssh-agent"] if agent else []
    sources += [f"~/.ssh/{name}" for name in keys] + [f"key:{name}" for name in settings.key_files]
    return ", ".join(sources) or "neither agent nor key here; jobs need a key file or a password"


def _demo_hosts(fleet: Announcement) -> str:
    if fleet.unconfined:
        raise _Sick(
            f"their commands run on this machine with all the rights of who started it ({fleet.unconfined})",
            "Run nothing on them that you would not type into your own shell",
        )
    return f"{fleet.count}; their commands can change and signal nothing of this machine"


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
