"""Limits per tag value, group and person: never exceeded, and never a slot idle that need not be."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from opsconsole.db.database import Database
from opsconsole.errors import Invalid
from opsconsole.inventory.groups import add_group, set_group
from opsconsole.inventory.models import Host
from opsconsole.inventory.service import upsert_host
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.limits import NO_CAPS, Caps, Room
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import Desk, Hand, open_desk


def fleet(desk: Desk, count: int, *, values: str = "eu us") -> None:
    """Registers hosts h1, h2 ... whose tag dc goes through the values, with the groups odd and even."""
    words = values.split()
    with desk.database.transaction() as session:
        for number in range(1, count + 1):
            upsert_host(session, f"h{number}", tags={"dc": words[number % len(words)]}, now=desk.clock.now())
        session.flush()
        set_group(session, "odd", [f"h{number}" for number in range(1, count + 1, 2)])
        set_group(session, "even", [f"h{number}" for number in range(2, count + 1, 2)])


def in_flight(desk: Desk, *job_ids: int) -> Counter[str]:
    runs = [run for job_id in job_ids for run in desk.runs(job_id)]
    held = {"queued", "connecting", "running"}
    return Counter(key for run in runs if run.state in held for key in run.limit_keys or ["none"])


@pytest.fixture
def capped(settings: Settings, database: Database, clock: FakeClock) -> Any:
    def open_with(*limits: str) -> Any:
        return open_desk(settings.model_copy(update={"limits": limits}), database, clock)

    return open_with


def order(desk: Desk, targets: str, **fields: Any) -> int:
    return desk.order(targets, credential="key:test", **fields)


def test_at_most_so_many_per_value_of_a_tag(desk: Desk, hand: Hand) -> None:
    fleet(desk, 12, values="eu eu us")
    job_id = order(desk, "h[1-12] elsewhere", limit_per="dc=2")
    claims = {claim.i: claim for claim in (hand.start(*message) for message in desk.sweep())}
    assert in_flight(desk, job_id) == {"dc=eu": 2, "dc=us": 2, "none": 1}
    assert desk.sweep() == []
    eu = next(run for run in desk.runs(job_id) if run.state == "running" and run.limit_keys == ["dc=eu"])
    hand.finish(claims[eu.i])
    assert len(desk.post.collect()) == 1
    assert in_flight(desk, job_id)["dc=eu"] == 2


def test_hosts_behind_those_that_a_limit_holds_back_go_first(desk: Desk, hand: Hand) -> None:
    with desk.database.transaction() as session:
        for number in range(1, 301):
            tags = {"dc": "eu" if number <= 290 else "us"}
            upsert_host(session, f"h{number}", tags=tags, now=desk.clock.now())
    job_id = order(desk, "h[1-300]", limit_per="dc=10", concurrency=20, confirm="RUN 300", reason="x")
    assert len(desk.sweep()) == 20
    assert in_flight(desk, job_id) == {"dc=eu": 10, "dc=us": 10}


def test_letters_of_tag_values_are_told_apart(desk: Desk, hand: Hand) -> None:
    fleet(desk, 6, values="EU eu é%_")
    job_id = order(desk, "h[1-6]", limit_per="dc=1")
    assert len(desk.sweep()) == 3
    assert in_flight(desk, job_id) == {"dc=EU": 1, "dc=eu": 1, "dc=é%_": 1}
    assert desk.sweep() == []


def test_at_most_so_many_per_group(desk: Desk, hand: Hand) -> None:
    fleet(desk, 9)
    job_id = order(desk, "h[1-9]", limit_per="group=2")
    desk.sweep()
    assert in_flight(desk, job_id) == {"group=odd": 2, "group=even": 2}


def test_a_group_has_the_hosts_of_the_groups_in_it(capped: Any) -> None:
    with capped("group all=3") as desk:
        desk.hand()
        fleet(desk, 9)
        now = desk.clock.now()
        with desk.database.transaction() as session:
            add_group(session, "both", {"children": ["odd", "even"]}, actor=desk.actor, now=now)
            add_group(session, "all", {"children": ["both"]}, actor=desk.actor, now=now)
        job_id = order(desk, "h[1-9]", limit_per="group=2", canary="each group", order="spread group")
        runs = desk.runs(job_id)
        assert runs[0].limit_keys == ["group=odd", "group=all", "group=both"]
        # The canary's one host of each group stands for the groups around it, too.
        assert [run.host for run in runs if run.wave == 0] == ["h1", "h2"]
        desk.sweep()
        assert in_flight(desk, job_id) == {"group=odd": 1, "group=even": 1, "group=both": 2, "group=all": 2}
        other = order(desk, "h[3-9]")
        desk.sweep()
        assert in_flight(desk, job_id, other)["group=all"] == 3


def test_limits_over_all_jobs(capped: Any) -> None:
    with capped("tag dc=3", "group odd=1") as desk:
        hand = desk.hand()
        fleet(desk, 12)
        first, second = order(desk, "h[1-12]"), order(desk, "h[1-12]")
        messages = desk.sweep()
        # The tag dc goes with the parity, so the group's limit is the tighter one of odd hosts.
        assert in_flight(desk, first, second) == {"dc=eu": 3, "dc=us": 1, "group=odd": 1}
        claims = [hand.start(*message) for message in messages]
        for claim in claims:
            hand.finish(claim)
        # Only the sweep, which never runs twice at once, gives away what all jobs share.
        assert desk.post.collect() == []
        assert desk.kicks > 0
        desk.sweep()
        assert in_flight(desk, first, second) == {"dc=eu": 3, "dc=us": 1, "group=odd": 1}


def test_at_most_so_many_behind_a_jump_host(capped: Any) -> None:
    with capped("jump gate=4") as desk:
        desk.hand()
        fleet(desk, 12)
        with desk.database.transaction() as session:
            for number in range(1, 10):
                session.query(Host).filter_by(key=f"h{number}").one().jump = "Gate" if number < 7 else "root@side"
        own = order(desk, "h[1-12]", limit_per="jump=3")
        assert [run.jump for run in desk.runs(own)] == ["Gate"] * 6 + ["root@side"] * 3 + [None] * 3
        desk.sweep()
        assert in_flight(desk, own) == {"jump=gate": 3, "jump=side": 3, "none": 3}
        # The console's own limit holds over all jobs, and counts the first jump host of a chain.
        other = order(desk, "h[10-12]", jump="gate,inner")
        desk.sweep()
        assert in_flight(desk, other) == {"jump=gate": 1}
        with pytest.raises(Invalid, match="reached through a jump host"):
            order(desk, "h[1-3]", jump="none", limit_per="jump=3")


def test_at_most_so_many_per_person(capped: Any) -> None:
    with capped("user=5") as desk:
        desk.hand()
        one, two = order(desk, "web[1-9]"), order(desk, "db[1-9]")
        other = desk.order("x[1-9]", credential="key:test", by=desk.person())
        assert len(desk.sweep()) == 10
        assert desk.job(one).n_queued + desk.job(two).n_queued == 5
        assert desk.job(other).n_queued == 5
        assert desk.sweep() == []


def test_the_words_of_the_setting() -> None:
    caps = Caps.parse(("tag dc=20", "group db=2", "jump Gate=9", "user=500"))
    assert (caps.of("dc=eu"), caps.of("group=db"), caps.of("group=web"), caps.of("rack=1")) == (20, 2, None, None)
    assert (caps.of("jump=gate"), caps.of("jump=other")) == (9, None)
    assert (caps.user, caps.user_room(499), caps.user_room(501)) == (500, 1, 0)
    assert not NO_CAPS.limiting


@pytest.mark.parametrize("text", ["dc=20", "tag dc", "tag dc=0", "tag jump=3", "jump=3", "user=x", "group a b=1"])
def test_what_the_setting_does_not_mean(text: str) -> None:
    with pytest.raises(ValueError, match="jump NAME=HOSTS"):
        Settings._parse_limits(text)


KEYS = st.lists(st.sampled_from(["dc=a", "dc=b", "rack=1", "rack=2"]), max_size=2, unique=True)


@given(hosts=st.lists(KEYS, max_size=40), dc=st.integers(1, 5), rack=st.integers(1, 5))
def test_room_is_used_and_never_exceeded(hosts: list[list[str]], dc: int, rack: int) -> None:
    room = Room({"dc": dc}, Caps({"rack": rack}), own=hosts[:1], everyones=hosts[:1])
    taken = [keys for keys in hosts[1:] if room.take(keys)]
    count = Counter(key for keys in [*hosts[:1], *taken] for key in keys)
    assert all(count[f"dc={value}"] <= dc for value in "ab")
    assert all(count[f"rack={value}"] <= rack for value in "12")
    for keys in hosts[1:]:
        if keys not in taken:
            assert any(key in room.full() for key in keys)


@pytest.mark.slow
@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    hosts=st.integers(1, 25),
    concurrency=st.integers(1, 8),
    limit=st.integers(1, 4),
    waves=st.sampled_from([None, "1 *2", "3", "50%"]),
    picks=st.lists(st.integers(0, 10**6), min_size=5, max_size=60),
)
def test_always_full_and_never_fuller(
    desk: Desk, hosts: int, concurrency: int, limit: int, waves: str | None, picks: list[int]
) -> None:
    """After each end the job has in flight exactly what its concurrency, its limits and its wave let it have."""
    hand = desk.hand(f"w{len(desk.hands)}")
    fleet(desk, 25)
    job_id = order(desk, f"h[1-{hosts}]", concurrency=concurrency, limit_per=f"dc={limit}", waves=waves)
    messages = desk.sweep()
    running: dict[int, Claim] = {}
    for pick in picks:
        running |= {claim.run_id: claim for claim in (hand.start(*message) for message in messages)}
        runs = desk.runs(job_id)
        busy = [run for run in runs if run.state == "running"]
        waiting = [run for run in runs if run.state == "pending" and run.wave <= desk.job(job_id).wave]
        count = in_flight(desk, job_id)
        assert len(busy) <= concurrency
        assert all(number <= limit for number in count.values())
        assert len(busy) == concurrency or all(count[key] == limit for run in waiting for key in run.limit_keys or [])
        if not busy:
            break
        hand.finish(running.pop(busy[pick % len(busy)].id))
        messages = desk.post.collect()
    # The next example meets an idle console: a message goes to whose turn it is, which may be an older job.
    desk.cancel(job_id)
    for claim in running.values():
        hand.finish(claim)
    desk.post.collect()
