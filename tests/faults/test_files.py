"""Large files to and from twenty hosts at once: memory stays bounded, and a cancel leaves nothing half there."""

import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opsconsole.files import service
from opsconsole.files.store import Store
from tests.faults.conftest import KEY
from tests.support.console import Console, Worker, until

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(5400)]
MakeConsole = Callable[..., Console]

_HOSTS = 20
_SIZE = 1_000_000_000
_FOLDER_FILES = 5
# What a worker has with nothing to do, and room for what is on its way to and from twenty hosts.
_MOST_RSS = 320 * 1024 * 1024
_SECONDS = 3600.0


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Path]:
    """Where the files go: each host has a folder of its own. It is large, so it does not stay."""
    yield tmp_path / "hosts"
    shutil.rmtree(tmp_path / "hosts", ignore_errors=True)
    shutil.rmtree(tmp_path / "console" / "files", ignore_errors=True)


class Watch:
    """Looks at the memory of a worker as long as the test goes on."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._stop = threading.Event()
        self.most = worker.rss
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            self.most = max(self.most, self._worker.rss)

    def end(self) -> int:
        """Returns the most bytes that were seen."""
        self._stop.set()
        self._thread.join()
        return self.most


def uploaded(console: Console) -> tuple[str, Path]:
    """Returns the digest of a large file that the console has been given, and where it lies."""
    store = Store(console.settings.files, spare_bytes=0)

    class Source:
        left = _SIZE
        piece = os.urandom(1_000_000)

        def read(self, size: int) -> bytes:
            data = self.piece[: min(size, self.left)]
            self.left -= len(data)
            return data

    sha256, size = store.receive(Source(), limit=_SIZE)
    with console.database.transaction() as session:
        service.keep(session, console.actor, name="big", sha256=sha256, size=size, now=console.clock.now())
    return sha256, store.blob(sha256)


def carry(console: Console, **order: Any) -> int:
    """Returns the job that carries files to or from all hosts."""
    return console.launch(f"127.0.1.[1-{_HOSTS}]", "", command_timeout=_SECONDS, **order, **KEY)


def carried(console: Console, job_id: int, least: int) -> bool:
    """Returns whether all hosts together have so many bytes, and all have some."""
    return console.status(job_id)["carried"]["done"] >= least and all(run.done_bytes for run in console.runs(job_id))


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_large_files_to_and_from_twenty_hosts(make_console: MakeConsole, there: Path) -> None:
    console = make_console(worker_dead_seconds=30.0, files_spare_bytes=0, max_pull_bytes=2 * _SIZE)
    watch = Watch(console.workers[0])
    sha256, _ = uploaded(console)
    push = {"push": [{"file": sha256, "to": f"{there}/{{n}}/big", "mode": "0640"}], "make_folders": True}

    # 1. Cancelled in the middle: nothing is in place, and nothing half written is left.
    job = carry(console, **push)
    until(lambda: carried(console, job, _HOSTS * _SIZE // 20), _SECONDS, "a part is there")
    console.cancel(job)
    assert console.follow(job, 120)["counts"]["x"] == _HOSTS
    assert [path for path in there.rglob("*") if path.is_file()] == []

    # 2. To the end.
    job = carry(console, **push)
    status = console.follow(job, _SECONDS)
    assert status["counts"]["o"] == _HOSTS, [run.detail for run in console.runs(job)]
    assert status["carried"]["done"] == _HOSTS * _SIZE
    files = sorted(path for path in there.rglob("*") if path.is_file())
    assert len(files) == _HOSTS
    assert {path.stat().st_size for path in files} == {_SIZE}
    assert digest(files[0]) == sha256
    seconds = sum(run.duration_ms or 0 for run in console.runs(job)) / _HOSTS / 1000

    # 3. A folder back from all, cancelled in the middle, and then to its end.
    for n in range(1, _HOSTS + 1):
        (there / str(n) / "big").unlink()
        for k in range(_FOLDER_FILES):
            with (there / str(n) / f"part{k}").open("wb") as part:
                part.truncate(_SIZE // 10 // _FOLDER_FILES)
    pull = {"pull": [f"{there}/{{n}}"]}
    pulled = console.settings.files / "pulled"
    job = carry(console, **pull)
    until(lambda: carried(console, job, _HOSTS * _SIZE // 200), _SECONDS, "a part came")
    console.cancel(job)
    ended = console.follow(job, 120)["counts"]
    assert ended["x"] + ended["o"] == _HOSTS
    assert ended["x"] > 0
    # What was done by the time the order came is there whole.
    kept = list((pulled / str(job)).iterdir())
    assert len(kept) >= ended["o"]
    assert {len(list(folder.rglob("part*"))) for folder in kept} <= {_FOLDER_FILES}
    assert not [folder for folder in kept if folder.suffix == ".part"]

    job = carry(console, **pull)
    status = console.follow(job, _SECONDS)
    assert status["counts"]["o"] == _HOSTS, [run.detail for run in console.runs(job)]
    assert len([path for path in (pulled / str(job)).rglob("part*") if path.is_file()]) == _HOSTS * _FOLDER_FILES
    most = watch.end()
    sys.stdout.write(f"{_HOSTS} x {_SIZE:,} bytes in {seconds:.0f} s each, most memory {most / 2**20:.0f} MiB\n")
    assert most < _MOST_RSS
