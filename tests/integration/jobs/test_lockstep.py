"""The barrier between the steps of a wave, on both databases: hosts that pass in one moment open it once."""

from concurrent.futures import ThreadPoolExecutor

from opsconsole.db.database import Database
from opsconsole.jobs import queries
from opsconsole.jobs.claims import Claim
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.states import RunState
from opsconsole.settings import Settings
from tests.support.clock import FakeClock
from tests.support.desk import Hand, key_file, open_desk

_HOSTS = 6


def _pass(hand: Hand, claim: Claim) -> bool:
    following = claim.start.next_step
    state = RunState.SUCCEEDED if following is None else RunState.PENDING
    return hand.finish(claim, Outcome(state, exit_status=0, duration_ms=5, next_step=following), b"said\n")


def test_hosts_that_pass_in_one_moment_open_the_barrier_once(
    settings: Settings, either_database: Database, clock: FakeClock
) -> None:
    order = {"command": "echo a", "check": "echo c", "verify": "echo v", "step_barrier": "wave"}
    with open_desk(key_file(settings), either_database, clock) as desk, ThreadPoolExecutor(_HOSTS) as pool:
        hands = [desk.hand(f"w{n}") for n in range(_HOSTS)]
        job = desk.order(f"web[1-{_HOSTS}]", concurrency=_HOSTS, credential="key:test", **order)
        for step in ("check", "act", "verify"):
            messages = [*desk.post.collect(), *desk.sweep()]
            claims = [hand.start(*message) for hand, message in zip(hands, messages, strict=True)]
            assert {claim.start.steps[0].value for claim in claims} == {step}
            assert list(pool.map(_pass, hands, claims)) == [True] * _HOSTS
        assert desk.letters(job) == "o" * _HOSTS
        with desk.database.read() as session:
            told = [event["text"] for event in queries.timeline(session, desk.job(job))["events"]]
    assert [text for text in told if text.startswith("Next is the")] == ["Next is the act.", "Next is the verify."]
