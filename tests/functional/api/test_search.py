"""Search in the output of a job over the API: totals first, then lines, and hosts by what they wrote."""

from collections.abc import Callable
from typing import Any

import pytest

from opsconsole.web import searches
from tests.functional.api.callers import Program
from tests.functional.api.play import Play

Plays = Callable[[int], Play]


@pytest.fixture
def told(operator: Program, play: Plays) -> int:
    """A job whose hosts said this: web1 and web2 the same with two hits, web3 one on stderr, web4 none, web5 runs."""
    job = operator.launch(targets="web[1-5]", command="uptime")
    worker = play(job)
    worker.start(0, 1, 2, 3, 4)
    for place in (0, 1):
        worker.write(place, b"disk ok\nERROR one\nfine\n\x1b[31mError\x1b[0m two\n")
    worker.write(2, b"disk ok\n")
    worker.write(2, "‹é› an error\n".encode(), fd=2)
    worker.write(3, b"all is well\n")
    worker.write(4, b"still running\nunfinished error")
    worker.end(0, 1, output_digest="1" * 64)
    worker.end(2, output_digest="2" * 64)
    worker.end(3, output_digest="3" * 64)
    return job


def search(operator: Program, job: int, **query: object) -> Any:
    return operator.get(f"jobs/{job}/search", query_string=query).json


def test_totals_of_each_host_come_first(operator: Program, told: int) -> None:
    found = search(operator, told, q="error")
    assert (found["hosts"], found["searched"], found["complete"]) == (5, 5, True)
    assert (found["with"], found["without"], found["lines"]) == (3, 2, 5)
    assert found["totals"] == [[0, 2], [1, 2], [2, 1]]
    assert [(row["host"], row["lines"], len(row["hits"])) for row in found["rows"]] == [
        ("web1", 2, 1),
        ("web2", 2, 1),
        ("web3", 1, 1),
    ]
    assert found["rows"][2]["hits"] == [{"n": 2, "fd": 2, "text": "‹é› an error", "from_char": 0, "spans": [[7, 12]]}]
    # A line that has not ended yet is none.
    assert search(operator, told, q="unfinished")["with"] == 0
    assert search(operator, told, q="Error", case=1)["totals"] == [[0, 1], [1, 1]]
    assert search(operator, told, q="^e.*o$", re=1)["totals"] == [[0, 1], [1, 1]]
    assert search(operator, told, q="e.*o$")["with"] == 0


def test_hosts_are_told_in_pages_and_by_state_and_name(operator: Program, told: int) -> None:
    first = search(operator, told, q="error", limit=2, hits=5)
    assert ([row["i"] for row in first["rows"]], first["next"]) == ([0, 1], 2)
    assert [hit["n"] for hit in first["rows"][0]["hits"]] == [2, 4]
    then = search(operator, told, q="error", limit=2, cursor=first["next"])
    assert ([row["i"] for row in then["rows"]], then["next"]) == ([2], None)
    running = search(operator, told, q="still", state="r")
    assert (running["searched"], running["with"]) == (1, 1)
    assert search(operator, told, q="error", host="web[2-4]")["totals"] == [[1, 2], [2, 1]]
    assert operator.get(f"jobs/{told}/search?q=x&state=sideways").status_code == 422


def test_one_host_is_searched_page_by_page_of_its_hits(operator: Program, told: int) -> None:
    found = search(operator, told, q="error", i="web1", hits=1, skip=1)
    assert (found["lines"], found["totals"], found["searched"]) == (2, [[0, 2]], 1)
    assert found["rows"][0]["hits"] == [{"n": 4, "fd": 1, "text": "Error two", "from_char": 0, "spans": [[0, 5]]}]
    assert search(operator, told, q="nothing", i=0)["rows"] == []
    assert operator.get(f"jobs/{told}/search?q=x&i=nobody").status_code == 404
    assert operator.get(f"jobs/{told}/search?q=x&i=0&step=verify").status_code == 404


@pytest.mark.parametrize("query", ["", "q=", "q=(&re=1", "q=%5CAx&re=1"])
def test_what_cannot_be_searched_for_is_refused(operator: Program, told: int, query: str) -> None:
    assert operator.get(f"jobs/{told}/search?{query}").status_code == 422


def test_time_that_runs_out_is_said(operator: Program, told: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "ANSWER_SECONDS", -1.0)
    monkeypatch.setattr(searches.Searches.totals, "__defaults__", (-1.0,))
    answer = operator.get(f"jobs/{told}/search?q=error")
    assert (answer.status_code, answer.json["code"]) == (422, "search_too_slow")
