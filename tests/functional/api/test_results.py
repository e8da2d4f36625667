"""What came of a job, by JSON and as raw bytes."""

import gzip
from collections.abc import Callable

import pytest

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.inventory import hostkeys
from opsconsole.jobs.states import RunState
from tests.functional.api.callers import Browser, Program
from tests.functional.api.play import Play
from tests.support.clock import FakeClock
from tests.support.factories import make_key


@pytest.fixture
def job(operator: Program, play: Callable[[int], Play]) -> int:
    """Three hosts: ok with output, failed, and one that has not started."""
    launched = operator.launch()
    play(launched).start(0, 1)
    play(launched).write(0, b"first\nsecond\n")
    play(launched).write(0, b"oops \x1b[31mred\x1b[0m <script>\n", fd=2)
    play(launched).end(0)
    play(launched).end(1, state=RunState.FAILED, exit_status=3, reason="exit_status", output_digest="e" * 64)
    return launched


def test_the_roster_is_kept_for_ever_by_its_reader_alone(operator: Program, job: int) -> None:
    answer = operator.get(f"jobs/{job}/roster")
    assert answer.json["hosts"] == ["web1", "web2", "web3"]
    assert answer.headers["Cache-Control"] == "max-age=31536000, immutable, private"


def test_grid_and_rows(operator: Program, job: int) -> None:
    assert operator.get(f"jobs/{job}/grid").json["grid"] == "ofq"
    rows = operator.get(f"jobs/{job}/hosts").json
    assert rows["total"] == 3
    assert [(row["i"], row["state"], row["exit"]) for row in rows["rows"]] == [
        (0, "succeeded", 0),
        (1, "failed", 3),
        (2, "pending", None),
    ]
    assert [row["host"] for row in operator.get(f"jobs/{job}/hosts?state=f,q&sort=-i").json["rows"]] == ["web3", "web2"]
    assert [row["host"] for row in operator.get(f"jobs/{job}/hosts?q=EB2").json["rows"]] == ["web2"]
    assert operator.get(f"jobs/{job}/hosts/web2").json["exit"] == 3
    assert operator.get(f"jobs/{job}/hosts/1").json["host"] == "web2"
    assert operator.get(f"jobs/{job}/hosts/7").status_code == 404
    assert operator.get(f"jobs/{job}/hosts/nobody").status_code == 404


def test_rows_by_state_begin_with_trouble(operator: Program, play: Callable[[int], Play]) -> None:
    launched = operator.launch("web[1-6]")
    workers = play(launched)
    workers.start(0, 1, 3, 4)
    workers.end(0)
    workers.end(1, state=RunState.LOST, reason="worker_lost")
    workers.refuse(2, reason="dns")
    workers.end(3, state=RunState.FAILED, exit_status=3, reason="exit_status")

    def order(sort: str) -> list[int]:
        return [row["i"] for row in operator.get(f"jobs/{launched}/hosts?sort={sort}").json["rows"]]

    assert order("state") == [3, 2, 1, 0, 4, 5]
    assert order("-state") == [5, 4, 0, 1, 2, 3]


def test_the_rate_is_of_late_and_of_an_ended_job_of_all_its_time(
    operator: Program, play: Callable[[int], Play], clock: FakeClock
) -> None:
    launched = operator.launch("web[1-20]")
    workers = play(launched)
    workers.start(*range(20))
    clock.advance(20)
    workers.end(*range(10))

    def told() -> tuple[float, int | None]:
        body = operator.get(f"jobs/{launched}").json
        return body["rate_per_s"], body["eta_ms"]

    assert told() == (0.5, 20_000)
    clock.advance(20)
    assert told() == (0.33, 40_000)
    clock.advance(20)
    assert told() == (0.0, 60_000)
    workers.end(*range(10, 20))
    assert told() == (0.33, None)


def test_pages_of_rows(operator: Program, job: int) -> None:
    first = operator.get(f"jobs/{job}/hosts?limit=2").json
    second = operator.get(f"jobs/{job}/hosts?limit=2&cursor={first['next']}").json
    assert [row["i"] for row in first["rows"] + second["rows"]] == [0, 1, 2]
    assert second["next"] is None


