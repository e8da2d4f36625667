"""The Run page without script: what is wrong is said where it is wrong, nothing typed is lost, nothing starts."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.inventory import hostkeys
from opsconsole.inventory.groups import set_group
from opsconsole.jobs.models import Job
from tests.functional.api.play import Play
from tests.functional.pages.people import Person
from tests.support.clock import START
from tests.support.factories import make_host, make_key


def jobs(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def test_a_form_starts_a_job_and_goes_to_its_page(operator: Person, database: Database) -> None:
    answer = operator.run("web[1-3],web2", "uptime", exclude="web1", concurrency="7", command_timeout="2.5")
    assert answer.headers["Location"] == "/jobs/1"
    with database.read() as session:
        job = session.get_one(Job, 1)
        assert (job.folded, job.command, job.launch_type) == ("web[2-3]", "uptime", "manual")
        assert (job.options["concurrency"], job.options["command_timeout"]) == (7, 2.5)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"targets": ""}, "targets-error"),
        ({"targets": "web[1-"}, "column 4"),
        ({"targets": "web[5-1]"}, "targets-error"),
        ({"targets": "[0-999999999]"}, "10,000"),
        ({"targets": "web[1-20000]"}, "10,000"),
        ({"targets": "-oProxyCommand=x"}, "targets-error"),
        ({"targets": "a;b|c"}, "targets-error"),
        ({"targets": "@nope"}, "@nope"),
        ({"command": "  "}, "Write a command to run."),
        ({"command": "x" * 300_000}, "262,144"),
        ({"concurrency": "many"}, "Write a whole number."),
        ({"concurrency": "0"}, "Must lie between"),
        ({"command_timeout": "-1"}, "Write a number of seconds."),
        ({"connect_timeout": "1e3"}, "Write a number of seconds."),
        ({"max_failures": "half"}, "Write a number of hosts"),
        ({"user": "a b;c"}, "Not a user name"),
        ({"credential": "key:nope"}, "There is no key file named"),
        ({"credential": "password"}, "The password is empty."),
        ({"exclude": "web[1-"}, "exclude-error"),
    ],
)
def test_bad_input_is_named_and_starts_nothing(
    operator: Person, database: Database, fields: dict[str, str], said: str
) -> None:
    answer = operator.run(**{"targets": "web[1-3]", "command": "uptime", **fields})
    page = answer.get_data(as_text=True)
    assert answer.status_code in {413, 422}
    assert said in page
    assert "Nothing was started." in page
    assert jobs(database) == 0


def test_the_form_is_kept_but_never_the_password(operator: Person) -> None:
    answer = operator.run(
        "web[1-", "echo 'kept'", credential="password", password="hunter2-hunter2", exclude="db1", user="deploy"
    )
    page = answer.get_data(as_text=True)
    for kept in ("web[1-", "echo &#39;kept&#39;", 'value="db1"', 'value="deploy"', 'value="password" selected'):
        assert kept in page
    assert "hunter2" not in page


def test_a_password_is_sealed_with_the_job(operator: Person, database: Database) -> None:
    operator.job(credential="password", password="hunter2-hunter2")
    raw = database.engine.raw_connection()
    try:
        dump = "\n".join(raw.driver_connection.iterdump())  # type: ignore[union-attr]
    finally:
        raw.close()
    assert "hunter2" not in dump


def test_a_large_job_wants_its_size_typed(operator: Person, database: Database) -> None:
    asked = operator.run("web[1-200]")
    assert asked.status_code == 428
    assert "Type 200 to confirm" in asked.get_data(as_text=True)
    assert operator.run("web[1-200]", confirm="20").status_code == 428
    assert jobs(database) == 0
    assert operator.run("web[1-200]", confirm=" 200 ").status_code == 303


def test_a_very_large_job_wants_a_reason_too(operator: Person, database: Database) -> None:
    targets = "web[1-1200]"
    asked = operator.run(targets)
    page = asked.get_data(as_text=True)
    assert asked.status_code == 428
    assert "Type RUN 1200 to confirm" in page
    assert re.search(r'id="reason"[^>]*required', page)
    kept = operator.run(targets, confirm="RUN 1200").get_data(as_text=True)
    assert 'value="RUN 1200"' in kept
    assert jobs(database) == 0
    operator.job(targets, confirm="run 1200", reason="the yearly patch")
    assert "the yearly patch" in operator.text("/jobs/1?view=details")


def test_a_smaller_one_wants_none(operator: Person) -> None:
    page = operator.run("web[1-200]").get_data(as_text=True)
    assert re.search(r'id="reason-field" hidden', page)
    assert not re.search(r'id="reason"[^>]*required', page)


def test_one_is_not_many(operator: Person) -> None:
    page = operator.text("/run?targets=web1&command=uptime")
    for said in (
        "host matches",
        "host will run this command",
        "Run on 1 host<",
        "host could fail<",
        "it never stops early",
    ):
        assert said in page
    assert "no run of this command has succeeded yet" in page


def test_hosts_that_were_unreachable_are_folded(operator: Person, play: Callable[[int], Play]) -> None:
    workers = play(operator.job("web[1-3]"))
    for place in range(3):
        workers.refuse(place, reason="refused")
    page = operator.text("/run?targets=web[1-3]&command=uptime")
    assert "3 were unreachable last time" in page
    assert '<div class="w mono cut">web[1-3]</div>' in page


def test_targets_of_earlier_jobs_are_offered(operator: Person, database: Database, play: Callable[[int], Play]) -> None:
    with database.transaction() as session:
        set_group(session, "web", [make_host(session, f"web{n}").name for n in range(1, 4)])
    workers = play(operator.job("@web"))
    workers.end(0, 1)
    workers.refuse(2, reason="refused")
    with database.transaction() as session:
        session.get_one(Job, 1).finished_at = START
    operator.job(" web[1-2]")
    page = operator.text("/run")
    offered = re.findall(r'data-add="([^"]+)">\S+(?: <span class="sub num">(\d+))?', page)
    assert offered == [("web[1-2]", ""), ("@web", ""), ("@web", "3"), ("failed:#1", "1"), ("last:@web", "3")]
    alike = operator.text("/run?targets=web[1-2]&command=date")
    assert "Earlier runs like this" in alike
    assert ("/jobs/2" in alike, "/jobs/1" in alike) == (True, False)


def test_hosts_whose_key_changed_are_named_with_the_way_to_decide(operator: Person, database: Database) -> None:
    with database.transaction() as session:
        hostkeys.remember(session, "web2", 22, make_key(), source=hostkeys.Source.IMPORT, now=START)
        hostkeys.offer(session, "web2", 22, make_key(), now=START)
    page = operator.run("web[1-3]", "uptime", action="preview").get_data(as_text=True)
    assert re.search(r"Host key changed on 1 host</b>.*Nothing connects.*>web2</span> <a href=\"/host-keys\"", page)


def test_preview_looks_and_starts_nothing(operator: Person, database: Database) -> None:
    page = operator.run("web[1-20],web1 !web2", action="preview").get_data(as_text=True)
    assert "Run on 19 hosts" in page
    assert "web[1,3-20]" in page
    assert jobs(database) == 0


def test_trying_on_one_host_is_a_job_of_its_own(operator: Person, database: Database) -> None:
    fields = {"exclude": "web1", "idempotency_key": "k-1", "expect_count": "199"}
    for action, targets in (("try", "web2"), ("", "web[2-200]")):
        answer = operator.run("web[1-200]", action=action, confirm="" if action else "199", **fields)
        assert answer.status_code == 303, action
        with database.read() as session:
            job = session.get_one(Job, int(answer.headers["Location"].rpartition("/")[2]))
            assert job.folded == targets


def test_a_changed_inventory_is_shown_and_starts_nothing(operator: Person, database: Database) -> None:
    answer = operator.run("web[1-3]", expect_count="4", expect_digest="sha256:other")
    assert answer.status_code == 409
    page = answer.get_data(as_text=True)
    assert 'name="expect_count" value="3"' in page
    assert jobs(database) == 0


def test_the_same_form_twice_is_one_job(operator: Person, database: Database) -> None:
    for _ in range(2):
        assert operator.run(idempotency_key="k-1").headers["Location"] == "/jobs/1"
    assert jobs(database) == 1


def test_an_address_prefills_and_never_runs(operator: Person, database: Database) -> None:
    page = operator.text("/run?targets=web[1-4]&command=uptime&confirm=4&title=%3Cb%3E")
    assert ">web[1-4]</textarea>" in page
    assert "Run on 4 hosts" in page
    assert "<b>" not in page.partition('name="title"')[2][:60]
    assert jobs(database) == 0


def test_unknown_names_block_where_only_the_inventory_counts(person: Callable[..., Person], app, database) -> None:  # type: ignore[no-untyped-def]
    runtime = app.extensions["opsconsole"]
    strict = runtime.settings.model_copy(update={"allow_unlisted_hosts": False})
    app.extensions["opsconsole"] = type(runtime)(
        strict, runtime.database, runtime.clock, runtime.cipher, runtime.dispatcher
    )
    with database.transaction() as session:
        make_host(session, "web1")
    answer = person(Role.OPERATOR).run("web[1-2]")
    assert answer.status_code == 422
    assert "Not in the inventory" in answer.get_data(as_text=True)


def test_a_viewer_has_no_run_page(person: Callable[..., Person]) -> None:
    viewer = person(Role.VIEWER)
    assert viewer.get("/run").status_code == 403
    assert 'href="/run"' not in viewer.text("/jobs")
