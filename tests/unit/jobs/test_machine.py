"""Any order of launch, dispatch, delivery, crash, cancel and late result keeps the promises of the protocol."""

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from opsconsole.db.database import Database
from opsconsole.db.schema import upgrade
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.states import TERMINAL, JobState, Reason, RunState
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import Desk, Hand, key_file

_ENDS = [
    Outcome(RunState.SUCCEEDED, exit_status=0),
    Outcome(RunState.FAILED, Reason.EXIT_STATUS, exit_status=1),
    Outcome(RunState.TIMED_OUT, Reason.COMMAND_TIMEOUT),
    Outcome(RunState.LOST, Reason.CONNECTION_LOST),
    Outcome(RunState.CANCELLED, Reason.KILLED),
]
_PICK = st.integers(0, 10**6)


class Protocol(RuleBasedStateMachine):
    """Plays people, dispatcher, broker and workers. A gate that opens is a start of the command."""

    migrated: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="opsconsole-machine-"))
        shutil.copyfile(self.migrated, self.folder / "opsconsole.db")
        chosen = key_file(Settings.load(data_dir=self.folder))
        self.database = Database(chosen.database)
        self.desk = Desk(chosen, self.database, FakeClock())
        self.jobs: list[int] = []
        self.broker: list[tuple[int, int]] = []
        self.claimed: list[tuple[Hand, Claim]] = []
        self.running: list[tuple[Hand, Claim]] = []
        self.starts: dict[int, int] = {}
        self.ended: dict[int, str] = {}
        self.hands = [self.desk.hand("w0", slots=4)]
        # Most of the way to where it becomes dangerous: a run that one worker has claimed and not yet started.
        self.launch(3, 2, None)
        self.sweep(0)
        self.deliver(0, again=True)

    def teardown(self) -> None:
        try:
            self._nothing_hangs()
        finally:
            self._close()

    def _nothing_hangs(self) -> None:
        """Whatever happened: once all workers are gone, new ones bring every job to its end."""
        for hand in self.hands:
            self.desk.gone(hand)
        self.claimed.clear()
        self.running.clear()
        for _ in range(40):
            if all(JobState(self.desk.job(job_id).state).terminal for job_id in self.jobs):
                break
            self.hands = [self.desk.hand(f"w{len(self.desk.hands)}", slots=20)]
            self.sweep(1)
            self.deliver(0, again=False)
            self.gate([0] * len(self.claimed))
            for hand, claim in self.running:
                hand.finish(claim)
            self.running.clear()
        self.no_command_started_twice()
        self.counters_tell_the_truth_and_ends_stand()
        assert all(JobState(self.desk.job(job_id).state).terminal for job_id in self.jobs)

    def _close(self) -> None:
        self.desk.close()
        self.database.close()
        shutil.rmtree(self.folder)

    def _sent(self) -> None:
        self.broker += self.desk.post.collect()

    @rule(hosts=st.integers(1, 5), concurrency=st.integers(1, 4), allowed=st.sampled_from([None, "0", "1", "50%"]))
    @precondition(lambda self: len(self.jobs) < 3)
    def launch(self, hosts: int, concurrency: int, allowed: str | None) -> None:
        fields: dict[str, Any] = {"concurrency": concurrency, "max_failures": allowed, "credential": "key:test"}
        self.jobs.append(self.desk.order(f"web[1-{hosts}]", **fields))

    @rule(seconds=st.sampled_from([0, 1, 31, 601]))
    def sweep(self, seconds: int) -> None:
        self.desk.clock.advance(seconds)
        self.broker += self.desk.sweep()

    @rule(which=_PICK, again=st.booleans())
    @precondition(lambda self: self.broker)
    def deliver(self, which: int, again: bool) -> None:
        """Hands all messages to a worker; the broker may keep them and hand them out again."""
        hand = self.hands[which % len(self.hands)]
        for message in list(self.broker):
            claim = hand.take(*message)
            if claim is not None:
                self.claimed.append((hand, claim))
        if not again:
            self.broker.clear()
        self._sent()

    @rule()
    def lose_all_messages(self) -> None:
        self.broker.clear()

    @rule(turns=st.lists(_PICK, min_size=1, max_size=4))
    @precondition(lambda self: self.claimed)
    def gate(self, turns: list[int]) -> None:
        """Some of those that hold a claim have connected and ask for the gate, in any order."""
        for pick in turns[: len(self.claimed)]:
            hand, claim = self.claimed.pop(pick % len(self.claimed))
            if hand.gate(claim):
                self.starts[claim.run_id] = self.starts.get(claim.run_id, 0) + 1
                self.running.append((hand, claim))
        self._sent()

    @rule(pick=_PICK)
    @precondition(lambda self: self.claimed)
    def unreachable(self, pick: int) -> None:
        hand, claim = self.claimed.pop(pick % len(self.claimed))
        hand.finish(claim, Outcome(RunState.UNREACHABLE, Reason.REFUSED, "refused"))
        self._sent()

    @rule(pick=_PICK, outcome=st.sampled_from(_ENDS), keep=st.booleans())
    @precondition(lambda self: self.running)
    def finish(self, pick: int, outcome: Outcome, keep: bool) -> None:
        """Ends a run; kept, the same worker says it once more later, as after an unknown commit."""
        place = pick % len(self.running)
        hand, claim = self.running[place]
        hand.finish(claim, outcome, b"some output\n")
        if not keep:
            del self.running[place]
        self._sent()

    @rule(pick=_PICK, which=_PICK)
    def worker_ends(self, pick: int, which: int) -> None:
        """A worker is given up, by mistake perhaps: its greenlets go on while another process takes its work over."""
        hand = self.hands.pop(pick % len(self.hands))
        self.desk.gone(hand)
        self.hands.append(self.desk.hand(f"w{len(self.desk.hands)}", slots=4))
        self.sweep(1)
        if self.broker:
            self.deliver(which, again=True)

    @rule(pick=_PICK)
    @precondition(lambda self: self.jobs)
    def cancel_job(self, pick: int) -> None:
        # A cancelled job has little left to go wrong, so not in every example.
        if pick % 3 == 0:
            self.desk.cancel(self.jobs[pick % len(self.jobs)])

    @rule(pick=_PICK)
    @precondition(lambda self: self.jobs)
    def cancel_host(self, pick: int) -> None:
        self.desk.cancel(self.jobs[pick % len(self.jobs)], ["web1"])

    @invariant()
    def no_command_started_twice(self) -> None:
        assert all(count == 1 for count in self.starts.values())

    @invariant()
    def counters_tell_the_truth_and_ends_stand(self) -> None:
        for job_id in self.jobs:
            self.desk.letters(job_id)
            for run in self.desk.runs(job_id):
                before = self.ended.get(run.id)
                assert before in (None, "lost", run.state)
                if RunState(run.state) in TERMINAL:
                    self.ended[run.id] = run.state
                if run.id in self.starts:
                    assert run.state in {"running", "succeeded", "failed", "timed_out", "lost", "cancelled"}

    @invariant()
    def concurrency_is_kept(self) -> None:
        for job_id in self.jobs:
            job = self.desk.job(job_id)
            assert job.n_queued + job.n_c + job.n_r <= RunOptions.from_json(job.options).concurrency


@pytest.mark.slow
def test_the_protocol_keeps_its_promises(tmp_path: Path) -> None:
    Protocol.migrated = tmp_path / "migrated.db"
    upgrade(f"sqlite:///{Protocol.migrated}")
    chosen = settings(
        max_examples=20,
        stateful_step_count=30,
        deadline=None,
        # A failure is told as it was found: to make it small would take minutes.
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Protocol, settings=chosen)
