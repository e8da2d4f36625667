"""Why a jump host brought us no further, each as one safe sentence."""

from dataclasses import replace

from opsconsole.jobs.ports import Hop, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence
from opsconsole.ssh.deadline import Deadline

# RFC 4254, 5.1.
_PROHIBITED, _CONNECT_FAILED = 1, 2


def unanswered(hop: Hop, address: str, port: int, seconds: float) -> Unreached:
    """Returns the answer when nobody behind ``hop`` took the connection within ``seconds``."""
    detail = Sentence(
        "{address} port {port} did not answer the jump host {host} within {whole:g} s.",
        address=address,
        port=port,
        host=hop.host,
        whole=seconds,
    )
    return Unreached(Reason.CONNECT_TIMEOUT, detail, retryable=True)


def refused(hop: Hop, address: str, port: int, code: int) -> Unreached:
    """Returns the answer when ``hop`` refused to open the connection, by RFC 4254's reason ``code``."""
    if code == _CONNECT_FAILED:
        detail = Sentence(
            "{address} port {port} could not be reached from the jump host {host}.",
            address=address,
            port=port,
            host=hop.host,
        )
        return Unreached(Reason.REFUSED, detail, retryable=True)
    if code == _PROHIBITED:
        detail = Sentence(
            "Jump host {host} lets no connection to {address} port {port} through: its AllowTcpForwarding or "
            "PermitOpen forbids it.",
            host=hop.host,
            address=address,
            port=port,
        )
        return Unreached(Reason.JUMP, detail, hop=hop)
    detail = Sentence(
        "Jump host {host} opened no connection to {address} port {port}: it has too many, or none to give.",
        host=hop.host,
        address=address,
        port=port,
    )
    return Unreached(Reason.JUMP, detail, retryable=True, hop=hop)


def cut(hop: Hop) -> Unreached:
    """Returns the answer when the connection to ``hop`` ended."""
    detail = Sentence("Jump host {host}: the connection to it ended.", host=hop.host)
    return Unreached(Reason.JUMP, detail, retryable=True, hop=hop)


def late(hop: Hop, deadline: Deadline) -> Unreached:
    """Returns the answer when the time for the login to ``hop`` was over."""
    detail = Sentence(
        "Jump host {host}: the login to it was not finished within {seconds:g} s.",
        host=hop.host,
        seconds=deadline.seconds,
    )
    return Unreached(Reason.JUMP, detail, retryable=True, hop=hop)


def failed(hop: Hop, cause: Unreached) -> Unreached:
    """Returns the answer for a jump host that could not be reached; of several the one that failed is named."""
    if cause.reason is Reason.JUMP:
        return cause
    detail = Sentence("Jump host {host}: {what}", host=hop.host, what=cause.detail)
    return replace(cause, reason=Reason.JUMP, detail=detail, hop=hop)
