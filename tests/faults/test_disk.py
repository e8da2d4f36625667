"""A full disk under the database or the spool: no result is lost while the process lives, and the log is clear."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import KEY
from tests.support.console import Console, marks, until
from tests.support.requirements import not_run

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mounts a file system of ``size`` on ``folder``, which only root may."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        not_run("the right to mount a small file system", "run these tests as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def fill(folder: Path) -> Path:
    """Takes all room that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as handle:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    handle.write(b"\0" * size)
            except OSError:
                continue
    return filler


@pytest.fixture
def data_dir(options: dict[str, object]) -> Path:
    path = options["data_dir"]
    assert isinstance(path, Path)
    return path


def test_a_full_disk_under_the_database(make_console: MakeConsole, data_dir: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    with small_disk(data_dir, "64m"):
        console = make_console(spool_seconds=0.5, outage=True)
        flood = f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 2; head -c 300000 /dev/zero | tr '\\0' x; echo; echo done"
        job_id = console.launch("127.0.0.[1-4]", flood, **KEY)
        console.until_counts(job_id, r=4)
        filler = fill(data_dir)
        try:
            # The log lies on the same disk. Long enough for all to end and to find neither database nor spool:
            time.sleep(6)
            assert console.status(job_id)["counts"]["r"] == 4
        finally:
            filler.unlink()
        body = console.follow(job_id, 90)
        assert body["counts"]["o"] == 4
        assert {(run.last_line, run.stdout_bytes) for run in console.runs(job_id)} == {("done", 300_006)}
        assert len(marks(started)) == 4
        until(lambda: not list(console.settings.spool_dir.glob("*.result")), 30, "the spool is empty")
        console.stop()


def test_a_full_disk_under_the_spool(make_console: MakeConsole, data_dir: Path) -> None:
    console = make_console(workers=0, spool_seconds=0.5)
    with small_disk(console.settings.spool_dir, "100k"):
        console.start_workers(1)
        flood = "sleep 1; head -c 300000 /dev/zero | tr '\\0' x; echo; echo done"
        job_id = console.launch("127.0.0.1", flood, **KEY)
        console.until_counts(job_id, r=1)
        with closing(sqlite3.connect(data_dir / "opsconsole.db", timeout=60, isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            until(lambda: "kept without the last of its output" in console.logs(), 30, "the log tells")
            (kept,) = console.settings.spool_dir.glob("*.result")
            assert kept.stat().st_size < 10_000
            lock.execute("ROLLBACK")
        # While the process lives it has all of it.
        assert console.follow(job_id)["counts"]["o"] == 1
        (run,) = console.runs(job_id)
        assert (run.last_line, run.gap_bytes) == ("done", 0)
        console.workers[0].stop()
