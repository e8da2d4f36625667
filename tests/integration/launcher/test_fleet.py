"""The demo fleet: real servers, real commands, and hosts that differ."""

import asyncio
import hashlib
import os
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import asyncssh
import psutil
import pytest

from opsconsole.db import schema
from opsconsole.db.database import Database
from opsconsole.inventory import groups, hostkeys, service
from opsconsole.jobs.ports import Auth, Exited, Target
from opsconsole.jobs.transfer import Pull, Push, PushedFile, Transfer
from opsconsole.launcher import confinement, demo, folder
from opsconsole.launcher.ssh_session import Place, Processes
from opsconsole.settings import Settings
from opsconsole.ssh import ParamikoConnector
from tests.integration.launcher.processes import Program, begun, confinable, demo_options, gone
from tests.support.runs import Result, collect, connect


def _prepare(data_dir: Path) -> Settings:
    settings = Settings(data_dir=data_dir)
    old = os.umask(0o077)
    try:
        folder.prepare(settings)
        schema.upgrade(settings.database)
    finally:
        os.umask(old)
    return settings


@contextmanager
def _serving(settings: Settings, count: int) -> Iterator[Program]:
    command = [sys.executable, "-P", "-m", "opsconsole", "demo-fleet", "--hosts", str(count)]
    command += demo_options("--unconfined")
    environment = {"OPSCONSOLE_DATA_DIR": str(settings.data_dir), "OPSCONSOLE_TOKEN": "hush"}
    with Program(command, environment) as program:
        _await_announcement(settings, program)
        yield program


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return _prepare(tmp_path_factory.mktemp("fleet") / "data")


@pytest.fixture(scope="module")
def fleet(settings: Settings) -> Iterator[Program]:
    with _serving(settings, 17) as program:
        yield program


def _await_announcement(settings: Settings, program: Program) -> None:
    async def look() -> None:
        while (found := demo.announced(settings)) is None or found.pid != program.process.pid:
            assert program.process.poll() is None, program.text
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(look(), 60))


def _port(settings: Settings) -> int:
    found = demo.announced(settings)
    assert found
    return found.port


async def _connect(settings: Settings, host: str) -> asyncssh.SSHClientConnection:
    address = next(one.address for one in demo.fleet(17) if one.name == host)
    port = _port(settings)
    with closing(Database(settings.database)) as database, database.read() as session:
        trusted = hostkeys.trusted_keys(session, [(address, port)])[(address, port)]
    known = "".join(f"[{address}]:{port} {key.algorithm} {key.key}\n" for key in trusted)
    return await asyncssh.connect(
        address,
        port,
        username="anybody",
        client_keys=[str(demo.key_file(settings))],
        known_hosts=asyncssh.import_known_hosts(known),
        agent_path=None,
        config=None,
    )


def _run(settings: Settings, host: str, command: str, input_text: str = "") -> asyncssh.SSHCompletedProcess:
    async def work() -> asyncssh.SSHCompletedProcess:
        async with await _connect(settings, host) as connection:
            return await connection.run(command, input=input_text, timeout=30)

    return asyncio.run(work())


T = TypeVar("T")


