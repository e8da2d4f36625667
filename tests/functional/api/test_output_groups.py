"""Output groups over the API: modes, one group, what differs, what varies."""

from collections.abc import Callable
from typing import Any

import pytest

from opsconsole.jobs.alike import ComparedOutput
from opsconsole.jobs.similarity import Own
from opsconsole.jobs.states import Reason, RunState
from tests.functional.api.callers import Program
from tests.functional.api.play import Play

Plays = Callable[[int], Play]
UPTIME = " 10:42:01 up {days} days,  2:03,  1 user,  load average: 0.{days}0, 0.01, 0.05\n"


def tell(play: Play, place: int, data: bytes, *, err: bytes = b"", status: int = 0, host: str = "") -> None:
    """Lets a host say ``data`` and end, with the digests that a worker makes of it."""
    output = ComparedOutput(10**6, 10**6, Own((host or f"web{place + 1}",)))
    play.start(place)
    for fd, part in ((1, data), (2, err)):
        if part:
            play.write(place, part, fd=fd)
            output.add(fd, part, 0)
    made = output.digests(f"{status}/None")
    digests = {"output_digest": made.exact, "digest_clean": made.clean, "digest_similar": made.similar}
    state = RunState.FAILED if status else RunState.SUCCEEDED
    play.end(place, state=state, exit_status=status, **digests)


@pytest.fixture
def uptimes(operator: Program, play: Plays) -> int:
    """A job whose hosts said how long they are up: web1 to web4 alike, web5 otherwise, web6 not at all."""
    job = operator.launch(targets="web[1-6]", command="uptime")
    worker = play(job)
    for place in range(4):
        tell(worker, place, UPTIME.format(days=place + 1).encode())
    tell(worker, 4, UPTIME.format(days=9).encode() + b"3 errors\n")
    tell(worker, 5, b"Reading\n", err=b"E: web6 is locked by process 77 (apt)\n", status=100)
    return job


def groups(operator: Program, job: int, **query: object) -> Any:
    return operator.get(f"jobs/{job}/groups", query_string=query).json


def test_where_all_failed_they_are_compared_with_the_largest_group(operator: Program, play: Plays) -> None:
    job = operator.launch(targets="web[1-3]", command="uptime")
    worker = play(job)
    for place, said in enumerate((b"one\ntwo\n", b"one\ntwo\n", b"one\nother\n")):
        tell(worker, place, said, status=1)
    most, other = groups(operator, job)["groups"]
    assert most["reference"]
    assert other["difference"] == {"lines": [["-", "two"], ["+", "other"]], "added": 1, "removed": 1}


def test_readings_make_no_groups_unless_asked_for(operator: Program, uptimes: int) -> None:
    found = groups(operator, uptimes)
    assert (found["mode"], found["n"]) == ("similar", 3)
    trouble, most, other = found["groups"]
    assert [one["count"] for one in (trouble, most, other)] == [1, 4, 1]
    # Of hosts that failed the error stands for all; nothing is masked where all said the same.
    assert trouble["head"] == "E: web6 is locked by process 77 (apt)"
    assert (most["reference"], most["variants"], most["folded"]) == (True, 4, "web[1-4]")
    assert most["head"] == " ‹time› up ‹duration›, ‹users›, load average: ‹load›"
    assert other["difference"] == {"lines": [["+", "3 errors"]], "added": 1, "removed": 0}
    assert most["difference"] is None
    assert groups(operator, uptimes, mode="exact")["n"] == 6
    assert operator.get(f"jobs/{uptimes}").json["groups"] == 3


def test_a_hundred_uptimes_are_one_group_and_another_exit_status_is_another(operator: Program, play: Plays) -> None:
    job = operator.launch(targets="web[1-101]", command="uptime", confirm="101")
    worker = play(job)
    said = [UPTIME.replace("0.{days}0", f"0.{n:02}").format(days=n + 1).encode() for n in range(100)]
    for place, line in enumerate(said):
        tell(worker, place, line)
    assert [groups(operator, job, mode=mode)["n"] for mode in ("similar", "exact")] == [1, 100]
    tell(worker, 100, said[0], status=3)
    assert [one["count"] for one in groups(operator, job)["groups"]] == [1, 100]


