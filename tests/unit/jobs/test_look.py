"""A question about a host whose command may still be there, from the person who asks to the answer on the row."""

import threading

import pytest

from opsconsole.accounts.permissions import Role
from opsconsole.credentials.cipher import Cipher
from opsconsole.errors import Forbidden, Invalid
from opsconsole.jobs import look
from opsconsole.jobs.claims import ClaimReader
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.look import Looker
from opsconsole.jobs.models import Job
from opsconsole.jobs.ports import LeftProcess, Secret, Sight, Unreached
from opsconsole.jobs.states import Reason, RunState
from tests.support.desk import Desk, Hand
from tests.support.fake_ssh import FakeConnector, FakeSession, session

LOST = Outcome(RunState.LOST, Reason.CONNECTION_LOST, "The connection ended.")
DOUBTFUL = Outcome(RunState.CANCELLED, Reason.KILL_UNCONFIRMED, "Cancelled.")
ALIVE = Sight(2, (LeftProcess(71, 7300, "sleep 600"), LeftProcess(72, 5, "sh -c x")))


@pytest.fixture
def job(desk: Desk, hand: Hand) -> Job:
    """A job on four hosts that ended: lost, cancelled without proof, succeeded, never reached."""
    job_id = desk.order("web[1-4]", credential="key:test", command_timeout=30)
    first, second, third, fourth = (run_id for run_id, _ in desk.sweep())
    hand.finish(hand.start(first), LOST)
    hand.finish(hand.start(second), DOUBTFUL)
    hand.finish(hand.start(third))
    claim = hand.take(fourth)
    assert claim is not None
    hand.finish(claim, Outcome(RunState.UNREACHABLE, Reason.REFUSED, "Nothing listens."))
    return desk.job(job_id)


def ask(desk: Desk, job: Job, hosts: list[str] | None = None, *, kill: bool = False, role: Role = Role.OPERATOR) -> int:
    """Asks, and returns the job's version afterwards."""
    with desk.database.transaction() as session:
        actor, now = desk.person(role) if role is not Role.ADMIN else desk.actor, desk.clock.now()
        return look.ask(session, session.get_one(Job, job.id), actor, now=now, hosts=hosts, kill=kill).ver


def due(desk: Desk) -> list[int]:
    with desk.database.transaction() as session:
        return look.due(session, desk.clock.now())


def looker(desk: Desk, connector: FakeConnector) -> Looker:
    cipher = Cipher(desk.settings.secret())
    reader = ClaimReader(
        desk.settings, cipher, worker_id=lambda: "w1", worker_name="here:w1:1", home=desk.settings.data_dir
    )
    return Looker(desk.database, reader, connector, now=desk.clock.now, offload=lambda call: call())


def looks(desk: Desk, job: Job) -> list[str | None]:
    return [run.look for run in desk.runs(job.id)]


def remote_with(sight: Sight) -> FakeSession:
    remote = session()
    remote.sight = sight
    return remote


def test_without_hosts_those_whose_end_is_unknown_are_asked_about(desk: Desk, job: Job) -> None:
    version = ask(desk, job, role=Role.ADMIN)
    assert looks(desk, job) == ["asked", "asked", None, None]
    assert version > job.ver
    assert [run.ver for run in desk.runs(job.id)][:2] == [version, version]
    assert due(desk) == [run.id for run in desk.runs(job.id)][:2]


def test_a_question_is_sent_again_only_when_nobody_answered_for_long(desk: Desk, job: Job) -> None:
    ask(desk, job, role=Role.ADMIN)
    assert len(due(desk)) == 2
    assert due(desk) == []
    desk.clock.advance(seconds=59)
    assert due(desk) == []
    desk.clock.advance(seconds=2)
    assert len(due(desk)) == 2


def test_asking_twice_changes_nothing_and_asking_to_end_does(desk: Desk, job: Job) -> None:
    ask(desk, job, role=Role.ADMIN)
    due(desk)
    before = desk.runs(job.id)[0].ver
    ask(desk, job, role=Role.ADMIN)
    assert desk.runs(job.id)[0].ver == before
    assert due(desk) == []
    ask(desk, job, ["web1"], kill=True, role=Role.ADMIN)
    assert [run.look_kill for run in desk.runs(job.id)][:2] == [True, False]
    assert due(desk) == [desk.runs(job.id)[0].id]


@pytest.mark.parametrize(
    ("sight", "found", "detail"),
    [
        (Sight(), "gone", "Nothing of the command is alive on the host."),
        (ALIVE, "running", "2 processes of it are alive on the host: 71 sleep 600, 72 sh -c x. It began 2 h ago."),
        (Sight(problem="No /proc."), "unknown", "No /proc."),
    ],
)
def test_the_answer_is_on_the_row_and_its_state_stays(
    desk: Desk, job: Job, sight: Sight, found: str, detail: str
) -> None:
    remote = remote_with(sight)
    ask(desk, job, ["web1"], role=Role.ADMIN)
    (run_id,) = due(desk)
    before = desk.run(run_id)
    looker(desk, FakeConnector(remote)).look(run_id)
    run = desk.run(run_id)
    assert (run.look, run.look_detail, run.look_kill) == (found, detail, False)
    assert run.looked_at == desk.clock.now()
    assert (run.state, run.reason, run.fence, run.attempt) == ("lost", "connection_lost", before.fence, before.attempt)
    assert run.ver > before.ver
    assert remote.searched == [(run.mark, None)]
    assert remote.started == []
    assert remote.closed == [sight.problem is None]
    assert desk.letters(job.id) == "lxou"
    assert due(desk) == []


