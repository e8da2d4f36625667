"""``opsconsole columns``: the table, its sums, and what is asked for."""

import json
from collections.abc import Callable
from typing import Any

from click.testing import Result

from tests.functional.cli.fake_console import FakeConsole

LOAD: dict[str, Any] = {
    "name": "load",
    "source": "key:load",
    "filled": 1,
    "missing": 1,
    "distinct": 1,
    "common": [["2.5", 1]],
    "numbers": 1,
    "min": "2.5",
    "median": "2.5",
    "max": "2.5",
}
SUMS = "load: 1 of 2 hosts; min 2.5, median 2.5, max 2.5; 2.5 (1)\n"


def test_a_row_for_each_host_and_the_sums(console: FakeConsole, call: Callable[..., Result]) -> None:
    rows = [
        {"i": i, "host": f"web{i}", "state": "succeeded", "values": {"load": value}}
        for i, value in enumerate(["2.5", None])
    ]
    console.story.answers = {"jobs/7/hosts": {"rows": rows, "total": 2, "next": None, "columns": [LOAD]}}
    result = call("columns", "7", "key:load", "--sort", "-load", "--state", "o")
    assert (result.exit_code, [line.split() for line in result.stdout.splitlines()]) == (
        0,
        [["host", "load"], ["web0", "2.5"], ["web1", "-"]],
    )
    assert result.stderr == SUMS
    asked = console.to("GET", "jobs/7/hosts")[0].query
    assert asked == {"column": "key:load", "sort": "-load", "state": "o", "limit": "1000"}
    lines = call("columns", "7", "key:load", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert call("columns", "7", "key:load", "--sums").stdout == SUMS
    assert json.loads(call("columns", "7", "key:load", "--sums", "--json").stdout) == LOAD
