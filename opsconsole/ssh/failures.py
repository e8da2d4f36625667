"""From what went wrong on the way to a reason and one safe sentence; nothing a server sent is repeated in it."""

from paramiko.ssh_exception import IncompatiblePeer

from opsconsole.jobs.ports import Auth, Profile, Target, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.keys import Proof, Proofs
from opsconsole.ssh.prover import Prover
from opsconsole.ssh.sockets import hung_up
from opsconsole.ssh.transport import ClientTransport

_METHODS = ("publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "gssapi-keyex")
# RFC 4254, 5.1.
_OPEN_REFUSALS = {1: "administratively prohibited", 2: "connect failed", 3: "unknown type", 4: "resource shortage"}
_OLD_DEVICE = "A device that is old may be reached with the profile legacy, set for the host or its group."
_TOO_OLD = "It is older than the profile legacy reaches: no 1024-bit groups, no DSA keys, no RC4, no MD5."
_INCOMPATIBLE = {
    "kex": "key exchange",
    "host key": "host key type",
    "ciphers": "cipher",
    "macs": "message authentication code",
}


def no_negotiation(transport: ClientTransport, target: Target, deadline: Deadline) -> Unreached:
    """Returns why no encrypted connection came about, by the phase in which it ended."""
    timed_out = transport.is_active()
    if not transport.remote_version:
        if timed_out:
            detail = f"Port {target.port} takes connections but sent no SSH greeting within {deadline.seconds:g} s."
            return Unreached(Reason.BANNER_TIMEOUT, detail, retryable=True)
        return _no_greeting(transport, target.port)
    if timed_out:
        detail = f"The key exchange was not finished within {deadline.seconds:g} s."
        return Unreached(Reason.CONNECT_TIMEOUT, detail, retryable=True)
    error = transport.get_exception()
    if isinstance(error, IncompatiblePeer):
        return Unreached(Reason.PROTOCOL, _incompatible(str(error), target.profile))
    if isinstance(error, EOFError | OSError) or error is None:
        detail = "The server closed the connection during the key exchange."
        return Unreached(Reason.PROTOCOL, detail, retryable=True)
    return Unreached(Reason.PROTOCOL, "The server broke the SSH protocol during the key exchange.")


def no_credential(auth: Auth, proofs: Proofs) -> Unreached:
    """Returns the answer when there is nothing to show to any server."""
    if auth.ambient:
        looked = "no key in the ssh-agent and no usable default key. Choose a credential, or give the worker a key"
    elif auth.agent and not proofs.passed_over:
        looked = "the worker has no ssh-agent, or it holds no key (SSH_AUTH_SOCK where the worker starts, ssh-add)"
    else:
        looked = "no usable key"
    return Unreached(Reason.CREDENTIAL, " ".join([f"{_named(auth)}: {looked}.", *proofs.passed_over]))


def auth_timeout(deadline: Deadline) -> Unreached:
    """Returns the answer when the server never said yes or no."""
    return Unreached(Reason.AUTH, f"The login was not answered within {deadline.seconds:g} s.")


def auth_dropped(auth: Auth, tried: int) -> Unreached:
    """Returns the answer when the server hung up during the login, as it does after too many attempts."""
    keys = f" after {tried} attempts" if tried > 1 else ""
    return Unreached(Reason.AUTH, f"{_named(auth)}: the connection ended during the login{keys}.")


def asked_for_more(auth: Auth, prover: Prover) -> Unreached:
    """Returns the answer when the server went on asking: nothing is answered twice, and no password is changed."""
    if prover.demands_change:
        detail = f"{_named(auth)} has expired: the server demands a new password, which has to be set on the host."
    else:
        detail = f"{_named(auth)}: the server asks for more than there are answers, or once again; each is given once."
    return Unreached(Reason.AUTH, detail)


def auth_refused(auth: Auth, tried: list[Proof], proofs: Proofs, prover: Prover) -> Unreached:
    """Returns the answer when nothing that was shown was accepted."""
    offers = ", ".join(method for method in _METHODS if method in prover.offered) or "nothing that is supported"
    if prover.partial:
        detail = f"{_named(auth)} was accepted, but the server asks for more: {offers}."
    elif not tried:
        detail = f"{_named(auth)}: no key could sign for this server."
    else:
        method = tried[-1].method
        count = f", {len(tried)} keys" if len(tried) > 1 else ""
        detail = f"{_named(auth)} was refused ({method}{count}). The server offers: {offers}."
    return Unreached(Reason.AUTH, " ".join([detail, *proofs.passed_over]))


def open_refused(code: int) -> str:
    """Returns the sentence for a server that opens no session, by RFC 4254's reason code."""
    return f"The server refused to open a session ({_OPEN_REFUSALS.get(code, 'no known reason')})."


def _no_greeting(transport: ClientTransport, port: int) -> Unreached:
    if transport.greeting.startswith(b"HTTP/"):
        return Unreached(Reason.PROTOCOL, f"The server on port {port} speaks HTTP, not SSH.")
    if transport.wire.received:
        return Unreached(Reason.PROTOCOL, f"The server on port {port} does not speak SSH.")
    return hung_up(port)


def _incompatible(text: str, profile: Profile) -> str:
    for clue, words in _INCOMPATIBLE.items():
        if clue in text:
            detail = f"The server and this console have no {words} in common."
            return f"{detail} {_OLD_DEVICE}" if profile is Profile.MODERN else f"{detail} {_TOO_OLD}"
    return "The server speaks an SSH version that is not supported."


def _named(auth: Auth) -> str:
    return auth.identity or "The login"
