"""Any order of launch, dispatch, delivery, crash, pause, hold, stop, cancel and late result keeps the promises of the
protocol."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import update

from opsconsole.db.database import Database
from opsconsole.db.schema import upgrade
from opsconsole.errors import Conflict
from opsconsole.jobs import control, hold, stages
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.models import Job
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.ports import Unreached
from opsconsole.jobs.states import TERMINAL, JobState, Reason, RunState, StopReason
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
_STAGED = st.fixed_dictionaries(
    {
        "waves": st.sampled_from([None, None, "1", "1 *2"]),
        "wave_gate": st.sampled_from(["auto", "on_failure", "manual"]),
        "wave_pause": st.sampled_from([0, 0, 10]),
        "canary": st.sampled_from([None, None, "1"]),
        "canary_gate": st.sampled_from(["auto", "manual"]),
        "at_stop": st.sampled_from(["finish", "kill"]),
        "count_unreachable": st.booleans(),
        "priority": st.sampled_from(["low", "normal"]),
        "retries": st.sampled_from([0, 2]),
        "retry_pause": st.just(1),
    }
)


def _meaningful(staged: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what is said of waves or of a canary that there are not, which an order may not say."""
    senseless = set() if staged["canary"] else {"canary_gate"}
    senseless |= set() if staged["canary"] or staged["waves"] else {"wave_gate", "wave_pause"}
    return {name: value for name, value in staged.items() if name not in senseless}


_FAILED = {"failed", "timed_out", "lost", "unreachable"}


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
        self.held = False
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
        for _ in range(60):
            self._let_all_go_on()
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

    def _let_all_go_on(self) -> None:
        if self.held:
            self.lift()
        self.let_pauses_between_waves_end()
        for job_id in self.jobs:
            self._ask(job_id, control.resume)
            self._ask(job_id, control.resume, held=True)
            if self.desk.job(job_id).state == JobState.PAUSED:
                self._ask(job_id, control.proceed)

    def _close(self) -> None:
        self.desk.close()
        self.database.close()
        shutil.rmtree(self.folder)

    def _sent(self) -> None:
        self.broker += self.desk.post.collect()

    @rule(
        hosts=st.integers(1, 5),
        concurrency=st.integers(1, 4),
        allowed=st.sampled_from([None, "0", "1", "50%"]),
        staged=_STAGED,
    )
    @precondition(lambda self: len(self.jobs) < 3)
    def launch(self, hosts: int, concurrency: int, allowed: str | None, staged: dict[str, Any] | None = None) -> None:
        fields: dict[str, Any] = {"concurrency": concurrency, "max_failures": allowed, "credential": "key:test"}
        self.jobs.append(self.desk.order(f"web[1-{hosts}]", **fields, **(_meaningful(staged) if staged else {})))

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
            shut = self._must_stay_shut(claim)
            if hand.gate(claim):
                assert not shut
                self.starts[claim.run_id] = self.starts.get(claim.run_id, 0) + 1
                self.running.append((hand, claim))
        self._sent()

    def _must_stay_shut(self, claim: Claim) -> bool:
        """Asks the rows, not the counters, whether a command of this job may start."""
        job, runs = self.desk.job(claim.job_id), self.desk.runs(claim.job_id)
        counted = _FAILED if job.count_unreachable else _FAILED - {"unreachable"}
        failures = sum(run.state in counted for run in runs)
        over = job.failures_allowed is not None and failures > job.failures_allowed
        return over or job.state == JobState.STOPPING or self.held

    @rule(pick=_PICK)
    @precondition(lambda self: self.claimed)
    def unreachable(self, pick: int) -> None:
        hand, claim = self.claimed.pop(pick % len(self.claimed))
        hand.finish(claim, Outcome(RunState.UNREACHABLE, Reason.REFUSED, "refused"))
        self._sent()

    @rule(pick=_PICK)
    @precondition(lambda self: self.claimed)
    def try_again_later(self, pick: int) -> None:
        hand, claim = self.claimed[pick % len(self.claimed)]
        if claim.attempt <= claim.retries:
            del self.claimed[pick % len(self.claimed)]
            hand.ledger.again(claim, Unreached(Reason.REFUSED, "refused"))
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

    @rule(pick=_PICK, verb=st.sampled_from([control.pause, control.resume, control.proceed]))
    @precondition(lambda self: self.jobs)
    def ask(self, pick: int, verb: Callable[..., Job]) -> None:
        """A person pauses a job, lets it go on, or opens the gate between two waves; some of that is refused."""
        self._ask(self.jobs[pick % len(self.jobs)], verb)

    @rule(pick=_PICK, verb=st.sampled_from([control.pause, control.resume]))
    @precondition(lambda self: self.jobs)
    def hold_hosts_back(self, pick: int, verb: Callable[..., Job]) -> None:
        self._ask(self.jobs[pick % len(self.jobs)], verb, hosts=["web1"])

    def _ask(self, job_id: int, verb: Callable[..., Job], **fields: Any) -> None:
        desk = self.desk
        with suppress(Conflict), desk.database.transaction() as session:
            verb(session, session.get_one(Job, job_id), desk.actor, now=desk.clock.now(), **fields)

    @rule(cancel=st.booleans(), pick=_PICK)
    def hold_the_console(self, cancel: bool, pick: int) -> None:
        if pick % 3 == 0:
            with self.desk.database.transaction() as session:
                hold.stop_all(session, self.desk.actor, cancel=cancel and pick % 2 == 0, now=self.desk.clock.now())
            self.held = True

    @rule()
    @precondition(lambda self: self.held)
    def lift(self) -> None:
        with self.desk.database.transaction() as session:
            hold.lift(session, self.desk.actor, now=self.desk.clock.now())
        self.held = False

    @rule(pick=_PICK)
    @precondition(lambda self: self.jobs)
    def run_out_of_time(self, pick: int) -> None:
        if pick % 4 == 0:
            with self.desk.database.transaction() as session:
                stages.stop(session, self.jobs[pick % len(self.jobs)], StopReason.DEADLINE, self.desk.clock.now())

    @rule()
    def let_pauses_between_waves_end(self) -> None:
        with self.desk.database.transaction() as session:
            session.execute(update(Job).values(hold_ms=None))

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
                elif run.state == "skipped":
                    assert run.reason in {"threshold", "canary", "job_timeout"}

    @invariant()
    def concurrency_is_kept(self) -> None:
        for job_id in self.jobs:
            job = self.desk.job(job_id)
            assert job.n_queued + job.n_c + job.n_r <= RunOptions.from_json(job.options).concurrency

    @invariant()
    def no_wave_starts_before_its_turn(self) -> None:
        for job_id in self.jobs:
            job = self.desk.job(job_id)
            for run in self.desk.runs(job_id):
                if job.plan is not None and run.wave > job.wave:
                    assert run.state in {"pending", "cancelled", "skipped"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_protocol_keeps_its_promises(tmp_path: Path) -> None:
    Protocol.migrated = tmp_path / "migrated.db"
    upgrade(f"sqlite:///{Protocol.migrated}")
    chosen = settings(
        max_examples=15,
        stateful_step_count=30,
        deadline=None,
        # A failure is told as it was found: to make it small would take minutes.
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Protocol, settings=chosen)