def test_to_end_it_is_an_order_with_the_jobs_grace(desk: Desk, job: Job) -> None:
    remote = remote_with(Sight(ended=3))
    ask(desk, job, ["web2"], kill=True, role=Role.ADMIN)
    (run_id,) = due(desk)
    looker(desk, FakeConnector(remote)).look(run_id)
    run = desk.run(run_id)
    assert remote.searched == [(run.mark, 5.0)]
    assert (run.look, run.look_detail) == (
        "gone",
        "3 processes of it were ended. Nothing of the command is alive on the host.",
    )
    assert (run.state, run.reason) == ("cancelled", "kill_unconfirmed")


def test_a_host_that_cannot_be_reached_is_unknown(desk: Desk, job: Job) -> None:
    ask(desk, job, ["web1"], role=Role.ADMIN)
    (run_id,) = due(desk)
    looker(desk, FakeConnector(Unreached(Reason.REFUSED, "Nothing listens there."))).look(run_id)
    assert (desk.run(run_id).look, desk.run(run_id).look_detail) == ("unknown", "Nothing listens there.")


def test_a_password_that_is_gone_is_the_answer(desk: Desk, hand: Hand) -> None:

    job_id = desk.order("web1", credential="password", password=Secret("hunter2"))
    ((run_id, _),) = desk.sweep()
    hand.finish(hand.start(run_id), LOST)
    ask(desk, desk.job(job_id), role=Role.ADMIN)
    connector = FakeConnector(session())
    looker(desk, connector).look(*due(desk))
    assert desk.run(run_id).look == "unknown"
    assert "no longer stored" in (desk.run(run_id).look_detail or "")
    assert connector.connects == []


def test_messages_that_nobody_asked_for_connect_to_nothing(desk: Desk, job: Job) -> None:
    connector = FakeConnector(remote_with(Sight()))
    made = looker(desk, connector)
    for run in desk.runs(job.id):
        made.look(run.id)
    made.look(2**40)
    ask(desk, job, ["web1"], role=Role.ADMIN)
    made.look(desk.runs(job.id)[0].id)
    made.look(desk.runs(job.id)[0].id)
    assert len(connector.connects) == 1


def test_an_order_to_end_that_comes_during_a_look_is_not_lost(desk: Desk, job: Job) -> None:
    connector = FakeConnector(remote_with(ALIVE))
    made = looker(desk, connector)
    ask(desk, job, ["web1"], role=Role.ADMIN)
    (run_id,) = due(desk)
    connector.before = lambda: ask(desk, job, ["web1"], kill=True, role=Role.ADMIN)  # type: ignore[method-assign,assignment,return-value]
    made.look(run_id)
    assert (desk.run(run_id).look, desk.run(run_id).look_kill) == ("asked", True)
    assert due(desk) == [run_id]


def test_a_draining_looker_takes_no_question_and_waits_for_its_last(desk: Desk, job: Job) -> None:
    entered, go_on = threading.Event(), threading.Event()
    connector = FakeConnector(remote_with(Sight()))
    connector.before = lambda: (entered.set(), go_on.wait(30))  # type: ignore[method-assign,assignment,return-value]
    made = looker(desk, connector)
    ask(desk, job, role=Role.ADMIN)
    first, second = due(desk)
    thread = threading.Thread(target=made.look, args=(first,))
    thread.start()
    assert entered.wait(30)
    made.draining.set()
    made.look(second)
    waits = threading.Thread(target=made.await_idle)
    waits.start()
    waits.join(0.2)
    assert waits.is_alive()
    go_on.set()
    thread.join(30)
    waits.join(30)
    assert looks(desk, job)[:2] == ["gone", "asked"]


def test_who_may_ask_and_about_what(desk: Desk, job: Job) -> None:
    with pytest.raises(Forbidden):
        ask(desk, job, role=Role.VIEWER)
    for hosts in (["web4"], ["web1", "web4"], ["nowhere"]):
        with pytest.raises(Invalid):
            ask(desk, job, hosts, role=Role.ADMIN)
    assert looks(desk, job) == [None] * 4
    ask(desk, job, ["web3"], role=Role.ADMIN)
    assert looks(desk, job) == [None, None, "asked", None]


def test_what_still_runs_is_not_asked_about(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web1", credential="key:test")
    ((run_id, _),) = desk.sweep()
    hand.start(run_id)
    with pytest.raises(Invalid, match="has not ended yet"):
        ask(desk, desk.job(job_id), ["web1"], role=Role.ADMIN)
    ask(desk, desk.job(job_id), role=Role.ADMIN)
    assert desk.run(run_id).look is None


def test_few_questions_are_with_the_workers_at_once(desk: Desk, hand: Hand) -> None:
    job_id = desk.order("web[1-120]", credential="key:test", concurrency=200, confirm="120")
    for run_id, _ in desk.sweep():
        hand.finish(hand.start(run_id), LOST)
    ask(desk, desk.job(job_id), role=Role.ADMIN)
    assert len(due(desk)) == 50
    assert due(desk) == []
    made = looker(desk, FakeConnector(remote_with(Sight())))
    for run in desk.runs(job_id)[:10]:
        made.look(run.id)
    assert len(due(desk)) == 10
