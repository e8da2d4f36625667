"""A database restored from an older copy: nothing is started from it until a person has looked."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from opsconsole.db.console import Console as ConsoleRow
from opsconsole.jobs.models import WorkerProcess
from opsconsole.settings import child_environment
from tests.faults.conftest import KEY
from tests.support.console import Console, marks, until

pytestmark = pytest.mark.slow


def refuses(console: Console) -> list[str]:
    with console.database.read() as session:
        rows = session.query(WorkerProcess).filter(WorkerProcess.gone_at.is_(None)).all()
        return [row.refuses for row in rows if row.refuses]


def recover(console: Console) -> str:
    command = [sys.executable, "-m", "opsconsole", "recover", "--hold", "--reason", "restored"]
    environment = child_environment({"data_dir": console.settings.data_dir})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=os.sep)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_restored_database_starts_nothing_until_a_person_has_looked(
    make_console: Callable[..., Console], tmp_path: Path
) -> None:
    console, started = make_console(), tmp_path / "started"
    live, copy = console.settings.data_dir / "opsconsole.db", tmp_path / "backup.db"
    command = f"echo ${{OPSC_RUN%%-*}} >> {started}; sleep 1"
    # The backup is made while one host runs and four wait.
    job_id = console.launch("127.0.0.[1-5]", command, concurrency=1, **KEY)
    console.until_counts(job_id, r=1)
    with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    console.follow(job_id)
    assert len(marks(started)) == 5
    console.workers[0].stop()
    console.database.close()
    for name in ("opsconsole.db-wal", "opsconsole.db-shm"):
        (console.settings.data_dir / name).unlink(missing_ok=True)
    live.write_bytes(copy.read_bytes())

    console.start_workers(1)
    until(lambda: refuses(console) == ["restored"], 20, "the worker notices")
    console.dispatcher.publish([(run.id, run.attempt) for run in console.runs(job_id)])
    fresh = console.launch("127.0.0.9", command, **KEY)
    until(lambda: "has gone back in time" in console.logs(), 10, "the log says so")
    assert console.status(fresh)["counts"]["q"] == 1
    console.workers[-1].stop()

    said = recover(console)
    assert "on hold" in said
    console.start_workers(1)
    assert refuses(console) == []
    with console.database.transaction() as session:
        session.get_one(ConsoleRow, 1).held_at = None
    # Lifted: what is new runs, what may have run already waits for its own word.
    body, _ = console.run("127.0.0.20", "true", **KEY)
    assert body["state"] == "succeeded"
    counts = console.status(job_id)["counts"]
    assert console.status(job_id)["state"] == "paused"
    assert (counts["o"] + counts["l"], counts["q"]) == (1, 4)
    assert len(marks(started)) == 5
