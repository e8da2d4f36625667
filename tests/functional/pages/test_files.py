"""Scripts and styles: small on the wire, asked for again each time, never mixed across versions."""

import gzip
import re

import pytest

from tests.functional.pages.people import Person

SCRIPT = "/static/js/job.js"


def test_a_script_is_packed_for_who_understands_it(operator: Person) -> None:
    plain = operator.get(SCRIPT, buffered=True)
    packed = operator.get(SCRIPT, buffered=True, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Length"] == str(len(packed.data))
    assert gzip.decompress(packed.data) == plain.data
    for answer in (plain, packed):
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_file_that_did_not_change_costs_no_body(operator: Person, encoding: str) -> None:
    tag = operator.get(SCRIPT, buffered=True, headers={"Accept-Encoding": encoding}).headers["ETag"]
    again = operator.get(SCRIPT, buffered=True, headers={"Accept-Encoding": encoding, "If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)


def test_a_part_of_a_file_is_not_packed(operator: Person) -> None:
    part = operator.get(SCRIPT, buffered=True, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-1999"})
    assert part.status_code in {200, 206}
    body = gzip.decompress(part.data) if "Content-Encoding" in part.headers else part.data
    assert operator.get(SCRIPT, buffered=True).data.startswith(body)


def test_pages_are_not_packed(operator: Person) -> None:
    assert "Content-Encoding" not in operator.get("/run", headers={"Accept-Encoding": "gzip"}).headers


def test_the_first_grid_of_5000_hosts_fits_in_120_kb(operator: Person) -> None:
    job = operator.job("web-eu-[0001-5000].example.internal", confirm="RUN 5000", reason="measure")
    packed = {"Accept-Encoding": "gzip"}
    page = operator.get(f"/jobs/{job}", headers=packed)
    files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.get_data(as_text=True)))
    data = (f"/api/v1/jobs/{job}/roster", f"/api/v1/jobs/{job}/grid")
    sizes = {path: len(operator.get(path, headers=packed, buffered=True).data) for path in (*files, *data)}
    assert len(page.data) + sum(sizes.values()) <= 120_000, sorted(sizes.items(), key=lambda item: item[1])
