"""Scripts and styles: small on the wire, asked for again each time, never mixed across versions."""

import gzip
import re
from dataclasses import replace
from pathlib import Path

import pytest

from opsconsole.runtime import Runtime
from opsconsole.web.app import create_app
from opsconsole.web.sse import streams_of
from tests.functional.pages.people import Person

SCRIPT = "/static/js/job.js"
STATIC = Path(__file__).parents[3] / "opsconsole" / "web" / "static"


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


# The editor of commands has no part in the budget of the scripts.
EDITOR = {"editor.js", "advice.js"}


@pytest.mark.parametrize(("pattern", "budget"), [("js/**/*.js", 60_000), ("css/*.css", 12_000)])
def test_all_that_a_page_could_load_stays_small(operator: Person, pattern: str, budget: int) -> None:
    sizes = {}
    for path in STATIC.glob(pattern):
        if path.name in EDITOR:
            continue
        answer = operator.get(f"/static/{path.relative_to(STATIC)}", headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        sizes[path.name] = len(answer.data)
    assert 0 < sum(sizes.values()) < budget, sorted(sizes.items(), key=lambda item: -item[1])


def test_comments_stay_in_the_sources(operator: Person) -> None:
    written = (STATIC / "js" / "job.js").read_text(encoding="utf-8")
    served = operator.get(SCRIPT).get_data(as_text=True)
    assert "/**" in written
    assert "/**" not in served
    assert len(served) < 0.8 * len(written)


def test_while_debugging_the_sources_are_served(runtime: Runtime) -> None:
    debugging = replace(runtime, settings=runtime.settings.model_copy(update={"log_level": "DEBUG"}))
    app = create_app(debugging)
    answer = app.test_client().get(SCRIPT)
    streams_of(app).stop()
    assert answer.data == (STATIC / "js" / "job.js").read_bytes()


NOTHING = ["js/none.js", "js", "none.txt", "../app.py", "js/..%2f..%2fapp.js", "%2e%2e/web/app.py"]


@pytest.mark.parametrize("name", NOTHING)
def test_there_is_nothing_else(operator: Person, name: str) -> None:
    assert operator.get(f"/static/{name}").status_code == 404


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
