"""A job's pages without script: everything can be read, filtered, cancelled and run again."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.inventory import hostkeys
from opsconsole.jobs.states import Reason, RunState
from tests.functional.api.play import Play
from tests.functional.pages.people import Person
from tests.support.clock import START, FakeClock
from tests.support.factories import make_key

Players = Callable[[int], Play]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b]0;title\x07\x1b[31mred\x1b[0m\u202egnp.exe\x00"


def test_the_list_shows_and_filters_jobs(operator: Person) -> None:
    operator.job("web[1-3]", "uptime")
    operator.job("db1", "date")
    assert operator.text("/jobs").count("<tr data-active") == 2
    assert "uptime" not in operator.text("/jobs?q=date")
    assert "uptime" in operator.text("/jobs?host=web2")
    assert "No job fits." in operator.text("/jobs?state=failed")
    page = operator.text(f"/jobs?since={START:%Y-%m-%d}&by={operator.user.name}")
    assert page.count("<tr data-active") == 2
    assert f'name="by" value="{operator.user.name}"' in page
    assert "No job fits." in operator.text(f"/jobs?since={START + timedelta(days=1):%Y-%m-%d}")
    assert "No job fits." in operator.text("/jobs?by=nobody")
    assert "Give a day or a time" in operator.text("/jobs?since=yesterday", 422)


def test_the_list_goes_back_in_pages(operator: Person) -> None:
    for number in range(52):
        operator.job("web1", f"echo {number}")
    first = operator.text("/jobs")
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    second = operator.text(older.group(1))
    assert "echo 51" in first
    assert "echo 0<" in second
    assert 'rel="next"' not in second


@pytest.mark.parametrize("view", ["overview", "hosts", "groups", "details"])
def test_each_view_can_be_read(operator: Person, play: Players, view: str) -> None:
    job = operator.job("web[1-3]", "uptime", max_failures="50%")
    workers = play(job)
    workers.start(0, 1)
    workers.write(0, b"up 3 days\n")
    workers.end(0)
    workers.end(1, state=RunState.FAILED, exit_status=3, reason=Reason.EXIT_STATUS.value)
    page = operator.text(f"/jobs/{job}?view={view}")
    assert "66%" in page
    expected = {"overview": "web2: Failed", "hosts": "exit 3", "groups": "up 3 days", "details": "web[1-3]"}[view]
    assert expected in page


def test_a_group_has_a_page_that_needs_no_script(operator: Person, play: Players) -> None:
    job = operator.job("web[1-4]", "uptime")
    workers = play(job)
    workers.start(0, 1, 2, 3)
    for place in range(4):
        workers.write(place, b"took %d ms\n%s" % (place, b"<b>odd</b>\n" if place == 3 else b""))
        workers.end(place, output_digest=f"{place}" * 64, digest_similar=("b" if place == 3 else "a") * 64)
    listed = operator.text(f"/jobs/{job}?view=groups")
    most, odd = re.findall(rf'class="grp"[^>]*href="(/jobs/{job}/g/[0-9a-f]{{12}}\?mode=similar)"', listed)
    assert "<ins>+ &lt;b&gt;odd&lt;/b&gt;</ins>" in listed
    assert "3 variants" in listed
    # Each of its hosts names the company it is in; the one alone says nothing of others, and both can be compared.
    said = operator.text(f"/jobs/{job}/h/web1")
    assert re.search(rf'<a href="{re.escape(most)}">same as 2 other hosts</a>', said)
    assert "Waited in the queue" in said
    alone = operator.text(f"/jobs/{job}/h/web4")
    assert "same as" not in alone
    assert f'href="{odd}#differs">Compare</a>' in alone
    page = operator.text(most)
    assert "took ‹duration›" in page
    assert "web[1-3]" in page
    assert '<td class="num">0 ms</td><td class="num">1 ms</td><td class="num">2 ms</td>' in page
    page = operator.text(odd)
    assert '<div class="ins">+&lt;b&gt;odd&lt;/b&gt;</div>' in page
    assert "web4 was not given this command before." in operator.text(f"{odd}&against=previous")
    # The modes are links, and a group that is not there is not found.
    assert f'href="/jobs/{job}?view=groups&amp;mode=exact"' in listed
    for name in ("abc", "0", "3", "9999", "²"):
        assert operator.get(f"/jobs/{job}/g/{name}").status_code == 404
    assert operator.get(f"/jobs/{job}/g/2?mode=similar").headers["Location"] == odd
    assert len(re.findall('class="grp"', operator.text(f"/jobs/{job}?view=groups&mode=exact"))) == 4


def test_counters_filter_the_table(operator: Person, play: Players) -> None:
    job = operator.job("web[1-3]")
    play(job).start(0, 1)
    play(job).end(0)
    page = operator.text(f"/jobs/{job}?view=hosts&state=o")
    rows = page.partition('id="hosts-table"')[2]
    assert "web1" in rows
    assert "web2" not in rows
    assert "No failed hosts." in operator.text(f"/jobs/{job}?view=hosts&state=f")


def test_cancelling_stops_what_has_not_started(operator: Person, play: Players) -> None:
    job = operator.job("web[1-3]")
    play(job).start(0)
    answer = operator.send(f"/jobs/{job}", to=f"/jobs/{job}/cancel")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/jobs/{job}")
    page = operator.text(f"/jobs/{job}")
    assert "Stopping" in page
    assert "web3: Cancelled" in page


def test_one_host_can_be_cancelled(operator: Person) -> None:
    job = operator.job("web[1-3]")
    answer = operator.send(f"/jobs/{job}", {"host": "web2"}, to=f"/jobs/{job}/cancel")
    assert answer.headers["Location"] == f"/jobs/{job}?host=web2"
    page = operator.text(f"/jobs/{job}")
    assert "web2: Cancelled" in page
    assert "web1: Queued" in page


def finished(operator: Person, play: Players, targets: str = "web[1-3]", **fields: str) -> int:
    job = operator.job(targets, **fields)
    workers = play(job)
    workers.start(0, 1, 2)
    workers.end(0)
    workers.end(1, 2, state=RunState.FAILED, exit_status=1, reason=Reason.EXIT_STATUS.value)
    return job


def test_failed_hosts_are_run_again(operator: Person, play: Players) -> None:
    job = finished(operator, play)
    answer = operator.send(f"/jobs/{job}", {"state": ["f", "u"]}, to=f"/jobs/{job}/rerun")
    assert answer.headers["Location"] == f"/jobs/{job + 1}"
    page = operator.text(f"/jobs/{job + 1}")
    assert "web[2-3]" in page
    assert f"#{job}</a>" in page


def test_a_rerun_without_hosts_says_so(operator: Person, play: Players) -> None:
    job = finished(operator, play)
    answer = operator.send(f"/jobs/{job}", {"state": "k"}, to=f"/jobs/{job}/rerun")
    assert "No host is in those states" in operator.text(answer.headers["Location"])


def test_a_rerun_that_needs_a_password_asks_on_the_run_page(operator: Person, play: Players) -> None:
    job = finished(operator, play, credential="password", password="hunter2-hunter2")
    answer = operator.send(f"/jobs/{job}", {"state": "f"}, to=f"/jobs/{job}/rerun")
    page = operator.text(answer.headers["Location"])
    assert "web2\nweb3</textarea>" in page
    assert 'value="password" selected' in page
    assert f'name="rerun_of" value="{job}"' in page


def test_the_run_page_can_be_opened_on_the_failed_hosts(operator: Person, play: Players) -> None:
    job = finished(operator, play)
    page = operator.text(f"/run?from={job}&state=f&state=k")
    assert "web2\nweb3</textarea>" in page
    assert ">uptime</textarea>" in page


def test_hostile_output_is_shown_by_its_characters(operator: Person, play: Players, database: Database) -> None:
    job = operator.job("web1", "echo '<script>alert(3)</script>'", title="<b>bold</b>")
    workers = play(job)
    workers.start(0)
    workers.write(0, HOSTILE.encode() + b"\xff\xfe\n")
    workers.end(0)
    for path in (
        f"/jobs/{job}",
        f"/jobs/{job}?host=web1",
        f"/jobs/{job}/h/web1",
        f"/jobs/{job}/pane/0",
        "/jobs",
        "/run",
    ):
        page = operator.text(path)
        for dangerous in ("<script>alert", "<img src=x", "<b>bold", "\x1b", "\u202e", "\x00"):
            assert dangerous not in page, (path, dangerous)
    page = operator.text(f"/jobs/{job}/h/web1")
    assert "&lt;script&gt;alert(1)" in page
    assert "red‹U+202E›gnp.exe‹x00›‹xFF›‹xFE›" in page
    assert "title" not in page.partition('id="L1"')[2].partition("</div>")[0]


def test_long_output_is_read_in_pages(operator: Person, play: Players) -> None:
    job = operator.job("web1")
    workers = play(job)
    workers.start(0)
    workers.write(0, b"".join(b"line %d\n" % number for number in range(1, 1201)))
    workers.end(0)
    page = operator.text(f"/jobs/{job}/h/web1")
    assert "line 500<" in page
    assert "line 501<" not in page
    assert 'href="?line=501"' in page
    assert "line 1200<" in operator.text(f"/jobs/{job}/h/web1?line=1001")


@pytest.mark.parametrize("path", ["/jobs/{job}", "/jobs/{job}/h/web1", "/jobs/{job}/pane/0", "/jobs/{job}/keys"])
def test_another_persons_job_does_not_exist(person: Callable[..., Person], path: str) -> None:
    job = person(Role.OPERATOR).job()
    assert person(Role.OPERATOR).get(path.format(job=job)).status_code == 404
    assert person(Role.ADMIN).get(path.format(job=job)).status_code == 200


def test_another_persons_job_cannot_be_touched(person: Callable[..., Person]) -> None:
    job = person(Role.OPERATOR).job()
    other = person(Role.OPERATOR)
    for what in ("cancel", "rerun"):
        assert other.send("/run", {"state": "q"}, to=f"/jobs/{job}/{what}").status_code == 404
    assert other.get(f"/run?from={job}").status_code == 404


@pytest.mark.parametrize(
    "path", ["/jobs/0", "/jobs/99", "/jobs/99999999999999999999", "/jobs/1/h/nope", "/jobs/1/pane/9"]
)
def test_what_is_not_there_is_a_plain_404(operator: Person, path: str) -> None:
    operator.job()
    assert "request" in operator.text(path, 404)


def test_short_links(operator: Person) -> None:
    assert operator.get("/j/7").headers["Location"] == "/jobs/7"
    assert operator.get("/j/7.web-1.example").headers["Location"] == "/jobs/7/h/web-1.example"
    assert operator.get("/j/x").headers["Location"] == "/jobs"


def unknown_key(
    operator: Person,
    play: Players,
    database: Database,
    clock: FakeClock,
    reason: Reason = Reason.HOST_KEY_UNKNOWN,
) -> tuple[int, str]:
    """A job whose first host showed a key that nobody knows."""
    job = operator.job("web[1-2]")
    key = make_key()
    with database.transaction() as session:
        hostkeys.offer(session, "web1", 22, key, now=clock.now())
    workers = play(job)
    for place in (0, 1):
        workers.refuse(place, reason=reason.value, host_key=hostkeys.fingerprint(key))
    return job, hostkeys.fingerprint(key)


def test_a_changed_key_is_announced_apart_from_unknown_ones(
    admin: Person, play: Players, database: Database, clock: FakeClock
) -> None:
    old = make_key()
    with database.transaction() as session:
        hostkeys.remember(session, "web1", 22, old, source="demo", now=clock.now())
    job, fingerprint = unknown_key(admin, play, database, clock, Reason.HOST_KEY_CHANGED)
    for path in (f"/jobs/{job}", f"/jobs/{job}/keys/notice"):
        page = admin.text(path)
        assert "1 host showed ANOTHER key than the trusted one:" in page
        assert "does not know" not in page
    page = admin.text(f"/jobs/{job}/keys")
    assert "ANOTHER key" in page
    assert fingerprint in page
    assert f"trusted until now: {hostkeys.fingerprint(old)}" in page
    assert "checked" not in page.partition("<tbody>")[2]


def test_after_the_key_is_trusted_the_old_job_says_so(
    admin: Person, play: Players, database: Database, clock: FakeClock
) -> None:
    job, fingerprint = unknown_key(admin, play, database, clock)
    admin.send(f"/jobs/{job}/keys", {"key": f"0|{fingerprint}"})
    page = admin.text(f"/jobs/{job}/h/web1")
    assert "Now trusted." in page
    assert "Trust this key" not in page
    assert "has not seen this host" not in page
    assert "has not seen this host" in admin.text(f"/jobs/{job}/h/web2")
    assert "showed a key" not in admin.text(f"/jobs/{job}/keys/notice")


def test_trusting_many_keys_asks_for_the_confirmation_on_a_filled_form(
    admin: Person, play: Players, database: Database, clock: FakeClock
) -> None:
    job = admin.job("web[1-120]", confirm="120")
    keys = [make_key() for _ in range(120)]
    with database.transaction() as session:
        for place, key in enumerate(keys):
            hostkeys.offer(session, f"web{place + 1}", 22, key, now=clock.now())
    workers = play(job)
    for place in range(120):
        workers.refuse(place, reason=Reason.HOST_KEY_UNKNOWN.value)
    assert "120 hosts showed keys" in admin.text(f"/jobs/{job}")
    chosen = [f"{place}|{hostkeys.fingerprint(key)}" for place, key in enumerate(keys)]
    answer = admin.send(f"/jobs/{job}/keys", {"key": chosen})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 428
    assert "Type 120 to confirm" in page
    assert f'name="rerun_of" value="{job}"' in page
    with database.read() as session:
        assert len(hostkeys.trusted_keys(session, [(f"web{n}", 22) for n in range(1, 121)])) == 120


def test_a_cancelled_job_says_who_cancelled(operator: Person) -> None:
    job = operator.job("web[1-3]")
    operator.send(f"/jobs/{job}", to=f"/jobs/{job}/cancel")
    head = operator.text(f"/jobs/{job}").partition('id="stopped"')[2].partition("</span>")[0]
    assert f"cancelled by {operator.user.name}" in head


@pytest.mark.parametrize(
    ("out", "err", "said"),
    [(b"a\n", b"", "1 line, 2 B<"), (b"abcde\n", b"err\n", "2 lines, 10 B, 4 B on stderr<")],
)
def test_the_foot_of_the_pane_counts(operator: Person, play: Players, out: bytes, err: bytes, said: str) -> None:
    job = operator.job("web1")
    workers = play(job)
    workers.start(0)
    workers.write(0, out)
    if err:
        workers.write(0, err, fd=2)
    workers.end(0)
    assert said in operator.text(f"/jobs/{job}/h/web1")


def test_large_counts_have_their_thousands_apart(operator: Person) -> None:
    job = operator.job("web[1-5000]", confirm="RUN 5000", reason="a large test")
    page = operator.text(f"/jobs/{job}?view=details")
    assert page.count("5,000") >= 5
    assert ">5000<" not in page
    assert "a large test" in page


def test_an_administrator_trusts_a_key_and_reruns(
    admin: Person, play: Players, database: Database, clock: FakeClock
) -> None:
    job, fingerprint = unknown_key(admin, play, database, clock)
    assert "1 host showed a key" in admin.text(f"/jobs/{job}")
    page = admin.text(f"/jobs/{job}/h/web1")
    assert fingerprint in page
    assert "Trust this key and rerun" in page
    answer = admin.send(f"/jobs/{job}/keys", {"key": f"0|{fingerprint}"})
    assert answer.headers["Location"] == f"/jobs/{job + 1}"
    with database.read() as session:
        assert hostkeys.trusted_keys(session, [("web1", 22)])
    assert ">web1<" in admin.text(f"/jobs/{job + 1}?view=hosts")
    assert "No key of this job" in admin.text(f"/jobs/{job}/keys")


def test_a_jump_hosts_key_is_trusted_once_for_all_behind_it(
    admin: Person, play: Players, database: Database, clock: FakeClock
) -> None:
    job = admin.job("web[1-3]", jump="gate,inner")
    key = make_key()
    shown = hostkeys.fingerprint(key)
    with database.transaction() as session:
        hostkeys.offer(session, "192.0.2.7", 2222, key, now=clock.now())
    workers = play(job)
    for place in (0, 1):
        workers.refuse(place, reason=Reason.JUMP.value, host_key=shown)
    workers.refuse(2, reason=Reason.DNS.value)
    assert "1 host showed a key" in admin.text(f"/jobs/{job}")
    page = admin.text(f"/jobs/{job}/keys")
    assert page.count(shown) == 2  # Once to tick and once to read.
    assert "gate,inner" in page
    assert "through gate,inner" in admin.text(f"/jobs/{job}/h/web2")
    assert "Trust this key and rerun" in admin.text(f"/jobs/{job}/h/web2")
    answer = admin.send(f"/jobs/{job}/keys", {"key": f"0|{shown}"})
    assert answer.headers["Location"] == f"/jobs/{job + 1}"
    with database.read() as session:
        assert hostkeys.trusted_keys(session, [("192.0.2.7", 2222)])
    again = admin.text(f"/jobs/{job + 1}?view=hosts")
    assert [host for host in ("web1", "web2", "web3") if f">{host}<" in again] == ["web1", "web2"]


def test_an_operator_sees_the_key_and_cannot_trust_it(
    operator: Person, play: Players, database: Database, clock: FakeClock
) -> None:
    job, fingerprint = unknown_key(operator, play, database, clock)
    page = operator.text(f"/jobs/{job}/keys")
    assert fingerprint in page
    assert "An administrator decides" in page
    assert operator.send(f"/jobs/{job}/keys", {"key": f"0|{fingerprint}"}).status_code == 403


def test_only_a_key_that_was_shown_can_be_trusted(
    admin: Person, play: Players, database: Database, clock: FakeClock
) -> None:
    job, _ = unknown_key(admin, play, database, clock)
    assert admin.send(f"/jobs/{job}/keys", {"key": "0|SHA256:other"}).status_code == 404
    assert admin.send(f"/jobs/{job}/keys", {"key": "x|SHA256:other"}).status_code == 422
