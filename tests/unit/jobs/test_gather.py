"""Hosts that said the same are one group."""

from opsconsole.jobs.gather import Finished, gather
from opsconsole.jobs.similarity import Mode
from opsconsole.jobs.states import RunState


def finished(i: int, state: RunState = RunState.SUCCEEDED, digest: str | None = "a", **fields: object) -> Finished:
    usual: dict[str, object] = {"reason": None, "exit_status": 0, "exit_signal": None, "ran": digest is not None}
    usual |= {"exact": digest, "alike": digest}
    return Finished(i, f"web{i}", state, **{**usual, **fields})  # type: ignore[arg-type]


def places(runs: list[Finished]) -> list[list[int]]:
    return [[member.i for member in group.members] for group in gather(runs)]


def test_the_same_output_is_one_group_in_the_order_of_the_roster() -> None:
    assert places([finished(0), finished(1, digest="b"), finished(2)]) == [[0, 2], [1]]


def test_exit_codes_and_signals_never_merge() -> None:
    failed = [
        finished(0, RunState.FAILED, exit_status=1),
        finished(1, RunState.FAILED, exit_status=2),
        finished(2, RunState.FAILED, exit_status=None, exit_signal="KILL"),
        finished(3, RunState.FAILED, exit_status=None, exit_signal="TERM"),
    ]
    assert len(places(failed)) == 4


def test_unreached_hosts_group_by_reason_and_text() -> None:
    def unreached(i: int, reason: str, detail: str) -> Finished:
        return finished(i, RunState.UNREACHABLE, None, reason=reason, alike=detail, exact=detail, exit_status=None)

    runs = [unreached(0, "auth", "denied"), unreached(1, "auth", "denied"), unreached(2, "refused", "denied")]
    assert places(runs) == [[0, 1], [2]]


def test_trouble_comes_first_then_size_then_place() -> None:
    runs = [
        *(finished(i) for i in range(5)),
        finished(5, digest="b"),
        finished(6, digest="c"),
        finished(7, RunState.LOST, None),
    ]
    assert places(runs) == [[7], [0, 1, 2, 3, 4], [5], [6]]


def test_nothing_makes_no_group() -> None:
    assert gather([]) == []


def test_others_are_compared_with_the_lowest_exit_then_the_largest_group() -> None:
    failed = [finished(i, RunState.FAILED, "f", exit_status=1) for i in range(9)]
    runs = [
        *failed,
        finished(10),
        finished(11, digest="b"),
        finished(12, digest="b"),
        finished(13, RunState.SKIPPED, None),
    ]
    assert [(group.reference, len(group.members)) for group in gather(runs)] == [
        (False, 9),
        (True, 2),
        (False, 1),
        (False, 1),
    ]
    assert [group.reference for group in gather(failed)] == [True]


def test_skipped_hosts_come_last_however_many() -> None:
    runs = [finished(0), finished(1, digest="b"), *(finished(i, RunState.SKIPPED, None) for i in range(2, 9))]
    assert places(runs)[-1] == [2, 3, 4, 5, 6, 7, 8]


def test_a_group_keeps_its_name_while_hosts_come_in_and_has_another_in_each_mode() -> None:
    before, after = gather([finished(0)]), gather([finished(0), finished(1), finished(2, digest="b")])
    assert before[0].g == after[0].g != after[1].g
    assert gather([finished(0)], Mode.SIMILAR)[0].g != before[0].g


def test_variants_count_what_was_said_to_the_byte() -> None:
    (group,) = gather([finished(i, exact=f"e{i % 2}") for i in range(5)], Mode.SIMILAR)
    assert group.variants == 2