def _with_files(settings: Settings, host: str, work: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with await _connect(settings, host) as connection, connection.start_sftp_client() as files:
            return await asyncio.wait_for(work(files), 30)

    return asyncio.run(connected())


def test_it_is_in_the_inventory(settings: Settings, fleet: Program) -> None:
    with closing(Database(settings.database)) as database, database.read() as session:
        hosts = {host.name: host for host in service.hosts(session)}
        sizes = {group.name: group.count for group in groups.groups(session)}
    assert len(hosts) == 17
    assert sizes == {"demo": 17}
    assert hosts["demo05"].credential == "demo"
    assert hosts["demo05"].address == "127.0.1.5"
    assert hosts["demo05"].tags["env"] == "demo"


def test_commands_are_real(settings: Settings, fleet: Program) -> None:
    done = _run(settings, "demo01", "cat; echo oops >&2; pwd; exit 7", "typed")
    home = confinement.Confinement.home("demo01") if confinable() else demo.homes(settings) / "demo01"
    assert (done.stdout, done.stderr, done.exit_status) == (f"typed{home}\n", "oops\n", 7)
    assert not confinable() or str(_run(settings, "demo02", "hostname").stdout) == "demo02\n"


def test_a_signal_of_the_command_is_told(settings: Settings, fleet: Program) -> None:
    done = _run(settings, "demo01", "kill -SEGV $$")
    assert done.exit_signal
    assert done.exit_signal[0] == "SEGV"


def test_commands_get_nothing_of_our_environment(settings: Settings, fleet: Program) -> None:
    done = _run(settings, "demo02", "env")
    names = {line.partition("=")[0] for line in str(done.stdout).splitlines()}
    assert names - {"_", "PWD", "SHLVL", "OLDPWD"} == {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "HOSTNAME", "LANG"
    }  # fmt: skip
    assert "hush" not in str(done.stdout)


def test_large_output_of_both_streams_arrives_whole(settings: Settings, fleet: Program) -> None:
    done = _run(
        settings, "demo03", "head -c 3000000 /dev/zero | tr '\\0' a; head -c 3000000 /dev/zero | tr '\\0' b >&2"
    )
    assert len(str(done.stdout)) == len(str(done.stderr)) == 3_000_000


def test_a_background_process_does_not_hold_the_result(settings: Settings, fleet: Program) -> None:
    done = _run(settings, "demo04", "sleep 600.04 & echo $!")
    assert done.exit_status == 0
    # It lives on, as on any server, and ends with the fleet: see the last test.
    assert begun("600.04")


@pytest.mark.skipif(not confinable(), reason="this machine refuses namespaces")
def test_nothing_of_the_machine_can_be_changed_signalled_or_read(
    settings: Settings, fleet: Program, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    marker.write_text("here")
    tmp_path.chmod(0o777)
    marker.chmod(0o666)
    # Only files and processes of this test are tried: were the confinement broken nothing else would suffer.
    said = _run(settings, "demo01", f"rm -f {marker}; mkdir -p {tmp_path}; touch {marker} && ls {tmp_path}").stdout
    assert (said, marker.read_text()) == ("marker\n", "here")
    with subprocess.Popen(["sleep", "600"]) as outside:
        assert _run(settings, "demo01", f"kill -0 {outside.pid}").exit_status != 0
        assert _run(settings, "demo01", f"kill -9 {outside.pid}").exit_status != 0
        assert outside.poll() is None
        outside.kill()
    assert _run(settings, "demo01", f"cat {settings.data_dir}/secret.key {demo.key_file(settings)}").stdout == ""
    writable = "for d in / /etc /usr /var /opt; do touch $d/opsconsole-was-here && echo $d; done; ls /run /root"
    assert str(_run(settings, "demo01", writable).stdout) in {"/run:\n\n/root:\n", "/root:\n\n/run:\n"}
    rights = str(_run(settings, "demo01", "id -u; cat /proc/self/status").stdout)
    assert rights.partition("\n")[0] == str(confinement.user()) != "0"
    assert "CapEff:\t0000000000000000\n" in rights
    assert "NoNewPrivs:\t1\n" in rights


def test_files_are_put_and_fetched_where_commands_find_them(settings: Settings, fleet: Program, tmp_path: Path) -> None:
    (tmp_path / "site/css").mkdir(parents=True)
    (tmp_path / "site/css/all.css").write_bytes(os.urandom(1_000_000))

    async def work(files: asyncssh.SFTPClient) -> tuple[str, list[str]]:
        await files.put(str(tmp_path / "site"), "site", recurse=True, preserve=True)
        await files.posix_rename("site", "www")
        await files.get("www/css/all.css", str(tmp_path / "back"))
        assert (await files.statvfs(".")).bavail
        return str(await files.realpath(".")), sorted(str(name) for name in await files.listdir("www"))

    home, names = _with_files(settings, "demo02", work)
    assert (home, names) == (str(_run(settings, "demo02", "pwd").stdout).strip(), ["css"])
    assert (tmp_path / "back").read_bytes() == (tmp_path / "site/css/all.css").read_bytes()
    assert str(_run(settings, "demo02", "wc -c < www/css/all.css").stdout).strip() == "1000000"


def test_without_a_world_files_are_served_by_a_process_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    place = Place(host="demo01", home=tmp_path, user="me")
    processes, ended = Processes(), list[int]()
    server = processes.start_files(place, ended.append)
    # The greeting, and whether there is a file by that name in its home.
    server.stdin.write(struct.pack(">IBI", 5, 1, 3) + struct.pack(">IBII4s", 13, 17, 7, 4, b"here"))
    server.stdin.close()
    said = server.stdout.read()
    server.stdout.close()
    server.stderr.close()
    while not ended:
        processes.reap()
    assert ended == [0]
    assert b"posix-rename@openssh.com" in said
    assert struct.pack(">BI", 105, 7) in said


def _carried(settings: Settings, transfer: Transfer) -> Result:
    """Returns what the product's own client told of a transfer to or from demo06."""
    address, port = "127.0.1.6", _port(settings)
    with closing(Database(settings.database)) as database, database.read() as session:
        known = hostkeys.trusted_keys(session, [(address, port)])[(address, port)]
    target = Target(host="demo06", address=address, port=port, user="anybody", known_keys=tuple(known))
    connector = ParamikoConnector(allow_loopback=True, home=settings.data_dir)
    try:
        there = connect(connector, target, Auth(identity="demo", key_files=(str(demo.key_file(settings)),)))
        return collect(there.transfer(transfer).events(0.2))
    finally:
        connector.close()


def test_the_product_pushes_goes_on_from_what_is_there_and_pulls(
    settings: Settings, fleet: Program, tmp_path: Path
) -> None:
    content = os.urandom(2_000_000)
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "big").write_bytes(content)
    half = f".big.opsc-{digest[:16]}-1-1.beef"

    async def leave(files: asyncssh.SFTPClient) -> None:
        await files.mkdir("www")
        async with files.open(f"www/{half}", "wb") as file:
            await file.write(content[:1_500_000])
        await files.chmod(f"www/{half}", 0o600)
        await files.utime(f"www/{half}", (time.time() - 60,) * 2)

    _with_files(settings, "demo06", leave)
    file = PushedFile(tmp_path / "big", digest, len(content), "www/big", mode=0o640)
    first = _carried(settings, Push("2-1.cafe", (file,), False))
    told = "went on from 1500000 bytes of an earlier push of www/big\ncreated www/big\n"
    assert (first.stdout.decode(), first.stderr, first.end) == (told, b"", Exited(0))
    assert _carried(settings, Push("2-2.cafe", (file,), False)).stdout == b"unchanged www/big\n"
    if confinable():
        refused = _carried(settings, Push("2-3.cafe", (replace(file, owner="root:root"),), False))
        said = b"The owner of www/big cannot be set to 0:0: permission denied.\n"
        assert (refused.stderr, refused.end) == (said, Exited(1))
    pulled = _carried(settings, Pull("2-4.cafe", ("ww*",), tmp_path / "pulled", 10, 10_000_000, 0))
    assert pulled.end == Exited(0)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.glob("pulled/**/*") if path.is_file()] == [
        "pulled/www/big"
    ]
    assert (tmp_path / "pulled/www/big").read_bytes() == content


