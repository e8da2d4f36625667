"""Columns made of what the hosts of a job wrote: rows, order, sums and exports over the API."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from opsconsole.web import columns
from tests.functional.api.callers import Program
from tests.functional.api.play import Play


@pytest.fixture
def told(operator: Program, play: Callable[[int], Play]) -> int:
    """web1 and web2 wrote the same, web3 another load, web4 something else, web5 runs, web6 waits."""
    job = operator.launch(targets="web[1-6]", command="uptime")
    worker = play(job)
    worker.start(0, 1, 2, 3, 4)
    for place in (0, 1):
        worker.write(place, b"os=linux\nload=0.50\n")
    worker.write(2, b"os=linux\nload=10.00\n")
    worker.write(3, b"=cmd|calc os=odd\n", fd=2)
    worker.write(4, b"os=linux\nload=3")
    worker.end(0, 1, output_digest="1" * 64)
    worker.end(2, output_digest="2" * 64)
    worker.end(3, output_digest="3" * 64)
    return job


def rows(operator: Program, job: int, **query: object) -> Any:
    return operator.get(f"jobs/{job}/hosts", query_string=query).json


def test_rows_have_values_and_are_sorted_by_them(operator: Program, told: int) -> None:
    asked = ["key:load", r"re:os=(?P<os>\w+)"]
    page = rows(operator, told, column=asked)
    assert [row["values"]["load"] for row in page["rows"]] == ["0.50", "0.50", "10.00", None, None, None]
    assert [row["values"]["os"] for row in page["rows"]] == ["linux", "linux", "linux", "odd", "linux", None]
    load, system = page["columns"]
    assert (load["filled"], load["missing"], load["min"], load["median"], load["max"]) == (
        3,
        3,
        "0.50",
        "0.50",
        "10.00",
    )
    assert system["common"] == [["linux", 4], ["odd", 1]]
    first = rows(operator, told, column=asked, sort="-load", limit=2)
    assert ([row["host"] for row in first["rows"]], first["next"], first["total"]) == (["web3", "web1"], "2", 6)
    then = rows(operator, told, column=asked, sort="-load", limit=2, cursor="2")
    assert [row["host"] for row in then["rows"]] == ["web2", "web4"]
    some = rows(operator, told, column=asked, sort="host", state="o", q="web[2-3]")
    assert [row["host"] for row in some["rows"]] == ["web2", "web3"]
    assert some["columns"][0]["filled"] == 2
    assert "values" not in rows(operator, told)["rows"][0]


def test_what_a_running_host_writes_further_is_read(operator: Program, told: int, play: Callable[[int], Play]) -> None:
    assert rows(operator, told, column="key:load")["rows"][4]["values"] == {"load": None}
    play(told).write(4, b"7\n")
    assert rows(operator, told, column="key:load")["rows"][4]["values"] == {"load": "37"}


def test_exports_carry_them(operator: Program, told: int) -> None:
    def export(form: str) -> bytes:
        query = {"format": form, "column": ["key:load", "host=re:^.*calc"], "state": "o"}
        return bytes(operator.get(f"jobs/{told}/export", query_string=query).data)

    whole = json.loads(export("json"))["hosts"]
    assert whole[3]["values"] == {"load": None, "host_2": "=cmd|calc"}
    assert [json.loads(line) for line in export("ndjson").splitlines()] == whole
    cells = list(csv.DictReader(io.StringIO(export("csv").decode("utf-8-sig"))))
    assert [(row["host"], row["load"], row["host_2"]) for row in cells][2:] == [
        ("web3", "10.00", ""),
        ("web4", "", "'=cmd|calc"),
    ]


def test_exports_are_in_the_order_of_the_table(operator: Program, told: int) -> None:
    for query in ({"sort": "-host"}, {"sort": "ms", "state": "o"}, {"sort": "-load", "column": ["key:load"]}):
        export = operator.get(f"jobs/{told}/export", query_string={"format": "hosts", **query})
        assert export.data.decode().split() == [row["host"] for row in rows(operator, told, **query)["rows"]]
    refused = operator.get(f"jobs/{told}/export?sort=nothing")
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "sort")


def test_what_is_no_column_is_refused_and_time_that_runs_out_said(
    operator: Program, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = operator.get(f"jobs/{told}/hosts?column=re:(")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "column")
    assert operator.get(f"jobs/{told}/export?column=nothing").status_code == 422
    assert operator.get(f"jobs/{told}/hosts?sort=load").status_code == 422
    monkeypatch.setattr(columns, "FILTER_SECONDS", -1.0)
    answer = operator.get(f"jobs/{told}/hosts?column=key:other")
    assert (answer.status_code, answer.json["code"]) == (503, "columns_unfinished")
