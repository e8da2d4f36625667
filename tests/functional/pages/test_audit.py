"""The audit on its page, by the API and as files."""

import csv
import io
import json
from collections.abc import Callable

from opsconsole.accounts.permissions import Role
from opsconsole.audit.record import record
from opsconsole.db.database import Database
from tests.functional.pages.people import Person
from tests.support.clock import FakeClock

People = Callable[..., Person]


def ids(person: Person, **filters: str | int) -> list[int]:
    answer = person.get("/api/v1/audit", query_string=filters)
    assert answer.status_code == 200, answer.json
    return [entry["id"] for entry in answer.json["records"]]


def test_who_may_read_it(person: People) -> None:
    for role, status in ((Role.VIEWER, 403), (Role.OPERATOR, 403), (Role.APPROVER, 200), (Role.ADMIN, 200)):
        reader = person(role)
        for path in ("/audit", "/audit/export", "/api/v1/audit", "/api/v1/audit/export"):
            assert reader.get(path).status_code == status, (role, path)
        assert ('href="/audit"' in reader.text("/jobs")) is (status == 200)


def test_it_shows_the_expression_what_it_became_and_what_was_typed(person: People) -> None:
    operator = person(name="li.wei")
    job = operator.job("web[1-120] ! web7", "echo '<b>x'", confirm="119")
    page = person(Role.APPROVER).text("/audit?action=job")
    for said in ("li.wei", "job.launch", f'href="/jobs/{job}"', "web[1-120] ! web7", "119 hosts", "Typed:", "sha256:"):
        assert said in page, said
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page


def test_filters_stand_in_the_address_and_pages_follow_each_other(
    person: People, database: Database, clock: FakeClock
) -> None:
    first = max(ids(person(Role.ADMIN)), default=0)
    for number in range(3):
        with database.transaction() as session:
            record(session, None, f"host.{number}", now=clock.now(), object=f"host:web{number}", text=f"50%_{number}")
        clock.advance(86_400)
    # Signed in only now: days have gone by.
    approver = person(Role.APPROVER, "ann")
    one, two, three = (first + number for number in (1, 2, 3))
    assert ids(approver, action="host") == [three, two, one]
    assert ids(approver, action="host.1") == ids(approver, object="host:web1") == ids(approver, text="%_1") == [two]
    assert ids(approver, action="hos") == ids(approver, actor="nobody") == ids(approver, address="10.0.0.1") == []
    day = "2026-03-02"
    assert ids(approver, since=day, until=day) == [two]
    assert ids(approver, action="host", since=f"{day}T13:00:00+01:00") == [three, two]
    assert ids(approver, action="host", limit=1) == [three]
    assert ids(approver, action="host", limit=1, before=three) == [two]
    wrong = approver.get("/audit?since=yesterday")
    assert (wrong.status_code, "Give a day" in wrong.get_data(as_text=True)) == (422, True)
    assert approver.get("/api/v1/audit?since=yesterday").json["errors"][0]["field"] == "since"
    page = approver.text("/audit?action=host&until=2026-03-02")
    assert "action=host&amp;until=2026-03-02" in page
    assert "Nothing in the audit fits." in approver.text("/audit?actor=nobody")


def test_an_export_escapes_formulas_and_is_a_record_itself(person: People, database: Database) -> None:
    operator = person()
    operator.job("web1", "=cmd|' /C calc'!A0")
    admin = person(Role.ADMIN, "root")
    answer = admin.get("/audit/export?format=csv&action=job.launch")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'
    (row,) = csv.DictReader(io.StringIO(answer.get_data(as_text=True)))
    assert (row["text"], row["targets"], row["count"]) == ("'=cmd|' /C calc'!A0", "web1", "1")
    lines = admin.get("/api/v1/audit/export?format=ndjson").get_data(as_text=True).splitlines()
    records = [json.loads(line) for line in lines]
    assert [entry["id"] for entry in records] == list(range(len(records), 0, -1))
    exports = [entry for entry in records if entry["action"] == "audit.exported"]
    assert exports[-1]["detail"] == {"format": "csv", "filters": {"action": "job.launch"}}
    assert {entry["actor"] for entry in exports} == {"root"}
    assert admin.get("/audit/export?format=xml").status_code == 422
