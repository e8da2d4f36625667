"""Results as files: each form holds the hosts that are asked for, and no host's name or output can do harm in it."""

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from opsconsole.jobs.states import RunState
from opsconsole.web.archives import Names
from tests.functional.api.callers import Program
from tests.functional.api.play import Play

HOSTILE = "fe80::1"


@pytest.fixture
def job(operator: Program, play: Callable[[int], Play]) -> int:
    """web1 wrote on both streams, web2 failed, web3 waits, and one has a name that is no file's."""
    launched = operator.launch(targets=f"web[1-3],{HOSTILE}")
    worker = play(launched)
    places = {host: i for i, host in enumerate(operator.get(f"jobs/{launched}/roster").json["hosts"])}
    worker.start(places["web1"], places["web2"], places[HOSTILE])
    worker.write(places["web1"], b"first\n")
    worker.write(places["web1"], b"oops\n", fd=2)
    worker.write(places[HOSTILE], b"\x00\xff bytes\n" * 200_000)
    worker.end(places["web1"], output_digest="1" * 64, last_line="=cmd|calc")
    worker.end(places[HOSTILE], output_digest="3" * 64)
    worker.end(places["web2"], state=RunState.FAILED, exit_status=3, reason="exit_status", output_digest="2" * 64)
    return launched


def exported(operator: Program, job: int, **query: object) -> bytes:
    answer = operator.get(f"jobs/{job}/export", query_string=query)
    assert answer.status_code == 200, answer.json
    return bytes(answer.data)


def test_rows_are_written_as_json_lines_and_cells(operator: Program, job: int) -> None:
    whole = json.loads(exported(operator, job))
    rows = operator.get(f"jobs/{job}/hosts").json["rows"]
    assert (whole["job"]["id"], whole["hosts"]) == (job, rows)
    lines = exported(operator, job, format="ndjson", state="failed,q").splitlines()
    assert [json.loads(line)["host"] for line in lines] == ["web2", "web3"]
    assert json.loads(exported(operator, job, state="l"))["hosts"] == []
    cells = list(csv.DictReader(io.StringIO(exported(operator, job, format="csv", q="web*").decode("utf-8-sig"))))
    assert [(row["host"], row["state"], row["exit"]) for row in cells] == [
        ("web1", "succeeded", "0"),
        ("web2", "failed", "3"),
        ("web3", "pending", ""),
    ]
    # A spreadsheet would carry it out.
    assert cells[0]["last_line"] == "'=cmd|calc"


def test_hosts_are_a_list_or_an_expression_by_what_they_wrote(operator: Program, job: int) -> None:
    assert exported(operator, job, format="hosts", q="web*") == b"web1\nweb2\nweb3\n"
    assert exported(operator, job, format="hosts", q="web*", fold=1) == b"web[1-3]\n"
    assert exported(operator, job, format="hosts", find="^OOPS$", re=1) == b"web1\n"
    assert exported(operator, job, format="hosts", find="oops", found="without", q="web*") == b"web2\nweb3\n"
    rows = operator.get(f"jobs/{job}/hosts?find=oops&found=with").json
    assert [row["host"] for row in rows["rows"]] == ["web1"]
    assert operator.get(f"jobs/{job}/export?find=(&re=1").status_code == 422
    assert operator.get(f"jobs/{job}/export?format=exe").status_code == 422


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_archives_hold_what_each_host_wrote_under_a_harmless_name(operator: Program, job: int, form: str) -> None:
    data = io.BytesIO(exported(operator, job, format=form))
    if form == "zip":
        with zipfile.ZipFile(data) as packed:
            assert packed.testzip() is None
            files = {name: packed.read(name) for name in packed.namelist()}
    else:
        with tarfile.open(fileobj=data) as tape:
            files = {member.name: tape.extractfile(member).read() for member in tape}  # type: ignore[union-attr]
    folder = f"job-{job}"
    assert set(files) == {f"{folder}/{n}" for n in ("job.json", "summary.csv", "web1.out", "web1.err", "fe80__1.out")}
    assert (files[f"{folder}/web1.out"], files[f"{folder}/web1.err"]) == (b"first\n", b"oops\n")
    assert files[f"{folder}/fe80__1.out"] == b"\x00\xff bytes\n" * 200_000
    assert json.loads(files[f"{folder}/job.json"])["id"] == job
    assert b"'=cmd|calc" in files[f"{folder}/summary.csv"]


def test_two_names_that_would_be_one_file_are_two() -> None:
    names = Names()
    assert [names.of(host, i) for i, host in enumerate(("../../a", "_.._a", "A b", "a_b", "..", "con"))] == [
        "_.._a",
        "_.._a-1",
        "A_b",
        "a_b-3",
        "host",
        "con",
    ]