@pytest.mark.parametrize(
    "query",
    ["state=z", "sort=command", "sort=i;drop", "cursor=x", "cursor=-1", "limit=0", "limit=100000", "limit=x"],
)
def test_a_question_out_of_its_list_is_refused(operator: Program, job: int, query: str) -> None:
    assert operator.get(f"jobs/{job}/hosts?{query}").status_code == 422


def test_output_by_lines(operator: Program, job: int) -> None:
    body = operator.get(f"jobs/{job}/hosts/0/output").json
    assert [line[3] for line in body["lines"]] == ["first", "second", "oops \x1b[31mred\x1b[0m <script>"]
    assert [line[2] for line in body["lines"]] == [1, 1, 2]
    assert body["eof"] is True
    assert body["truncated"] is None
    later = operator.get(f"jobs/{job}/hosts/web1/output?from_line=2&limit=1").json
    assert [line[3] for line in later["lines"]] == ["second"]
    assert later["eof"] is False
    (only,) = operator.get(f"jobs/{job}/hosts/0/output?stream=stderr").json["lines"]
    assert only[3].startswith("oops")
    # It keeps the number that it has among all lines, by which it is linked to.
    assert only[0] == 3
    earlier = operator.get(f"jobs/{job}/hosts/0/output?before=3&limit=1").json["lines"]
    assert [line[3] for line in earlier] == ["second"]
    assert operator.get(f"jobs/{job}/hosts/0/output?before=3&stream=stderr").json["lines"] == []
    assert operator.get(f"jobs/{job}/hosts/0/output?before=0").status_code == 422
    assert operator.get(f"jobs/{job}/hosts/0/output?stream=all").status_code == 422
    assert operator.get(f"jobs/{job}/hosts/2/output").json["lines"] == []


def test_raw_output_is_a_download_of_text(operator: Program, job: int) -> None:
    answer = operator.get(f"jobs/{job}/hosts/web1/raw")
    assert answer.data == b"first\nsecond\noops \x1b[31mred\x1b[0m <script>\n"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="job-{job}-host-0-both.txt"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert operator.get(f"jobs/{job}/hosts/0/raw?stream=stdout").data == b"first\nsecond\n"


def test_raw_output_says_where_some_was_not_kept(operator: Program, play: Callable[[int], Play]) -> None:
    job = operator.launch()
    workers = play(job)
    workers.start(0)
    workers.write(0, b"1\n2\n3")
    workers.write(0, b"7\n8\n", offset=705)
    workers.end(0, gap_from=5, gap_bytes=700)
    answer = operator.get(f"jobs/{job}/hosts/0/raw")
    assert answer.data == b"1\n2\n3\n[opsconsole: 700 bytes were not kept here]\n7\n8\n"
    (*_, torn, last) = operator.get(f"jobs/{job}/hosts/0/output").json["lines"]
    assert (torn[3], last[3]) == ("…7", "8")


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=0-4", 206, b"first"),
        ("bytes=6-11", 206, b"second"),
        ("bytes=-2", 206, b">\n"),
        ("bytes=9999-", 416, None),
    ],
)
def test_raw_output_by_range(operator: Program, job: int, asked: str, status: int, body: bytes | None) -> None:
    answer = operator.get(f"jobs/{job}/hosts/0/raw", headers={"Range": asked})
    assert answer.status_code == status
    if body is not None:
        assert answer.data == body
        assert answer.headers["Content-Range"].startswith("bytes ")


def test_groups_put_trouble_first(operator: Program, job: int) -> None:
    groups = operator.get(f"jobs/{job}/groups").json["groups"]
    assert [(group["state"], group["folded"], group["exit"]) for group in groups] == [
        ("f", "web2", 3),
        ("o", "web1", 0),
    ]
    assert groups[1]["head"] == "first"


def test_workers_are_listed(operator: Program) -> None:
    assert operator.get("workers").json == {"workers": 0, "slots": 0, "busy": 0, "list": []}


