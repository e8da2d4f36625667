"""What one look of the dispatcher costs: ``python -m benchmarks.dispatch`` from a checkout, in processor time.

Twenty jobs of four people with 10,000 waiting hosts and full slots; then a host of one of them ends, again and again.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from opsconsole.db.database import Database
from opsconsole.db.schema import upgrade
from opsconsole.jobs import control, dispatch
from opsconsole.jobs.models import Job
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import Desk, key_file, open_desk

_JOBS, _HOSTS, _PEOPLE, _SLOTS, _TIMES = 20, 500, 4, 200, 200


def main() -> None:
    """Prints the milliseconds of each, as the median of many."""
    with tempfile.TemporaryDirectory(prefix="opsconsole-dispatch-") as name:
        settings = key_file(Settings.load(data_dir=Path(name)))
        upgrade(settings.database)
        database = Database(settings.database)
        with open_desk(settings, database, FakeClock()) as desk:
            for jobs in (1, _JOBS):
                _measure(desk, jobs)
        database.close()


def _measure(desk: Desk, jobs: int) -> None:
    people = [desk.person() for _ in range(_PEOPLE)]
    sure = {"confirm": str(_HOSTS), "reason": "benchmark"}
    new = [desk.order(f"j{n}-[1-{_HOSTS}]", credential="key:test", by=people[n % _PEOPLE], **sure) for n in range(jobs)]
    hand = desk.hand(f"w{jobs}", slots=_SLOTS)
    messages = desk.sweep()
    claims = []
    while messages and len(claims) < _SLOTS:
        claim = hand.take(*messages.pop(0))
        messages += desk.post.collect()
        if claim is not None and hand.gate(claim):
            claims.append(claim)
    ends, sweeps = [], []
    for claim in claims[:_TIMES]:
        began = time.process_time()
        hand.finish(claim)
        ends.append(time.process_time() - began)
        with desk.database.transaction() as session:
            began = time.process_time()
            dispatch.sweep(session, desk.clock.now(), slots=_SLOTS)
            sweeps.append(time.process_time() - began)
    for what, seconds in (("a host ends and the next is queued", ends), ("a sweep", sweeps)):
        sys.stdout.write(f"{len(new)} jobs: {what}: {statistics.median(seconds) * 1000:.2f} ms\n")
    actor = desk.actor
    for job_id in new:
        with desk.database.transaction() as session:
            control.cancel(session, session.get_one(Job, job_id), actor, now=desk.clock.now())


if __name__ == "__main__":
    main()
