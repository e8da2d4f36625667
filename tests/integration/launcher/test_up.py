"""``opsconsole up`` as a person starts it: what it prints, what it leaves, and how it ends."""

import json
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from opsconsole.db.database import Database
from opsconsole.inventory import service
from opsconsole.settings import Settings
from tests.integration.launcher.processes import Program, demo_options, gone

pytestmark = pytest.mark.slow


def up(folder: Path, *options: str, environment: dict[str, str] | None = None) -> Program:
    command = [sys.executable, "-P", "-m", "opsconsole", "up", "--workers", "1", "--data-dir", str(folder), *options]
    return Program(command, environment)


def url_in(program: Program) -> str:
    """Waits for the greeting and returns the one-time link."""
    link = program.wait_for(r"^Open  (\S+)", 90)[1]
    program.wait_for(r"^Try ", 5)
    return link


def family(program: Program) -> list[int]:
    return [child.pid for child in psutil.Process(program.process.pid).children(recursive=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "data"


@pytest.fixture(scope="module")
def console(folder: Path) -> Iterator[Program]:
    """A console on a free port, for the tests that only look at it."""
    with up(folder, "--port", "0") as program:
        url_in(program)
        yield program


def test_a_body_over_the_limit_is_the_last_of_its_connection(console: Program) -> None:
    base = "{0.scheme}://{0.netloc}".format(urlsplit(url_in(console)))
    for size, status, connection in ((2 * 1024 * 1024, 413, "close"), (1024, 401, "keep-alive")):
        answer = httpx.post(f"{base}/api/v1/jobs", content=b" " * size, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.headers["Connection"]) == (status, connection)


def test_it_says_what_it_started_and_the_link_works_once(console: Program, folder: Path) -> None:
    first = console.text.splitlines()[0]
    assert first.startswith("opsconsole ")
    assert f"data {folder} (SQLite)" in first
    assert "broker embedded (" in first
    assert "workers 1 x 100 slots" in first
    link = url_in(console)
    assert "run -w HOST -- uptime" in console.text
    console.wait_for("Stop this one first, then: .*up --demo 20$", 5)
    base = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    page = httpx.get(link)
    assert page.status_code in {200, 302, 303}
    assert httpx.get(f"{base}/readyz").json() == {"status": "ok"}


def test_it_binds_loopback_only(console: Program) -> None:
    listening = [
        connection.laddr.ip
        for pid in [console.process.pid, *family(console)]
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_all_it_keeps_is_private(console: Program, folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o077 == 0, f"{path} has mode {mode:04o}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_command_line_finds_the_console(console: Program, folder: Path) -> None:
    found = json.loads((folder / "run" / "console.json").read_text())
    answer = httpx.get(f"{found['url']}/api/v1/jobs", headers={"Authorization": f"Bearer {found['token']}"})
    assert answer.status_code == 200
    assert httpx.get(f"{found['url']}/api/v1/jobs").status_code == 401


def test_a_second_one_on_the_same_data_says_so(console: Program, folder: Path) -> None:
    url = json.loads((folder / "run" / "console.json").read_text())["url"]
    with up(folder) as second:
        assert second.wait(30) == 2
    assert f"already running on this data folder at {url} (process {console.process.pid})" in second.text
    assert console.process.poll() is None


def test_the_doctor_is_content(console: Program, folder: Path) -> None:
    with Program([sys.executable, "-P", "-m", "opsconsole", "doctor", "--json", "--data-dir", str(folder)]) as doctor:
        assert doctor.wait(60) == 0, doctor.text
    report = json.loads(doctor.text)
    assert report["ok"] is True
    checks = {check["check"]: check for check in report["checks"]}
    assert checks["workers"]["detail"] == "1 alive, 100 slots"


def test_further_processes_join_by_the_same_settings(console: Program, folder: Path) -> None:
    environment = {"OPSCONSOLE_DATA_DIR": str(folder)}
    opsconsole = [sys.executable, "-P", "-m", "opsconsole"]
    with (
        Program([*opsconsole, "worker", "--name", "extra", "--slots", "7"], environment) as worker,
        Program([*opsconsole, "web", "--port", "0"], environment) as web,
    ):
        url = web.wait_for(r"^Serving (\S+)$")[1]
        worker.wait_for(r"celery@?\S* .*ready|extra@\S+ ready")
        with Program([*opsconsole, "doctor"], environment) as doctor:
            assert doctor.wait(60) == 0, doctor.text
        assert "2 alive, 107 slots" in doctor.text
        assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200
        assert web.end() == 0
        assert worker.end() == 0


def test_killed_parts_come_back(console: Program, folder: Path) -> None:
    before = len(console.text)
    workers = {child.pid: child for child in psutil.Process(console.process.pid).children()}
    victims = {name: pid for pid, child in workers.items() for name in _names(child)}
    for name in ("worker-1", "web", "broker"):
        os.kill(victims[name], signal.SIGKILL)
    for name in ("worker-1", "web", "broker"):
        console.wait_for(rf"^{name} \(process {victims[name]}\) was killed by SIGKILL; starting it again", after=before)
        console.wait_for(rf"^{name} is back \(process \d+\)", 60, after=before)
    url = json.loads((folder / "run" / "console.json").read_text())["url"]
    assert httpx.get(f"{url}/readyz").status_code == 200


def test_ctrl_c_ends_everything_within_ten_seconds(tmp_path: Path) -> None:
    # The data folder is too deep for the path of a unix socket.
    folder = tmp_path / ("deep folder " * 9).strip() / "data"
    broker = Settings(data_dir=folder).broker_socket
    with up(folder, "--port", "0", "--demo", "3", *demo_options()) as program:
        url_in(program)
        assert stat.S_IMODE(broker.stat().st_mode) == 0o600
        assert stat.S_IMODE(broker.parent.stat().st_mode) == 0o700
        pids = family(program)
        assert len(pids) >= 6
        started = time.monotonic()
        assert program.end(signal.SIGINT) == 0
        assert time.monotonic() - started < 10
        assert gone(pids, 0.5)
    assert program.text.endswith("Stopped; nothing is left running\n")
    assert not broker.exists()
    assert not (folder / "run" / "console.json").exists()
    broker.parent.rmdir()


def test_killing_it_leaves_no_process_and_the_next_one_starts(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with up(folder, "--port", "0", "--demo", "2", *demo_options()) as program:
        url_in(program)
        assert _known_hosts(folder) == ["demo01", "demo02"]
        old = json.loads((folder / "run" / "console.json").read_text())
        pids = family(program)
        program.process.kill()
        assert gone(pids, 5)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with up(folder, "--port", str(port)) as again:
            other = urlsplit(url_in(again)).port
            assert other != port
            assert f"{port} is in use, so this is {other}" in again.text
            found = json.loads((folder / "run" / "console.json").read_text())
            stale = httpx.get(f"{found['url']}/api/v1/jobs", headers={"Authorization": f"Bearer {old['token']}"})
            assert stale.status_code == 401
            assert _known_hosts(folder) == [], "the demo fleet went with the former start"
            assert again.end() == 0
    log = (folder / "logs" / "worker-1.log").read_text()
    assert "ready" in log
    assert "Warning: " not in log


def test_other_machines_are_kept_out_unless_told(tmp_path: Path) -> None:
    with up(tmp_path / "data", "--host", "0.0.0.0") as program:
        assert program.wait(30) == 2
    assert "can be reached from other machines" in program.text
    assert not (tmp_path / "data").exists()


def test_a_broker_that_cannot_start_is_explained(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "valkey-server"
    fake.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'Valkey server v=8.0.1' && exit\necho 'out of luck'\nexit 3\n"
    )
    fake.chmod(0o755)
    with up(tmp_path / "data", environment={"PATH": f"{programs}:/usr/bin:/bin"}) as program:
        assert program.wait(30) == 5
    assert "broker cannot start" in program.text
    assert "  out of luck" in program.text


def test_a_broker_by_url_that_is_not_there_is_said_without_its_password(tmp_path: Path) -> None:
    environment = {"OPSCONSOLE_BROKER_URL": "redis://:hush@127.0.0.1:1/0"}
    with up(tmp_path / "data", environment=environment) as program:
        assert program.wait(30) == 5
    assert "The broker at 127.0.0.1:1 does not answer" in program.text
    assert "hush" not in program.text


def _known_hosts(folder: Path) -> list[str]:
    with closing(Database(Settings(data_dir=folder).database)) as database, database.read() as session:
        return [host.name for host in service.hosts(session)]


def _names(child: psutil.Process) -> list[str]:
    command = child.cmdline()
    if "valkey" in command[0] or "redis" in command[0]:
        return ["broker"]
    return [name for name in ("worker-1", "web", "beat") if name in command]