def test_groups_are_told_by_state_and_number(operator: Program, uptimes: int) -> None:
    assert [one["state"] for one in groups(operator, uptimes, state="failed")["groups"]] == ["f"]
    few = groups(operator, uptimes, limit=1)
    assert (few["n"], len(few["groups"])) == (3, 1)
    assert operator.get(f"jobs/{uptimes}/groups?state=sideways").status_code == 422
    assert operator.get(f"jobs/{uptimes}/groups?mode=alike").status_code == 422


def test_one_group_names_its_members_and_says_its_output_once(operator: Program, uptimes: int) -> None:
    most = groups(operator, uptimes)["groups"][1]
    found = operator.get(f"jobs/{uptimes}/groups/{most['g']}").json
    assert found["members"] == [[place, f"web{place + 1}"] for place in range(4)]
    assert found["lines"] == [[1, 1, " ‹time› up ‹duration›, ‹users›, load average: ‹load›"]]
    exact = groups(operator, uptimes, mode="exact")["groups"][1]
    one = operator.get(f"jobs/{uptimes}/groups/{exact['g']}?mode=exact").json
    assert one["lines"] == [[1, 1, UPTIME.format(days=1).rstrip("\n")]]
    # A name is one of a group in its mode alone.
    assert operator.get(f"jobs/{uptimes}/groups/{exact['g']}").status_code == 404


def test_a_group_is_compared_with_the_majority_another_one_or_the_run_before(
    operator: Program, uptimes: int, play: Plays
) -> None:
    trouble, most, other = groups(operator, uptimes)["groups"]
    base = f"jobs/{uptimes}/groups"
    found = operator.get(f"{base}/{other['g']}/diff").json
    assert (found["against"]["g"], found["same"], found["added"], found["removed"]) == (most["g"], False, 1, 0)
    assert found["hunks"][0]["lines"][-1] == ["+", "3 errors"]
    against = operator.get(f"{base}/{most['g']}/diff?against={trouble['g']}").json
    assert against["against"]["folded"] == "web6"
    assert operator.get(f"{base}/{most['g']}/diff?against=previous").status_code == 404
    again = operator.launch(targets="web[1-6]", command="uptime")
    tell(play(again), 1, UPTIME.format(days=8).encode())
    (only,) = groups(operator, again)["groups"]
    before = operator.get(f"jobs/{again}/groups/{only['g']}/diff?against=previous").json
    assert (before["against"]["job"], before["against"]["folded"], before["same"]) == (uptimes, "web2", True)


def test_the_spread_tells_the_values_of_what_varies(operator: Program, uptimes: int) -> None:
    most = groups(operator, uptimes)["groups"][1]
    found = operator.get(f"jobs/{uptimes}/groups/{most['g']}/spread").json
    assert (found["count"], found["read"], found["variants"]) == (4, 4, 4)
    up, load = found["fields"]
    assert (up["kind"], up["distinct"], up["min"], up["median"], up["max"]) == (
        "duration",
        4,
        "1 days, 2:03",
        "2 days, 2:03",
        "4 days, 2:03",
    )
    assert load["kind"] == "load"
    assert load["values"][0] == {"value": "0.10, 0.01, 0.05", "count": 1}


def test_where_nobody_let_the_command_in_the_cause_stands_for_the_group(operator: Program, play: Plays) -> None:
    job = operator.launch(targets="web1", command="id")
    worker = play(job)
    worker.start(0)
    worker.write(0, b"Sorry, try again.\n", fd=2)
    worker.end(0, state=RunState.FAILED, reason=Reason.RUN_AS, detail="sudo did not accept the password of the login.")
    assert groups(operator, job)["groups"][0]["head"] == "sudo did not accept the password of the login."
