"""A cancel ends what runs on the hosts, whatever it has become there."""

from collections.abc import Callable

import pytest

from tests.faults.conftest import KEY
from tests.support.console import Console, processes_of_runs, until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "command",
    [
        "sleep 600",
        "trap '' TERM; sleep 600 & wait; sleep 600",
        "sh -c 'sleep 600; true'; true",
        "yes",
    ],
)
def test_a_cancelled_command_is_gone_from_the_host(make_console: Callable[..., Console], command: str) -> None:
    console = make_console()
    job_id = console.launch("127.0.0.[1-8]", command, concurrency=4, **KEY)
    console.until_counts(job_id, r=4)
    runs = console.runs(job_id)
    until(lambda: processes_of_runs(runs), 10, "the commands are seen")
    console.cancel(job_id)
    body = console.follow(job_id, 20)
    assert (body["state"], body["stop_reason"], body["counts"]["x"]) == ("cancelled", "operator", 8)
    runs = console.runs(job_id)
    assert [run.reason for run in runs] == ["killed"] * 4 + ["before_start"] * 4
    assert processes_of_runs(runs) == []