def test_an_unknown_key_is_shown_and_trusted(
    operator: Program,
    browser: Callable[..., Browser],
    play: Callable[[int], Play],
    database: Database,
    clock: FakeClock,
) -> None:
    job = operator.launch("web1")
    play(job).start(0)
    key = make_key()
    with database.transaction() as session:
        hostkeys.offer(session, "web1", 22, key, now=clock.now())
    fingerprint = hostkeys.fingerprint(key)
    offered = operator.get("host-keys?status=offered").json["host_keys"]
    assert [item["fingerprint"] for item in offered] == [fingerprint]
    order = {"keys": [{"address": "web1", "port": 22, "fingerprint": fingerprint}]}
    assert operator.post("host-keys/trust", order).status_code == 403
    admin = browser(Role.ADMIN)
    other = {"keys": [*order["keys"], {"address": "web1", "fingerprint": "SHA256:other"}]}
    assert admin.post("/api/v1/host-keys/trust", other).status_code == 404
    trusted = admin.post("/api/v1/host-keys/trust", order)
    assert trusted.status_code == 200
    assert [(key["status"], key["decided_by"]) for key in trusted.json["host_keys"]] == [("trusted", admin.user.name)]
    assert operator.get("host-keys?status=waiting").json["host_keys"] == []
    assert operator.post("host-keys/revoke", order).status_code == 403
    assert admin.post("/api/v1/host-keys/revoke", order).json["host_keys"][0]["status"] == "revoked"
    assert operator.get("host-keys").json["counts"] == {"trusted": 0, "offered": 0, "alarm": 0, "revoked": 1}
    assert operator.post("host-keys/remove", order).status_code == 403
    assert admin.post("/api/v1/host-keys/remove", order).json == {"removed": 1}


def test_keys_that_a_job_was_offered(
    operator: Program, play: Callable[[int], Play], database: Database, clock: FakeClock
) -> None:
    job = operator.launch("web1")
    key = make_key()
    with database.transaction() as session:
        hostkeys.offer(session, "web1", 22, key, now=clock.now())
    play(job).refuse(0, reason="host_key_unknown")
    (offered,) = operator.get(f"jobs/{job}/host-keys").json["host_keys"]
    assert (offered["host"], offered["fingerprint"]) == ("web1", hostkeys.fingerprint(key))


def test_tokens_are_made_listed_and_revoked_by_a_person(browser: Callable[..., Browser], operator: Program) -> None:
    caller = browser()
    made = caller.post("/api/v1/tokens", {"name": "ci", "scope": "read", "expires_in_days": 30})
    assert made.status_code == 201
    text = made.json["token"]
    assert text.startswith(f"opsc_{made.json['id']}_")
    (listed,) = caller.get("/api/v1/tokens").json["tokens"]
    assert "token" not in listed
    assert listed["expires_at"].startswith("2026-03-31")
    assert caller.post("/api/v1/tokens", {"name": ""}).status_code == 422
    assert caller.post("/api/v1/tokens", {"name": "x", "scope": "root"}).status_code == 422
    other = Program(caller.client.application.test_client(), caller.user, text)
    assert other.get("jobs").status_code == 200
    for method in (other.post, operator.post):
        refused = method("tokens", {"name": "more"})
        assert (refused.status_code, refused.json["code"]) == (403, "session_required")
    assert operator.delete(f"tokens/{made.json['id']}").status_code == 403
    revoked = other.delete(f"tokens/{made.json['id']}")
    assert (revoked.status_code, bool(revoked.json["revoked_at"])) == (200, True)
    assert other.get("jobs").status_code == 401


def test_large_answers_are_compressed_for_those_who_understand_it(operator: Program) -> None:
    job = operator.launch("web[001-400]", confirm=400)
    plain = operator.get(f"jobs/{job}/roster")
    small = operator.get(f"jobs/{job}/roster", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert gzip.decompress(small.data) == plain.data
    assert int(small.headers["Content-Length"]) == len(small.data) < len(plain.data) / 3
    tiny = operator.get(f"jobs/{job}/grid", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in tiny.headers
