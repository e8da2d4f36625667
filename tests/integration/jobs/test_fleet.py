"""A job on 500 hosts: every look at it adds up."""

import pytest

from tests.support.console import Console


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
