"""The demo hosts' SFTP server, asked packet by packet what whole clients do not ask."""

import errno
import io
import os
import struct
from pathlib import Path

import psutil
import pytest

from opsconsole.launcher import sftp_server
from opsconsole.ssh.sftp_packets import (
    CREATE,
    EXCLUSIVE,
    READ,
    WRITE,
    Attributes,
    Op,
    Reader,
    Status,
    long,
    number,
    text,
)


class Client:
    """Asks one session, as the client of the product reads it."""

    def __init__(self) -> None:
        self.session = sftp_server.Session()

    def ask(self, op: int, *fields: bytes) -> tuple[int, Reader]:
        """Returns the kind of the answer and what it says."""
        answer = self.session.answer(op, number(7) + b"".join(fields))
        size, kind, asked = struct.unpack_from(">IBI", answer)
        assert (size, asked) == (len(answer) - 4, 7)
        return kind, Reader(answer[9:])

    def status(self, op: int, *fields: bytes) -> tuple[int, str]:
        """Returns the status that is answered and its words."""
        kind, said = self.ask(op, *fields)
        assert kind == Op.STATUS
        return said.number(), said.string().decode()

    def opened(self, path: Path, flags: int, mode: int = 0o600) -> bytes:
        """Returns the handle of a file."""
        kind, said = self.ask(Op.OPEN, text(str(path)), number(flags), Attributes(mode=mode).packed())
        assert kind == Op.HANDLE
        return said.string()


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_file_is_written_in_pieces_given_its_mode_and_put_over_another(client: Client, tmp_path: Path) -> None:
    part, target = tmp_path / "part", tmp_path / "target"
    target.write_text("before")
    handle = client.opened(part, WRITE | READ | CREATE | EXCLUSIVE)
    assert part.stat().st_mode & 0o7777 == 0o600
    assert client.status(Op.WRITE, text(handle), long(4), text("orld"))[0] == Status.OK
    assert client.status(Op.WRITE, text(handle), long(0), text("my w"))[0] == Status.OK
    assert client.status(Op.FSETSTAT, text(handle), Attributes(mode=0o640).packed())[0] == Status.OK
    assert client.status(Op.EXTENDED, text("fsync@openssh.com"), text(handle))[0] == Status.OK
    assert client.ask(Op.READ, text(handle), long(3), number(9))[1].string() == b"world"
    assert client.status(Op.READ, text(handle), long(8), number(9))[0] == Status.EOF
    assert client.status(Op.CLOSE, text(handle))[0] == Status.OK
    # The rename of version 3 replaces nothing.
    assert client.status(Op.RENAME, text(str(part)), text(str(target))) == (Status.FAILURE, os.strerror(errno.EEXIST))
    rename = text("posix-rename@openssh.com")
    assert client.status(Op.EXTENDED, rename, text(str(part)), text(str(target)))[0] == Status.OK
    assert (target.read_text(), target.stat().st_mode & 0o7777, part.exists()) == ("my world", 0o640, False)


def test_what_the_system_refuses_is_told(client: Client, tmp_path: Path) -> None:
    file, loop = tmp_path / "file", tmp_path / "loop"
    file.write_text("here")
    loop.symlink_to(loop)
    exclusive = (number(WRITE | CREATE | EXCLUSIVE), Attributes().packed())
    assert client.status(Op.OPEN, text(str(file)), *exclusive)[0] == Status.FAILURE
    assert client.status(Op.LSTAT, text(str(tmp_path / "none")))[0] == Status.NO_SUCH_FILE
    assert client.status(Op.LSTAT, text(str(file / "below")))[0] == Status.NO_SUCH_FILE
    assert client.status(Op.STAT, text(str(loop)))[0] == Status.NO_SUCH_FILE
    assert client.ask(Op.LSTAT, text(str(loop)))[1].attributes().link
    assert client.status(Op.STAT, text("a\0b"))[0] not in {Status.OK, Status.NO_SUCH_FILE}
    assert client.status(Op.SETSTAT, text(str(file)), Attributes(size=1 << 63).packed())[0] != Status.OK
    assert client.status(99)[0] == Status.UNSUPPORTED
    assert client.status(Op.EXTENDED, text("copy-data"))[0] == Status.UNSUPPORTED
    for op in (Op.READ, Op.WRITE, Op.CLOSE, Op.READDIR, Op.FSTAT):
        rest = (long(0), text("")) if op in {Op.READ, Op.WRITE} else ()
        assert client.status(op, text("9"), *rest) == (Status.FAILURE, "There is no such handle")
    assert file.read_text() == "here"


def test_a_pipe_that_nobody_writes_to_holds_nothing_up(client: Client, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    handle = client.opened(tmp_path / "pipe", READ)
    assert client.status(Op.READ, text(handle), long(0), number(9))[0] == Status.FAILURE
    client.session.close()


def test_a_large_folder_comes_in_parts(client: Client, tmp_path: Path) -> None:
    names = {f"file {index}".encode() for index in range(250)} | {b"odd \xff\n"}
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    handle = client.ask(Op.OPENDIR, text(str(tmp_path)))[1].string()
    found, parts = [], 0
    while (answer := client.ask(Op.READDIR, text(handle)))[0] == Op.NAME:
        parts += 1
        for _ in range(answer[1].number()):
            found.append(answer[1].string())
            assert answer[1].string().startswith(b"-rw")
            assert answer[1].attributes().regular
    assert (answer[1].number(), parts, len(found), set(found)) == (Status.EOF, 3, 251, names)
    assert client.status(Op.CLOSE, text(handle))[0] == Status.OK


def test_no_more_than_so_many_files_are_open(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kind, limits = client.ask(Op.EXTENDED, text("limits@openssh.com"))
    assert kind == Op.EXTENDED_REPLY
    _, most_read, most_write, most = (limits.long() for _ in range(4))
    assert most_read == most_write == 255 * 1024
    for _ in range(most):
        client.opened(tmp_path / "file", READ)
    refused = client.status(Op.OPEN, text(str(tmp_path / "file")), number(READ), Attributes().packed())
    assert refused == (Status.FAILURE, "Too many open files")
    before = psutil.Process().num_fds()
    client.session.close()
    assert psutil.Process().num_fds() == before - most


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"Last login: today, from the start-up files of the account",
        struct.pack(">I", 0),
        struct.pack(">IB", 5, Op.STAT) + number(1),
        struct.pack(">IB", 9, Op.STAT) + number(1) + number(4_000_000),
        struct.pack(">IB", 300_000, Op.WRITE),
    ],
)
def test_what_is_no_sftp_ends_the_session(sent: bytes) -> None:
    greeting = struct.pack(">IBI", 5, Op.INIT, 3)
    answered = io.BytesIO()
    sftp_server.serve(io.BytesIO(greeting + sent + greeting if sent else greeting), answered)
    assert answered.getvalue().count(b"fsync@openssh.com") == 1
