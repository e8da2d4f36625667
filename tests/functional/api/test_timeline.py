"""What happened to a job as a whole: people's acts from the audit, the console's decisions, in their order."""

from collections.abc import Callable

from opsconsole.accounts.permissions import Role
from opsconsole.db.database import Database
from opsconsole.jobs import stages, transitions
from opsconsole.jobs.states import Reason, RunState, StopReason
from tests.functional.api.callers import Browser, Program
from tests.functional.api.play import Play
from tests.support.clock import FakeClock


def events(caller: Program, job: int) -> list[tuple[str, str]]:
    """Kind and text of each event."""
    answer = caller.get(f"jobs/{job}/timeline")
    assert answer.json["left_out"] == 0
    return [(event["kind"], event["text"]) for event in answer.json["events"]]


def test_everything_that_steered_a_job_is_told_in_its_order(
    operator: Program,
    program: Callable[..., Program],
    browser: Callable[..., Browser],
    play: Callable[[int], Play],
    database: Database,
    clock: FakeClock,
) -> None:
    admin, name = program(Role.ADMIN), operator.user.name
    job = operator.launch("web[1-6]", canary="1", canary_gate="manual", waves="2", wave_pause=30)
    workers = play(job)

    def later() -> None:
        clock.advance(1)

    def advance() -> None:
        later()
        with database.transaction() as session:
            transitions.lock_job(session, job)
            stages.advance(session, job, clock.now())
        later()

    later()
    workers.start(0)
    workers.end(0)
    advance()
    operator.post(f"jobs/{job}/continue", {"wave": 0})
    later()
    operator.post(f"jobs/{job}/pause", {"hosts": ["web5", "web6"]})
    later()
    operator.post(f"jobs/{job}/resume", {"held": True})
    later()
    admin.post("hold", {"cancel": False, "reason": "the wrong disk"})
    later()
    assert admin.delete("hold").status_code == 200
    later()
    workers.start(1, 2)
    workers.end(1)
    workers.end(2, state=RunState.CANCELLED, reason=Reason.WORKER_SHUTDOWN.value, worker="one")
    advance()
    operator.post(f"jobs/{job}/pause", {})
    operator.post(f"jobs/{job}/pause", {})
    later()
    operator.post(f"jobs/{job}/resume", {})
    later()
    with database.transaction() as session:
        stages.stop(session, job, StopReason.THRESHOLD, clock.now())
    boss = admin.user.name
    assert events(operator, job) == [
        ("launched", f"Launched by {name}."),
        ("started", "Started with the canary (1 host)."),
        ("waits", "Waits for a person after the canary (1 host)."),
        ("continued", f"{name} let the job continue after the canary (1 host)."),
        ("paused", f"{name} held back web[5-6]."),
        ("resumed", f"{name} resumed all hosts that were held back."),
        ("held", f"The whole console was stopped by {boss}: the wrong disk"),
        ("lifted", f"The stop of the console was lifted by {boss}."),
        ("shutdown", "The worker one was told to stop and ended the command on 1 host."),
        ("wave", "Next is wave 2 (2 hosts) after a pause of 30 s."),
        ("paused", f"{name} paused the job."),
        ("resumed", f"{name} resumed the job."),
        ("stopped", "Stopped: too many hosts failed before."),
        ("ended", "Ended: failed."),
    ]
    page = browser(Role.ADMIN).client.get(f"/jobs/{job}?view=details").text
    assert page.index("let the job continue") < page.index("Stopped: too many hosts failed before.")


def test_other_jobs_of_an_emergency_stop_are_not_told(operator: Program, program: Callable[..., Program]) -> None:
    job, other = operator.launch(), program().launch()
    operator.post("hold", {"reason": "drill"})
    told = operator.get(f"jobs/{job}/timeline").json["events"]
    assert {event["kind"] for event in told} == {"launched", "cancelled", "held", "ended"}
    assert str(other) not in str([event["detail"] for event in told])
    assert operator.get(f"jobs/{other}/timeline").status_code == 404
