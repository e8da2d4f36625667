"""What a test of a connection looks at, step by step, and what it found. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from opsconsole.jobs.ports import Auth, Become, KnownKey, Limits, Target
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence, joined


class Stage(StrEnum):
    """The steps from a name to a command that could run, in the order they are taken."""

    NAME = "name"
    NETWORK = "network"
    JUMP = "jump"
    TCP = "tcp"
    KEY_EXCHANGE = "key_exchange"
    HOST_KEY = "host_key"
    LOGIN = "login"
    SHELL = "shell"
    RUN_AS = "run_as"


class Verdict(StrEnum):
    """What became of a step. ``warned``: it works, and somebody should look at it all the same."""

    OK = "ok"
    WARNED = "warned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One step that was taken: how long it took, and one safe sentence of what was seen or what to do.

    ``reason`` is why a connection did not come about, as a run would tell it.
    ``offered`` is the address and the port of the server at fault and the host key that it showed, which awaits a
    person's decision.
    """

    stage: Stage
    verdict: Verdict
    ms: int
    detail: str
    offered: tuple[str, int, KnownKey] | None = None
    reason: Reason | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns what a person is told of it."""
        return {"stage": self.stage.value, "verdict": self.verdict.value, "ms": self.ms, "detail": self.detail}


class Prober(Protocol):
    """Tests connections."""

    def probe(self, target: Target, auth: Auth, limits: Limits, become: Become | None = None) -> list[Finding]:
        """Returns what was found on the way to ``target``, in the order of the steps; the last one may have failed, and
        the steps after it were not taken.

        It goes the way that a run would take, over a connection of its own, and runs nothing but a look at who and what
        answers, also as another account when there is one. It trusts nothing. Each part of the way gets
        ``limits.connect`` seconds. Never raises for a remote failure.
        """


# At which step a connection that did not come about has ended.
_STAGES = {
    Reason.DNS: Stage.NAME,
    Reason.DENIED_NETWORK: Stage.NETWORK,
    Reason.JUMP: Stage.JUMP,
    Reason.CONNECT_TIMEOUT: Stage.TCP,
    Reason.REFUSED: Stage.TCP,
    Reason.PROTOCOL: Stage.KEY_EXCHANGE,
    Reason.HOST_KEY_UNKNOWN: Stage.HOST_KEY,
    Reason.HOST_KEY_CHANGED: Stage.HOST_KEY,
    Reason.CREDENTIAL: Stage.LOGIN,
    Reason.AUTH: Stage.LOGIN,
}
# What a person does about it, where the sentence of the failure does not say so itself.
_WAYS_OUT = {
    Reason.DNS: Sentence(
        "Give the host an address in the inventory, or mend the name service of the workers' machines."
    ),
    Reason.DENIED_NETWORK: Sentence("The setting allowed_networks decides what may be dialled."),
    Reason.CONNECT_TIMEOUT: Sentence("Is the host up, and does a firewall let the workers through?"),
    Reason.REFUSED: Sentence("Is sshd running there, and on this port?"),
    Reason.HOST_KEY_UNKNOWN: Sentence("Compare its fingerprint and trust it on the page Host keys."),
    Reason.HOST_KEY_CHANGED: Sentence(
        "An administrator decides on the page Host keys; until then nothing connects to it."
    ),
    Reason.AUTH: Sentence("Is the public key in the account's authorized_keys, and does the account exist?"),
}


def stage_of(reason: Reason) -> Stage:
    """Returns the step at which a connection ended that did not come about for ``reason``."""
    return _STAGES.get(reason, Stage.TCP)


def advised(reason: Reason, detail: str) -> str:
    """Returns ``detail`` with what to do about it."""
    return joined(" ", [detail, _WAYS_OUT[reason]]) if reason in _WAYS_OUT else detail
