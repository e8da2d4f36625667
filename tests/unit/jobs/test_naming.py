"""Hosts of a job named in short, by ranges and by patterns, for the verbs that take hosts."""

import pytest

from opsconsole.errors import Invalid
from opsconsole.jobs import control, queries
from opsconsole.jobs.models import Job
from opsconsole.jobs.naming import places
from tests.support.desk import Desk

ROSTER = "web[1-4] root@db1:2222 a@twin b@twin [fe80::1]:22"


@pytest.fixture
def job_id(desk: Desk) -> int:
    return desk.order(ROSTER, credential="key:test")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["web[2-3]"], [1, 2]),
        (["web[1-4]!web2", "WEB1"], [0, 2, 3]),
        (["web*", "DB?"], [0, 1, 2, 3, 4]),
        (["twin*"], [5, 6]),
        (["~(web1|db.)"], [0, 4]),
        (["db1", "db1:2222", "root@db1:2222"], [4]),
        (["b@twin", "[fe80::1]:22", "fe80::1"], [6, 7]),
        (["web1,web4"], [0, 3]),
    ],
)
def test_names_ranges_and_patterns(desk: Desk, job_id: int, names: list[str], found: list[int]) -> None:
    with desk.database.read() as session:
        assert places(session, session.get_one(Job, job_id), names) == found


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("web[3-5]", "unknown_hosts"),
        ("web5", "unknown_hosts"),
        ("nosuch*", "no_match"),
        ("twin", "ambiguous_host"),
        ("web[1-", "unclosed_bracket"),
        ("web[0-999999999]", "too_many_hosts"),
        ("@web,web1", "unknown_group"),
        ("", "unknown_hosts"),
    ],
)
def test_what_names_no_host_of_the_job(desk: Desk, job_id: int, name: str, code: str) -> None:
    with desk.database.read() as session, pytest.raises(Invalid) as caught:
        places(session, session.get_one(Job, job_id), ["web1", name])
    assert [(fault.field, fault.code) for fault in caught.value.errors] == [("hosts", code)]


def test_verbs_and_rows_take_ranges(desk: Desk, job_id: int) -> None:
    with desk.database.transaction() as session:
        job = session.get_one(Job, job_id)
        control.pause(session, job, desk.actor, now=desk.clock.now(), hosts=["web[2-3]"])
        assert control.relaunch(session, job, letters="queued", hosts=["web[1-2]"]).targets == "web1\nweb2"
        for q, found in (("web[2-3]", 2), ("web*", 4), ("web[3-", 0), ("eb", 4), ("nosuch*", 0)):
            assert queries.hosts(session, job, q=q)["total"] == found, q
        assert queries.hosts(session, job, states="queued,failed")["total"] == 8
    assert [run.i for run in desk.runs(job_id) if run.held] == [1, 2]
