"""Columns from output on a job's page, without script."""

import re
from collections.abc import Callable

from tests.functional.api.play import Play
from tests.functional.pages.people import Person


def test_columns_from_output_are_shown_sorted_and_passed_on(operator: Person, play: Callable[[int], Play]) -> None:
    job = operator.job("web[1-3]", "uptime")
    workers = play(job)
    workers.start(0, 1)
    workers.write(0, b"load=2\n")
    workers.write(1, b"load=10\n")
    workers.end(0, output_digest="1" * 64)
    workers.end(1, output_digest="2" * 64)
    page = operator.text(f"/jobs/{job}?view=hosts&column=key:load&column=&sort=-load")
    assert re.findall(r'title="(10|2|)">(?:\1)</span>', page) == ["10", "2", ""]
    assert "2 of 3 hosts have a value; least 2, median 2, greatest 10" in page
    assert "&amp;column=key%3Aload" in page
    assert 'aria-current="true">load</a>' in page
    sums = operator.text(f"/jobs/{job}/columns?column=key:load&state=q&q=web")
    assert "0 of 1 hosts have a value" in sums
    refused = operator.text(f"/jobs/{job}?view=hosts&column=key:load&column=re:(")
    assert 'title="10">10</span>' in refused
    assert "This is not a regular expression. RE2 syntax" in refused
    assert "web3" in refused
    assert "load" in operator.text(f"/jobs/{job}?column=key:load")
