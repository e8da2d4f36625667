"""Targets named by what earlier jobs did: who is named, and whose jobs are asked."""

from collections.abc import Sequence

import pytest

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.errors import Invalid
from opsconsole.hostset import evaluate
from opsconsole.jobs import targets as targets_module
from opsconsole.jobs.ledger import Outcome
from opsconsole.jobs.states import Reason, RunState
from opsconsole.jobs.targets import TargetResolver
from tests.support.desk import SUCCEEDED, Desk, Hand

FAILED = Outcome(RunState.FAILED, Reason.EXIT_STATUS, exit_status=1)
DNS = Outcome(RunState.UNREACHABLE, Reason.DNS, "No such name.")


def play(desk: Desk, hand: Hand, said: Sequence[bytes | None], targets: str, *, by: Actor | None = None) -> int:
    """Returns a job on ``targets`` whose hosts said so; ``None`` was never reached, what begins with x failed."""
    job_id = desk.order(targets, credential="key:test", by=by)
    for message, words in zip(desk.sweep(), said, strict=True):
        claim = hand.take(*message)
        assert claim is not None
        if words is None:
            hand.finish(claim, DNS)
        else:
            assert hand.gate(claim)
            hand.finish(claim, FAILED if words.startswith(b"x") else SUCCEEDED, output=words)
    return job_id


def hosts(desk: Desk, text: str, by: Actor | None = None) -> str:
    with desk.database.read() as session:
        return " ".join(evaluate(text, groups=TargetResolver(session, by or desk.actor)).labels)


def refused(desk: Desk, text: str, by: Actor | None = None) -> str:
    with pytest.raises(Invalid) as caught:
        hosts(desk, text, by)
    return caught.value.errors[0].code


def test_hosts_by_what_they_wrote(desk: Desk, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [b"version 2.1\nok\n", b"version 2.1\nok\n", b"x version 1.9\n", None, b""]
    job = play(desk, hand, said, "web[1-5]")
    assert hosts(desk, f"matched(/^version 2[.]/):#{job}") == "web1 web2"
    assert hosts(desk, f"matched(/version/):#{job}") == "web1 web2 web3"
    assert hosts(desk, f"web[1-5] ! matched(/version/):#{job}") == "web4 web5"
    assert hosts(desk, f"same(web2):#{job}") == "web1 web2"
    assert hosts(desk, f"same(web4):#{job} same(WEB5):#{job}") == "web4 web5"
    assert refused(desk, f"same(web9):#{job}") == "unknown_host"
    # Equal outputs count once: 15 and 14 bytes and none.
    monkeypatch.setattr(targets_module, "_SEARCHED_BYTES", 28)
    assert refused(desk, f"matched(/x/):#{job}") == "too_much_output"
    monkeypatch.setattr(targets_module, "_SEARCHED_BYTES", 29)
    assert hosts(desk, f"matched(/x/):#{job}") == "web3"


def test_the_last_job_on_the_same_targets(desk: Desk, hand: Hand) -> None:
    assert refused(desk, "last:web[1-2]") == "unknown_job"
    play(desk, hand, [b"", b""], "web[1-2]")
    play(desk, hand, [b"x", b""], " web[1-2]\n")
    play(desk, hand, [b""], "web1")
    going_on = desk.order("web[1-2]", credential="key:test")
    assert hosts(desk, "last:web[1-2]") == "web1 web2"
    assert hosts(desk, "failed:last:web[1-2]") == "web1"
    assert refused(desk, "last:WEB[1-2]") == "unknown_job"
    desk.cancel(going_on)
    assert hosts(desk, "state(cancelled):last:web[1-2]") == "web1 web2"


def test_jobs_of_others_are_not_known(desk: Desk, hand: Hand) -> None:
    job = play(desk, hand, [b"secret"], "web1")
    stranger = desk.person(Role.OPERATOR)
    for text in (f"matched(/secret/):#{job}", f"same(web1):#{job}", "last:web1", f"failed:#{job}"):
        assert refused(desk, text, by=stranger) == "unknown_job", text
