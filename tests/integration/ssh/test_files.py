"""Files carried to a real OpenSSH server and back: whole or not at all, with the mode they are to have, never twice."""

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest

from opsconsole.jobs.ports import Become, BecomeMethod, Dropped, Event, Exited, Output, Stream
from opsconsole.jobs.transfer import Progress, Pull, Push, PushedFile, Transfer
from opsconsole.ssh import ParamikoConnector, leftovers
from tests.support.requirements import not_run
from tests.support.runs import connect
from tests.support.sshd import Sshd, running_sshd


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """A server of this module's own."""
    with running_sshd() as started:
        yield started


class Carrier:
    """Carries files over connections of one connector, and keeps what the last transfer told."""

    def __init__(self, connector: ParamikoConnector, server: Sshd) -> None:
        self.connector = connector
        self.server = server
        self.out = self.err = ""
        self.progress: list[Progress] = []

    def carry(self, transfer: Transfer) -> Event | None:
        """Returns the last event."""
        session = connect(self.connector, self.server.target(), self.server.auth())
        try:
            return self.collect(session.transfer(transfer).events(0.2))
        finally:
            session.close(keep=True)

    def collect(self, events: Iterator[Event]) -> Event | None:
        """Returns the last of the events; keeps what they told."""
        self.out = self.err = ""
        self.progress = []
        last: Event | None = None
        for event in events:
            last = event
            match event:
                case Output(Stream.STDOUT, data):
                    self.out += data.decode()
                case Output(_, data):
                    self.err += data.decode()
                case Progress():
                    self.progress.append(event)
                case _:
                    pass
        return last


@pytest.fixture
def carrier(connector: ParamikoConnector, server: Sshd) -> Carrier:
    """A carrier to the module's server."""
    return Carrier(connector, server)


def a_file(folder: Path, content: bytes, to: Path | str, **more: object) -> PushedFile:
    """Returns a file with ``content`` that goes ``to`` a path."""
    source = folder / f"source-{hashlib.sha256(content).hexdigest()[:8]}"
    source.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return PushedFile(source, digest, len(content), str(to), **more)  # type: ignore[arg-type]


def push(*files: PushedFile, mark: str = "7-1.abcd", make_folders: bool = False) -> Push:
    """Returns a push of files."""
    return Push(mark, files, make_folders)


def test_a_file_is_put_in_place_with_its_mode_and_left_alone_the_second_time(carrier: Carrier, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    file = a_file(tmp_path, b"hello\n" * 100, there / "motd", mode=0o640)
    assert carrier.carry(push(file)) == Exited(0)
    assert (carrier.out, carrier.err) == (f"created {there}/motd\n", "")
    assert carrier.progress[-1] == Progress(600, 600)
    assert (there / "motd").read_bytes() == b"hello\n" * 100
    assert stat.S_IMODE((there / "motd").stat().st_mode) == 0o640
    first = (there / "motd").stat().st_ino

    assert carrier.carry(push(file)) == Exited(0)
    assert carrier.out == f"unchanged {there}/motd\n"
    assert (there / "motd").stat().st_ino == first

    assert carrier.carry(push(replace(file, mode=0o600))) == Exited(0)
    assert carrier.out == f"changed mode of {there}/motd\n"
    assert (there / "motd").stat().st_ino == first

    # Another content: another file in its place, which keeps the mode of the one before.
    assert carrier.carry(push(a_file(tmp_path, b"other", there / "motd"))) == Exited(0)
    assert carrier.out == f"replaced {there}/motd\n"
    assert stat.S_IMODE((there / "motd").stat().st_mode) == 0o600
    assert (there / "motd").read_bytes() == b"other"
    assert os.listdir(there) == ["motd"]


def test_a_missing_folder_is_made_only_when_that_is_wanted(carrier: Carrier, tmp_path: Path) -> None:
    file = a_file(tmp_path, b"x", tmp_path / "a/b/c")
    assert carrier.carry(push(file)) == Exited(1)
    assert carrier.err == f"There is no folder {tmp_path}/a/b; with make_folders (--make-folders) it is made.\n"
    assert carrier.carry(push(file, a_file(tmp_path, b"y", tmp_path / "a/d"), make_folders=True)) == Exited(0)
    assert carrier.out == f"made folder {tmp_path}/a/b\ncreated {tmp_path}/a/b/c\ncreated {tmp_path}/a/d\n"


def test_what_cannot_be_replaced_is_left_and_said(carrier: Carrier, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("real")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("link", "is a symbolic link"),
        ("folder", "is a folder"),
        ("pipe", "is no plain file"),
        ("real/x", "is no folder"),
    ):
        second = a_file(tmp_path, b"2", tmp_path / "second")
        assert carrier.carry(push(a_file(tmp_path, b"new", tmp_path / name), second)) == Exited(1)
        assert words in carrier.err or "cannot be written" in carrier.err
        assert carrier.err.endswith("Not sent for that: 1 more.\n")
    assert (tmp_path / "real").read_text() == "real"
    assert not (tmp_path / "second").exists()
    gone = replace(a_file(tmp_path, b"gone", tmp_path / "gone"), source=tmp_path / "nothing")
    assert carrier.carry(push(gone)) == Exited(1)
    assert "own copy of the file cannot be read" in carrier.err
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


def test_an_owner_is_set_by_name_or_told_to_be_unknown(carrier: Carrier, tmp_path: Path) -> None:
    own = f"{carrier.server.user}:{os.getgid()}"
    assert carrier.carry(push(a_file(tmp_path, b"x", tmp_path / "t", owner=own))) == Exited(0)
    assert carrier.carry(push(a_file(tmp_path, b"x", tmp_path / "t", owner="no-such-user"))) == Exited(1)
    assert "The host knows no user no-such-user" in carrier.err
    if os.geteuid() == 0:
        assert carrier.carry(push(a_file(tmp_path, b"x", tmp_path / "t", owner="daemon:1", mode=0o4755))) == Exited(0)
        assert carrier.out == f"changed owner and mode of {tmp_path}/t\n"
        found = (tmp_path / "t").stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1, 1, 0o4755)


