"""The data folder: private, ours, writable, and locked."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.errors import Conflict, Unavailable
from opsconsole.launcher import folder
from opsconsole.launcher.folder import Holder, RunLock
from opsconsole.settings import Settings


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    folder.prepare(Settings(data_dir=data))
    assert {stat.S_IMODE(path.stat().st_mode) for path in (data, data / "run", data / "logs")} == {0o700}
    (data / "new").write_text("x")
    assert stat.S_IMODE((data / "new").stat().st_mode) == 0o600


def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
    else:
        theirs = Path("/usr/share")
    with pytest.raises(Unavailable, match="belongs to another user") as caught:
        folder.prepare(Settings(data_dir=theirs))
    assert "OPSCONSOLE_DATA_DIR" in caught.value.detail


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be used: Not a directory"):
        folder.prepare(Settings(data_dir=tmp_path / "file" / "data"))
    with pytest.raises(Unavailable, match="cannot be used"):
        folder.prepare(Settings(data_dir=Path("/proc/opsconsole")))


def test_the_lock_is_for_one_and_says_who_has_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    folder.prepare(settings)
    with RunLock(settings) as lock:
        with pytest.raises(Conflict, match=rf"already running on this data folder \(process {os.getpid()}\)"):
            RunLock(settings).__enter__()
        lock.tell(Holder(os.getpid(), "http://127.0.0.1:1"))
        with pytest.raises(Conflict, match=r"at http://127\.0\.0\.1:1 "):
            RunLock(settings).__enter__()
    with RunLock(settings):
        pass


def test_a_written_file_is_private_and_whole(tmp_path: Path) -> None:
    target = tmp_path / "facts.json"
    folder.write_private(target, "one")
    folder.write_private(target, "two")
    assert target.read_text() == "two"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["facts.json"]
