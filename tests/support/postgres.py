"""Starts a real PostgreSQL for tests: the server from the wheel, in a temporary folder, on a free loopback port."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from opsconsole.db.schema import upgrade
from tests.support.requirements import need_postgres

# PostgreSQL refuses to run as root; root hands it to a user whom every Unix has.
_UNPRIVILEGED = "nobody"
_START_SECONDS = 60
_TEMPLATE = "migrated"


class PostgresServer:
    """One server; ask it for databases. ``start`` skips the test when there is no PostgreSQL."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._migrated = False
        self.port = 0
        self.password = secrets.token_hex(16)

    @classmethod
    def start(cls) -> Self:
        """Returns a running server that accepts connections."""
        programs = need_postgres().parent
        # Not pytest's own folder: that one is closed to other users.
        folder = Path(tempfile.mkdtemp(prefix="opsconsole-postgres-"))
        folder.chmod(0o711)
        server = cls(folder, programs)
        try:
            server._initialise()
            server._launch()
        except BaseException:
            server.stop()
            raise
        return server

    def url(self, name: str) -> str:
        """Returns the URL of the database ``name``."""
        return f"postgresql+psycopg://console:{self.password}@127.0.0.1:{self.port}/{name}"

    def empty_database(self) -> str:
        """Returns the URL of a new database without tables."""
        return self._create("template0")

    def migrated_database(self) -> str:
        """Returns the URL of a new database with the product's tables; copying is quicker than migrating."""
        if not self._migrated:
            self._execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            upgrade(self.url(_TEMPLATE))
            self._migrated = True
        return self._create(_TEMPLATE)

    def halt(self) -> None:
        """Stops the server at once, as a crash would; ``resume`` starts it again on the same data."""
        if self._process is not None:
            # The postmaster's "immediate shutdown": it stops its children without a checkpoint.
            subprocess.run(
                [self._programs / "pg_ctl", "-D", self._data, "-m", "immediate", "stop"],
                check=True,
                capture_output=True,
                **self._identity(),
            )
            self._process.wait(timeout=30)
            self._process = None

    def resume(self) -> None:
        """Starts the server again after ``halt``, on the same port and data."""
        self._launch()

    def stop(self) -> None:
        """Stops the server and removes its data."""
        try:
            self.halt()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _initialise(self) -> None:
        self._make_reachable()
        secret = self._folder / "password"
        secret.write_text(self.password)
        self._data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            for path in (self._data, secret):
                shutil.chown(path, _UNPRIVILEGED)
        subprocess.run(
            [
                *(self._programs / "initdb", "-D", self._data, "-U", "console", "--pwfile", secret),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            **self._identity(),
        )
        self.port = _free_port()

    def _make_reachable(self) -> None:
        """Copies the programs when the user they run as may not enter their folder, as in root's home."""
        probe = [self._programs / "postgres", "--version"]
        try:
            subprocess.run(probe, check=True, capture_output=True, **self._identity())
        except PermissionError:
            home = self._folder / "pginstall"
            shutil.copytree(self._programs.parent, home, symlinks=True)
            self._programs = home / "bin"

    def _launch(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._data),
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C on the tests must not reach it before the tests have let go of it.
                start_new_session=True,
                **self._identity(),
            )
        self._await_ready()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                return self._execute("SELECT 1")
            except OperationalError:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text(errors="replace")[-2000:]) from None
                # It says nothing when it is ready; asking again is the only way.
                time.sleep(0.05)

    def _create(self, template: str) -> str:
        name = f"test_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def _execute(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()

    def _identity(self) -> dict[str, Any]:
        """Returns how its processes are started: from a folder they may enter, and never as root."""
        if os.geteuid() != 0:
            return {"cwd": self._folder}
        return {"cwd": self._folder, "user": _UNPRIVILEGED, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
