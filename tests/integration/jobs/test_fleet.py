"""A job on 500 hosts: every look at it adds up."""

from pathlib import Path

import pytest

from opsconsole.settings import Settings
from tests.support.console import Console, embedded_broker, running_console


@pytest.mark.slow
def test_five_hundred_hosts(console: Console) -> None:
    job_id = console.launch(
        "127.0.[0-1].[1-250]", "echo $SSH_CONNECTION", credential="key:test", confirm="500", concurrency=100
    )
    # ``status`` looks at every poll whether the counts add up.
    body = console.follow(job_id, 180)
    runs = console.runs(job_id)
    assert body["state"] == "succeeded", body
    assert body["counts"]["o"] == len(runs) == 500
    assert {run.attempt for run in runs} == {1}
    assert sorted(run.ver for run in runs)[-1] <= body["ver"]
    assert len({run.worker for run in runs}) == 2


def test_no_host_waits_at_a_busy_worker_while_another_has_a_free_slot(tmp_path: Path) -> None:
    chosen = {"executor": "simulate", "allow_unlisted_hosts": True, "worker_slots": 4, "sweep_seconds": 0.3}
    settings = Settings.load(data_dir=tmp_path, **chosen)
    with embedded_broker(settings), running_console(settings) as console:
        console.start_workers(2)
        for _ in range(3):
            job_id = console.launch("web[1-8]", "sleep 600", concurrency=8)
            console.until_counts(job_id, r=8)
            console.cancel(job_id)
            assert console.follow(job_id)["counts"]["x"] == 8
