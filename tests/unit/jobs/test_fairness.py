"""Whose turn it is when there are more hosts than slots."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.jobs.fairness import Want, allot, shares, turns


def want(job_id: int, person: int = 1, *, priority: int = 0, has: int = 0, count: int = 100) -> Want:
    return Want(job_id, person, priority, has, count)


@pytest.mark.parametrize(
    ("wants", "room", "given"),
    [
        ([want(1)], 7, {1: 7}),
        ([want(1, count=3)], 7, {1: 3}),
        ([want(1)], 0, {}),
        ([want(1)], -5, {}),
        ([], 5, {}),
        # Equal people share equally; what one cannot use the other gets.
        ([want(1, 1), want(2, 2)], 10, {1: 5, 2: 5}),
        ([want(1, 1), want(2, 2, count=2)], 10, {1: 8, 2: 2}),
        # A person counts once, however many jobs he has.
        ([want(1, 1), want(2, 1), want(3, 2)], 8, {1: 2, 2: 2, 3: 4}),
        # What is in flight counts, also that of jobs that want nothing more.
        ([want(1, 1, has=6), want(2, 2)], 4, {2: 4}),
        ([want(1, 1, has=4), want(2, 2, has=2)], 4, {1: 1, 2: 3}),
        ([want(1, 1, has=6, count=0), want(2, 1), want(3, 2)], 4, {3: 4}),
        # The higher priority first, also of the same person.
        ([want(1, 1), want(2, 2, priority=1, count=3)], 5, {1: 2, 2: 3}),
        ([want(1, 1, priority=-1), want(2, 1, has=50)], 5, {2: 5}),
        # The older job first when all else is equal.
        ([want(9, 2), want(4, 1)], 1, {4: 1}),
    ],
)
def test_slots_are_shared(wants: list[Want], room: int, given: dict[int, int]) -> None:
    assert allot(wants, room) == given


WANTS = st.lists(
    st.builds(
        lambda job_id, person, priority, has, count: Want(job_id, person, priority, has, count),
        st.integers(1, 10**6),
        st.integers(1, 4),
        st.integers(-1, 1),
        st.integers(0, 30),
        st.integers(0, 30),
    ),
    unique_by=lambda item: item.job_id,
    max_size=12,
)


@given(wants=WANTS, room=st.integers(-10, 200))
def test_no_slot_is_left_idle_or_given_twice(wants: list[Want], room: int) -> None:
    given = allot(wants, room)
    assert sum(given.values()) == min(max(room, 0), sum(item.count for item in wants))
    assert all(0 < given[item.job_id] <= item.count for item in wants if item.job_id in given)


@given(wants=WANTS, room=st.integers(1, 100))
def test_nobody_has_less_than_another_who_was_given_something(wants: list[Want], room: int) -> None:
    given = allot(wants, room)
    for priority in {item.priority for item in wants}:
        load = Counter[int]()
        for item in wants:
            if item.priority >= priority:
                load[item.person] += item.in_flight + given.get(item.job_id, 0)
            else:
                load[item.person] += item.in_flight
        equals = [item for item in wants if item.priority == priority]
        hungry = {item.person for item in equals if given.get(item.job_id, 0) < item.count}
        served = {item.person for item in equals if item.job_id in given}
        assert all(load[rich] <= load[poor] + 1 for poor in hungry for rich in served)


def test_a_full_window_still_lets_those_below_their_share_in() -> None:
    big, small = want(1, 1, has=600, count=4400), want(2, 2, count=10)
    assert shares([big, small], slots=200, waiting=400) == {2: 10}
    # The same person's small job as well, and a job of a higher priority beyond its share.
    assert shares([big, want(2, 1, count=10)], slots=200, waiting=400) == {2: 10}
    assert shares([big, want(2, 2, count=500, priority=1)], slots=200, waiting=400) == {2: 200}
    # But never without bounds, and not what has its share.
    assert shares([big, small], slots=200, waiting=600) == {}
    assert shares([big, want(2, 2, has=150)], slots=200, waiting=400) == {}
    assert shares([big], slots=200, waiting=400) == {}
    assert shares([big, small], slots=200, waiting=395) == {2: 5}


def test_a_message_works_for_whose_turn_it_is() -> None:
    big, small = Want(1, 1, 0, 200, 400), Want(2, 2, 0, 0, 10)
    assert turns([big, small], [1] * 12) == [2] * 10 + [1] * 2
    assert turns([big, small], [1, 2]) == [2, 2]


def test_messages_keep_their_runs_while_shares_are_nearly_even() -> None:
    one, two = Want(1, 1, 0, 5, 20), Want(2, 2, 0, 5, 20)
    assert turns([one, two], [1, 2, 2, 1]) == [1, 2, 2, 1]


def test_the_higher_priority_goes_first() -> None:
    low, high = Want(1, 1, 0, 0, 20), Want(2, 1, 1, 50, 2)
    assert turns([low, high], [1, 1, 1]) == [2, 2, 1]


def test_a_message_whose_job_has_nothing_queued_changes_nothing() -> None:
    assert turns([Want(1, 1, 0, 0, 1)], [7]) == [7]
    assert turns([], [7]) == [7]


@given(
    queued=WANTS,
    data=st.data(),
)
def test_no_more_is_claimed_than_is_queued(queued: list[Want], data: st.DataObject) -> None:
    messages = [item.job_id for item in queued for _ in range(item.count)]
    delivered = data.draw(st.permutations(messages)) if messages else []
    chosen = turns(queued, delivered)
    assert Counter(chosen) == Counter(delivered)