@pytest.mark.skipif(not confinable(), reason="this machine refuses namespaces")
def test_each_host_has_files_of_its_own_and_a_file_session_what_its_commands_have(
    settings: Settings, fleet: Program, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)

    async def leave(files: asyncssh.SFTPClient) -> None:
        for place in (".", "/tmp", "/srv", "/dev/shm"):
            async with files.open(f"{place}/mine", "w") as file:
                await file.write("of demo03")

    async def look(files: asyncssh.SFTPClient) -> list[str]:
        found = [f"{place}/mine" for place in ("/home/demo03", "/tmp", "/srv", "/dev/shm", "/var/tmp")]
        found += ["/home/demo03", "/.hosts/demo03", str(settings.data_dir), str(demo.key_file(settings))]
        for forbidden in ("/etc/opsconsole-was-here", "/opsconsole-was-here", str(tmp_path / "marker")):
            with pytest.raises(asyncssh.SFTPError):
                async with files.open(forbidden, "w"):
                    pass
        async with files.open("/proc/self/status") as status:
            rights = str(await status.read(8192))
        assert "CapEff:\t0000000000000000\n" in rights
        assert "NoNewPrivs:\t1\n" in rights
        assert f"Uid:\t{confinement.user()}\t" in rights
        # Nothing but its own three streams, and the one that lists them: no way to give orders to the world.
        assert {str(name) for name in await files.listdir("/proc/self/fd")} - {".", ".."} == {"0", "1", "2", "3"}
        return [name for name in found if await files.exists(name)]

    _with_files(settings, "demo03", leave)
    assert str(_run(settings, "demo03", "cat mine /tmp/mine").stdout) == "of demo03of demo03"
    assert _with_files(settings, "demo04", look) == []
    assert str(_run(settings, "demo04", "ls -a /tmp /.hosts /home").stdout).count("demo") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not confinable(), reason="this machine refuses namespaces")
