"""Live pages while much happens: a hundred viewers of five thousand hosts, and a web process that is killed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import KEY
from tests.support.console import Console, until
from tests.support.viewers import Viewer
from tests.support.web_process import Web, running_web

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]
_MOST_BYTES = 300_000


def viewer(web: Web, job_id: int, out: str = "") -> Viewer:
    return Viewer(web.url, web.api.headers["Authorization"], job_id, out)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_hundred_viewers_of_five_thousand_hosts_end_with_what_the_database_holds(make_console: MakeConsole) -> None:
    console = make_console(
        workers=2,
        executor="simulate",
        simulation="connect_seconds=0.1 median_seconds=5 failures=2% unreachable=1%",
        worker_slots=500,
        worker_dead_seconds=60.0,
        max_concurrency=5000,
        web_threads=512,
        max_streams=256,
    )
    with running_web(console) as web, ThreadPoolExecutor(100) as pool:
        fields = {"confirm": "RUN 5000", "reason": "a test", "concurrency": 500, "max_failures": "50%"}
        job_id = web.launch("web[1-5000]", "uptime", **fields).json()["id"]
        watching = [viewer(web, job_id) for _ in range(100)]
        for end in [pool.submit(one.watch, 600) for one in watching]:
            end.result()
        true = web.api.get(f"/jobs/{job_id}/grid").json()["grid"]
    assert not set(true) & set("qcr")
    assert {one.grid for one in watching} == {true}
    assert all(one.done for one in watching)
    assert max(one.received for one in watching) <= _MOST_BYTES, sorted(one.received for one in watching)


def test_a_killed_web_process_costs_no_viewer_a_byte(make_console: MakeConsole) -> None:
    console = make_console()
    body = "".join(f"line {n} of many\n" for n in range(1, 2001))
    each = 'echo "line $n of many"; [ $((n % 40)) = 0 ] && sleep 0.1'
    command = f"n=0; while [ $n -lt 2000 ]; do n=$((n+1)); {each}; done; :"
    with running_web(console) as web, ThreadPoolExecutor(2) as pool:
        port = int(web.url.rpartition(":")[2])
        job_id = web.launch("127.0.0.[1-4]", command, **KEY).json()["id"]
        watching = [viewer(web, job_id, "0@0"), viewer(web, job_id, "3@0")]
        ends = [pool.submit(one.watch, 90) for one in watching]
        until(lambda: all(len(one.said) > 3000 for one in watching), 60, "both have read some of it")
        web.kill()
        so_far = [len(one.said) for one in watching]
        with running_web(console, port=port) as again:
            for end in ends:
                end.result()
            true = again.api.get(f"/jobs/{job_id}/grid").json()["grid"]
    assert max(so_far) < len(body)
    for one in watching:
        assert (one.done, one.gaps, one.said.decode()) == (True, 0, body)
        assert one.connections >= 2
        assert one.grid == true == "oooo"