def test_a_stopped_push_leaves_nothing_and_a_dropped_one_is_gone_on_with(carrier: Carrier, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    big = a_file(tmp_path, os.urandom(1024) * 48 * 1024, there / "big", mode=0o600)

    def part_way(end: str) -> Event | None:
        session = connect(carrier.connector, carrier.server.target(), carrier.server.auth())
        process = session.transfer(push(big))

        def watched() -> Iterator[Event]:
            for event in process.events(0.01):
                yield event
                if isinstance(event, Progress) and 0 < event.done < big.size:
                    if end == "drop":
                        session.close(keep=False)
                    else:
                        process.signal(end)

        try:
            return carrier.collect(watched())
        finally:
            session.close(keep=False)

    assert part_way("TERM") == Exited(None, "TERM")
    assert "has been removed" in carrier.err
    assert os.listdir(there) == []

    end = part_way("drop")
    assert isinstance(end, Dropped)
    (left,) = os.listdir(there)
    assert left in end.detail
    assert 0 < (there / left).stat().st_size <= big.size
    # Somebody may still be at it: it is left alone, and nothing of it is used.
    again = replace(push(big), mark="8-1.abcd")
    assert carrier.carry(replace(again, files=(replace(big, to=str(there / "other")),))) == Exited(0)
    assert "went on" not in carrier.out
    long_ago = time.time() - 3600
    os.utime(there / left, (long_ago, long_ago))
    assert carrier.carry(again) == Exited(0)
    assert "went on from" in carrier.out
    assert hashlib.sha256((there / "big").read_bytes()).hexdigest() == big.sha256
    assert sorted(os.listdir(there)) == ["big", "other"]
    # It is there now, so that nothing is sent that could be cut off.
    assert isinstance(part_way("drop"), Exited)


def test_a_push_that_ran_out_of_time_is_gone_on_with_at_once(
    carrier: Carrier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_ABANDONED_SECONDS", 2.0)
    there = tmp_path / "there"
    there.mkdir()
    big = a_file(tmp_path, os.urandom(1024) * 48 * 1024, there / "big", mode=0o600)
    long_ago = time.time() - 7200
    digest = "0" * 16
    forgotten, young, others = (
        f".big.opsc-{digest}-1-1.ab",
        f".big.opsc-{digest}-2-1.ab",
        f".bigger.opsc-{digest}-1-1.ab",
    )
    for name in (forgotten, young, others):
        (there / name).write_bytes(b"x")
        if name != young:
            os.utime(there / name, (long_ago, long_ago))
    session = connect(carrier.connector, carrier.server.target(), carrier.server.auth())
    process = session.transfer(push(big))

    def until_its_deadline() -> Iterator[Event]:
        for event in process.events(0.01):
            yield event
            if isinstance(event, Progress) and 0 < event.done < big.size:
                process.signal("HUP")

    end = carrier.collect(until_its_deadline())
    session.close(keep=False)
    assert isinstance(end, Exited)
    assert end.doubt is None
    (left,) = set(os.listdir(there)) - {young, others}
    assert end.kept is not None
    assert left in end.kept

    # At once: it waits until nobody has written to it for a while, and sends the rest.
    assert carrier.carry(replace(push(big), mark="8-1.abcd")) == Exited(0)
    assert "waiting whether an earlier push" in carrier.out
    assert "went on from" in carrier.out
    assert hashlib.sha256((there / "big").read_bytes()).hexdigest() == big.sha256
    # What nobody had come back for was removed on the way.
    assert sorted(os.listdir(there)) == [young, others, "big"]


def test_what_was_left_can_be_cleared_away_over_another_connection(carrier: Carrier, tmp_path: Path) -> None:
    file = a_file(tmp_path, b"x" * 100, tmp_path / "t")
    left = tmp_path / f".t.opsc-{file.sha256[:16]}-7-1.abcd"
    left.write_text("half")
    session = connect(carrier.connector, carrier.server.target(), carrier.server.auth())
    try:
        assert session.tidy(push(file), seconds=8.0).clear
    finally:
        session.close(keep=False)
    assert not left.exists()


def test_files_are_carried_as_another_account_by_the_hosts_own_server(carrier: Carrier) -> None:
    if os.geteuid() != 0:
        not_run("root, to become another account unasked", "run the tests as root")
    if shutil.which("sudo") is None:
        not_run("sudo", "apt-get install sudo")
    # Another account must be able to go there.
    folder = Path(mkdtemp(dir="/tmp"))
    folder.chmod(0o777)
    try:
        for method in BecomeMethod:
            session = connect(carrier.connector, carrier.server.target(), carrier.server.auth())
            try:
                process = session.transfer(push(a_file(folder, b"x", folder / method)), Become("nobody", method))
                assert carrier.collect(process.events(0.2)) == Exited(0), carrier.err
            finally:
                session.close(keep=False)
            assert (folder / method).owner() == "nobody"
    finally:
        shutil.rmtree(folder)


def pull(into: Path, *paths: Path | str, **limits: int) -> Pull:
    """Returns a pull with generous limits."""
    usual = {"max_files": 1000, "max_bytes": 10**9, "spare_bytes": 0}
    return Pull("7-1.abcd", tuple(map(str, paths)), into, **{**usual, **limits})


def test_folders_files_and_wildcards_come_back(carrier: Carrier, tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "pulled" / "0"
    (source / "sub").mkdir(parents=True)
    (source / "a.log").write_bytes(os.urandom(700_000))
    (source / "b.log").write_bytes(b"")
    (source / "sub" / "c.txt").write_text("c")
    (source / ".hidden.log").write_text("h")
    (source / "out").symlink_to("/etc/passwd")
    (source / "evil\n\x1b[31m\\name").write_text("e")
    os.mkfifo(source / "pipe")
    os.mkfifo(source / "z.log")
    assert carrier.carry(pull(into, source, source / "none", "/proc/version")) == Exited(1)
    assert carrier.err == f"{source}/none: there is nothing by that name.\n"
    root = into / str(source).lstrip("/")
    assert (root / "a.log").read_bytes() == (source / "a.log").read_bytes()
    assert (into / "proc/version").read_bytes() == Path("/proc/version").read_bytes()
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    assert names == [".hidden.log", "a.log", "b.log", "evil%0A%1B[31m%5Cname", "sub", "sub/c.txt"]
    assert f"left out {source}/out: a symbolic link\n" in carrier.out
    assert f"left out {source}/pipe: no plain file\n" in carrier.out
    assert "\x1b" not in carrier.out
    assert carrier.progress[-1].done == carrier.progress[-1].total

    assert carrier.carry(pull(tmp_path / "pulled" / "1", f"{tmp_path}/s*/[ab].log")) == Exited(0)
    assert len(carrier.out.splitlines()) == 2
    assert sorted(os.listdir(tmp_path / "pulled")) == ["0", "1"]


def test_limits_of_a_pull_hold_and_a_stopped_one_leaves_nothing(carrier: Carrier, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a", "b", "c"):
        (source / name).write_bytes(b"x" * 1000)
    place = tmp_path / "pulled"
    assert carrier.carry(pull(place / "0", source, max_files=2)) == Exited(1)
    assert "2 files of one host at most" in carrier.err
    assert carrier.carry(pull(place / "1", source, max_bytes=2500)) == Exited(1)
    assert "2,500 bytes of one host at most" in carrier.err
    for i in ("0", "1"):
        assert len(list((place / i).rglob("[abc]"))) == 2
    (source / "big").write_bytes(b"x" * 30_000_000)
    session = connect(carrier.connector, carrier.server.target(), carrier.server.auth())
    process = session.transfer(pull(place / "2", source / "big"))

    def watched() -> Iterator[Event]:
        for event in process.events(0.01):
            yield event
            if isinstance(event, Progress) and event.done:
                process.signal("TERM")

    try:
        assert carrier.collect(watched()) == Exited(None, "TERM")
    finally:
        session.close(keep=False)
    assert sorted(os.listdir(place)) == ["0", "1"]