def test_a_killed_fleet_leaves_no_process_and_no_mount(tmp_path: Path) -> None:
    settings = _prepare(tmp_path / "data")
    with _serving(settings, 2) as program:
        _run(settings, "demo01", "setsid sleep 600.09 >/dev/null 2>&1 & echo $!")
        inside = [
            begun("600.09"),
            *(one.pid for one in psutil.Process(program.process.pid).children(recursive=True)),
        ]
        program.process.kill()
        assert gone(inside, 10)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_hosts_differ(settings: Settings, fleet: Program) -> None:
    assert 'VERSION_ID="12"' in str(_run(settings, "demo01", "cat os-release").stdout)
    assert 'VERSION_ID="11"' in str(_run(settings, "demo05", "cat os-release").stdout)
    with pytest.raises(asyncssh.PermissionDenied):
        _run(settings, "demo11", "true")
    with pytest.raises(ConnectionRefusedError):
        _run(settings, "demo13", "true")

    async def timed() -> float:
        async with await _connect(settings, "demo17") as connection:
            started = asyncio.get_running_loop().time()
            await connection.run("true", timeout=30)
            return asyncio.get_running_loop().time() - started

    assert asyncio.run(timed()) >= demo.SLOW_SECONDS


def test_signals_reach_the_whole_group(settings: Settings, fleet: Program) -> None:
    async def work() -> tuple[int, object]:
        async with await _connect(settings, "demo06") as connection:
            process = await connection.create_process("sleep 600.06 & echo $!; wait; echo never")
            await process.stdout.readline()
            pid = begun("600.06")
            process.send_signal("TERM")
            done = await process.wait(timeout=20)
            return pid, done.exit_signal

    pid, ended_by = asyncio.run(work())
    assert ended_by
    assert gone([pid], 10)


def test_a_lost_connection_ends_the_command(settings: Settings, fleet: Program) -> None:
    async def work() -> int:
        connection = await _connect(settings, "demo07")
        process = await connection.create_process("sleep 600.07 & echo $!; wait")
        await process.stdout.readline()
        pid = begun("600.07")
        connection.abort()
        await connection.wait_closed()
        return pid

    assert gone([asyncio.run(work())], 15)


def test_strangers_stay_out(settings: Settings, fleet: Program, tmp_path: Path) -> None:
    async def work() -> None:
        other = asyncssh.generate_private_key("ssh-ed25519")
        await asyncssh.connect(
            "127.0.1.1", _port(settings), username="root", client_keys=[other], known_hosts=None, agent_path=None,
            config=None,
        )  # fmt: skip

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(work())


def test_its_end_ends_all_commands_and_a_restart_keeps_the_keys(tmp_path: Path) -> None:
    settings = _prepare(tmp_path / "data")

    async def start_and_end(program: Program) -> int:
        async with await _connect(settings, "demo02") as connection:
            process = await connection.create_process("sleep 600.02 & echo $!; wait")
            await process.stdout.readline()
            pid = begun("600.02")
            assert await asyncio.to_thread(program.end) == 0
            return pid

    with _serving(settings, 2) as program:
        # One that has left its session ends with the world; without one it would stay, as on any server.
        _run(settings, "demo01", ("setsid " if confinable() else "") + "sleep 600.01 >/dev/null 2>&1 & echo $!")
        left = begun("600.01")
        running = asyncio.run(start_and_end(program))
    assert gone([left, running], 5)

    keys = _host_keys(settings)
    with _serving(settings, 2):
        assert str(_run(settings, "demo01", "echo back").stdout) == "back\n"
    assert _host_keys(settings) == keys


def _host_keys(settings: Settings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (demo.folder(settings) / "host_keys").iterdir()}
