"""Whose turn it is when there are more hosts than slots. Pure.

The higher priority goes first; then the person with the fewest hosts in flight, then that person's job with the fewest,
then the older job.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush, heapreplace

# How many messages may wait in the broker for each slot of the live workers: enough that no slot waits for the
# dispatcher, few enough that pause and cancel act at once and a lost broker loses little.
_WAITING_PER_SLOT = 2


@dataclass(frozen=True, slots=True)
class Want:
    """A job of ``person`` that has ``in_flight`` hosts under way and could use ``count`` more slots."""

    job_id: int
    person: int
    priority: int
    in_flight: int
    count: int


def allot(wants: Sequence[Want], room: int) -> dict[int, int]:
    """Returns how many of ``room`` slots each job gets; a job that gets none is left out.

    Jobs that want nothing are given as well, because what they have in flight counts for their person.
    """
    given: dict[int, int] = {}
    load: dict[int, int] = defaultdict(int)
    for want in wants:
        load[want.person] += want.in_flight
    for priority in sorted({want.priority for want in wants if want.count > 0}, reverse=True):
        asking = [want for want in wants if want.priority == priority and want.count > 0]
        room = _allot_equals(asking, load, room, given)
    return given


def _allot_equals(asking: list[Want], load: dict[int, int], room: int, given: dict[int, int]) -> int:
    """Shares ``room`` among jobs of one priority, adds it to ``load`` and ``given``, and returns what is left."""
    if len(asking) == 1:
        only = asking[0]
        taken = min(only.count, max(room, 0))
        if taken:
            given[only.job_id] = taken
            load[only.person] += taken
        return room - taken
    left = {want.job_id: want.count for want in asking}
    queues: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for want in asking:
        queues[want.person].append((want.in_flight, want.job_id))
    for queue in queues.values():
        heapify(queue)
    people = [(load[person], *queue[0], person) for person, queue in queues.items()]
    heapify(people)
    while room > 0 and people:
        _, in_flight, job_id, person = people[0]
        queue = queues[person]
        given[job_id] = given.get(job_id, 0) + 1
        load[person] += 1
        room -= 1
        left[job_id] -= 1
        if left[job_id]:
            heapreplace(queue, (in_flight + 1, job_id))
        else:
            heappop(queue)
        heappop(people)
        if queue:
            heappush(people, (load[person], *queue[0], person))
    return room


def shares(wants: Sequence[Want], *, slots: int, waiting: int) -> dict[int, int]:
    """Returns how many more hosts of each job may be queued for ``slots`` slots, with ``waiting`` queued already.

    When the window is full, jobs below their fair share and those of a higher priority may still queue some: the claim
    takes the fairest of what is queued, so they need not wait behind what was queued before them.
    """
    window = slots * _WAITING_PER_SLOT
    if waiting < window:
        return allot(wants, window - waiting)
    return allot(_underserved(wants, slots), window + slots - waiting)


def _underserved(wants: Sequence[Want], slots: int) -> list[Want]:
    """Returns the wants cut to what their jobs lack of their fair share of the slots."""
    jobs: dict[int, int] = defaultdict(int)
    for want in wants:
        if want.count > 0 or want.in_flight:
            jobs[want.person] += 1
    under_way = [want.priority for want in wants if want.in_flight] or [0]
    found = []
    for want in wants:
        if want.priority > min(under_way):
            fair = slots
        elif want.priority < max(under_way):
            fair = 0
        else:
            fair = max(slots // max(len(jobs) * jobs[want.person], 1), 1)
        found.append(replace(want, count=min(want.count, max(fair - want.in_flight, 0))))
    return found


def turns(queued: Iterable[Want], delivered: Sequence[int]) -> list[int]:
    """Returns, for each delivered message of the jobs ``delivered``, from which job a run should be claimed.

    ``queued`` counts as ``in_flight`` what workers have in hand, and as ``count`` what is queued. A message is a chance
    to work; it goes to another job only when that one has a higher priority or clearly less in hand, because each
    exchange costs a further message.
    """
    jobs = {want.job_id: want for want in queued}
    left = {job_id: want.count for job_id, want in jobs.items()}
    hand = {job_id: want.in_flight for job_id, want in jobs.items()}
    load: dict[int, int] = defaultdict(int)
    for want in jobs.values():
        load[want.person] += want.in_flight
    chosen = []
    for job_id in delivered:
        own = jobs.get(job_id)
        best = min(
            (want for want in jobs.values() if left[want.job_id] > 0),
            key=lambda want: (-want.priority, load[want.person], hand[want.job_id], want.job_id),
            default=None,
        )
        if own is None or best is None:
            chosen.append(job_id)
            continue
        if left[job_id] > 0 and not _overtakes(best, own, load, hand):
            best = own
        left[best.job_id] -= 1
        hand[best.job_id] += 1
        load[best.person] += 1
        chosen.append(best.job_id)
    return chosen


def _overtakes(best: Want, own: Want, load: dict[int, int], hand: dict[int, int]) -> bool:
    if best.priority != own.priority:
        return best.priority > own.priority
    if best.person != own.person:
        return load[own.person] > load[best.person] + _slack(load[best.person])
    return hand[own.job_id] > hand[best.job_id] + _slack(hand[best.job_id])


def _slack(in_flight: int) -> int:
    return 1 + in_flight // 16
