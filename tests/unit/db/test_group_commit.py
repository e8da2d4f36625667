"""Many small writes in few transactions: nobody waits for ever, nobody pays for a neighbour's fault."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from opsconsole.db.group_commit import GroupCommit, Written
from opsconsole.errors import Unavailable


class Pen:
    """Doubles numbers, keeps the groups it got, and fails for what it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.bad: dict[int, Exception] = {}
        self.after: Callable[[], None] | None = None
        self.gate = threading.Event()
        self.gate.set()

    def write(self, items: Sequence[int]) -> Written[int]:
        assert self.gate.wait(30)
        self.groups.append(list(items))
        for item in items:
            if item in self.bad:
                raise self.bad[item]
        return [item * 2 for item in items], self.after


@pytest.fixture
def pen() -> Pen:
    return Pen()


@pytest.fixture
def group(pen: Pen) -> Iterator[GroupCommit[int, int]]:
    made = GroupCommit(pen.write, offload=lambda call: call(), most=10)
    yield made
    pen.gate.set()
    made.close()


def together(pen: Pen, group: GroupCommit[int, int], items: Sequence[int]) -> list[int | Exception]:
    """Submits ``items`` so that those after the first meet in one group; returns each one's answer."""

    def submit(item: int) -> int | Exception:
        try:
            return group.submit(item)
        except Exception as error:
            return error

    pen.gate.clear()
    with ThreadPoolExecutor(len(items) + 1) as pool:
        first = pool.submit(submit, -1)
        while group._queue or not group._thread.is_alive():
            pass
        answers = [pool.submit(submit, item) for item in items]
        while len(group._queue) < len(items):
            pass
        pen.gate.set()
        assert first.result() == -2
        return [answer.result() for answer in answers]


def test_each_gets_its_own_answer(pen: Pen, group: GroupCommit[int, int]) -> None:
    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(group.submit, range(200))) == [item * 2 for item in range(200)]
    assert sorted(item for items in pen.groups for item in items) == list(range(200))
    assert max(map(len, pen.groups)) <= 10


def test_those_who_wait_together_are_written_together(pen: Pen, group: GroupCommit[int, int]) -> None:
    assert together(pen, group, [1, 2, 3]) == [2, 4, 6]
    assert sorted(pen.groups[-1]) == [1, 2, 3]


def test_a_faulty_item_fails_alone(pen: Pen, group: GroupCommit[int, int]) -> None:
    pen.bad[2] = ValueError("no")
    answers = together(pen, group, [1, 2, 3])
    assert answers[0] == 2
    assert isinstance(answers[1], ValueError)
    assert answers[2] == 6
    assert group.submit(4) == 8


def test_a_database_that_is_away_fails_the_group_without_asking_one_by_one(
    pen: Pen, group: GroupCommit[int, int]
) -> None:
    pen.bad[2] = Unavailable("away")
    answers = together(pen, group, [1, 2, 3])
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert len(pen.groups) == 2
    del pen.bad[2]
    assert group.submit(2) == 4


def test_what_follows_a_commit_comes_after_the_answers_and_cannot_end_the_writer(
    pen: Pen, group: GroupCommit[int, int]
) -> None:
    called = threading.Event()

    def after() -> None:
        called.set()
        raise RuntimeError("the broker said something odd")

    pen.after = after
    assert group.submit(1) == 2
    assert called.wait(10)
    pen.after = None
    assert group.submit(2) == 4


def test_closing_commits_what_was_submitted(pen: Pen) -> None:
    group = GroupCommit(pen.write, offload=lambda call: call())
    pen.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(group.submit, item) for item in (1, 2)]
        while not group._thread.is_alive():
            pass
        closing = pool.submit(group.close)
        pen.gate.set()
        assert [answer.result(10) for answer in answers] == [2, 4]
        closing.result(10)
