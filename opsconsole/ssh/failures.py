"""From what went wrong on the way to a reason and one safe sentence; nothing a server sent is repeated in it."""

from paramiko.ssh_exception import IncompatiblePeer

from opsconsole.jobs.ports import Auth, Profile, Target, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence, joined
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.keys import Proof, Proofs
from opsconsole.ssh.prover import Prover
from opsconsole.ssh.sockets import hung_up
from opsconsole.ssh.transport import ClientTransport

_METHODS = ("publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "gssapi-keyex")
# RFC 4254, 5.1.
_OPEN_REFUSALS = {1: "administratively prohibited", 2: "connect failed", 3: "unknown type", 4: "resource shortage"}
_OLD_DEVICE = Sentence("A device that is old may be reached with the profile legacy, set for the host or its group.")
_TOO_OLD = Sentence("It is older than the profile legacy reaches: no 1024-bit groups, no DSA keys, no RC4, no MD5.")
_INCOMPATIBLE = {
    "kex": Sentence("key exchange"),
    "host key": Sentence("host key type"),
    "ciphers": Sentence("cipher"),
    "macs": Sentence("message authentication code"),
}


def no_negotiation(transport: ClientTransport, target: Target, deadline: Deadline) -> Unreached:
    """Returns why no encrypted connection came about, by the phase in which it ended."""
    timed_out = transport.is_active()
    if not transport.remote_version:
        if timed_out:
            detail = Sentence(
                "Port {port} takes connections but sent no SSH greeting within {seconds:g} s.",
                port=target.port,
                seconds=deadline.seconds,
            )
            return Unreached(Reason.BANNER_TIMEOUT, detail, retryable=True)
        return _no_greeting(transport, target.port)
    if timed_out:
        detail = Sentence("The key exchange was not finished within {seconds:g} s.", seconds=deadline.seconds)
        return Unreached(Reason.CONNECT_TIMEOUT, detail, retryable=True)
    error = transport.get_exception()
    if isinstance(error, IncompatiblePeer):
        return Unreached(Reason.PROTOCOL, _incompatible(str(error), target.profile))
    if isinstance(error, EOFError | OSError) or error is None:
        closed = "The server closed the connection during the key exchange."
        return Unreached(Reason.PROTOCOL, closed, retryable=True)
    return Unreached(Reason.PROTOCOL, "The server broke the SSH protocol during the key exchange.")


def no_credential(auth: Auth, proofs: Proofs) -> Unreached:
    """Returns the answer when there is nothing to show to any server."""
    login = _named(auth)
    if auth.ambient:
        detail = Sentence(
            "{login}: no key in the ssh-agent and no usable default key. Choose a credential, or give the "
            "worker a key.",
            login=login,
        )
    elif auth.agent and not proofs.passed_over:
        detail = Sentence(
            "{login}: the worker has no ssh-agent, or it holds no key (SSH_AUTH_SOCK where the worker starts, "
            "ssh-add).",
            login=login,
        )
    else:
        detail = Sentence("{login}: no usable key.", login=login)
    return Unreached(Reason.CREDENTIAL, joined(" ", [detail, *proofs.passed_over]))


def auth_timeout(deadline: Deadline) -> Unreached:
    """Returns the answer when the server never said yes or no."""
    return Unreached(
        Reason.AUTH, Sentence("The login was not answered within {seconds:g} s.", seconds=deadline.seconds)
    )


def auth_dropped(auth: Auth, tried: int) -> Unreached:
    """Returns the answer when the server hung up during the login, as it does after too many attempts."""
    login = _named(auth)
    if tried > 1:
        detail = Sentence(
            "{login}: the connection ended during the login after {count} attempts.", login=login, count=tried
        )
    else:
        detail = Sentence("{login}: the connection ended during the login.", login=login)
    return Unreached(Reason.AUTH, detail)


def asked_for_more(auth: Auth, prover: Prover) -> Unreached:
    """Returns the answer when the server went on asking: nothing is answered twice, and no password is changed."""
    if prover.demands_change:
        detail = Sentence(
            "{login} has expired: the server demands a new password, which has to be set on the host.",
            login=_named(auth),
        )
    else:
        detail = Sentence(
            "{login}: the server asks for more than there are answers, or once again; each is given once.",
            login=_named(auth),
        )
    return Unreached(Reason.AUTH, detail)


def auth_refused(auth: Auth, tried: list[Proof], proofs: Proofs, prover: Prover) -> Unreached:
    """Returns the answer when nothing that was shown was accepted."""
    login = _named(auth)
    if prover.partial:
        found = [
            Sentence(
                "{login} was accepted, but the server asks for more: {offers}.", login=login, offers=_offers(prover)
            )
        ]
    elif not tried:
        found = [Sentence("{login}: no key could sign for this server.", login=login)]
    else:
        method, count = tried[-1].method, len(tried)
        refused = Sentence("{login} was refused ({method}).", login=login, method=method)
        if count > 1:
            refused = Sentence("{login} was refused ({method}, {count} keys).", login=login, method=method, count=count)
        found = [refused, Sentence("The server offers: {offers}.", offers=_offers(prover))]
    return Unreached(Reason.AUTH, joined(" ", [*found, *proofs.passed_over]))


def open_refused(code: int) -> str:
    """Returns the sentence for a server that opens no session, by RFC 4254's reason code."""
    why = _OPEN_REFUSALS.get(code, "no known reason")
    return Sentence("The server refused to open a session ({why}).", why=why)


def _no_greeting(transport: ClientTransport, port: int) -> Unreached:
    if transport.greeting.startswith(b"HTTP/"):
        return Unreached(Reason.PROTOCOL, Sentence("The server on port {port} speaks HTTP, not SSH.", port=port))
    if transport.wire.received:
        return Unreached(Reason.PROTOCOL, Sentence("The server on port {port} does not speak SSH.", port=port))
    return hung_up(port)


def _incompatible(text: str, profile: Profile) -> str:
    for clue, words in _INCOMPATIBLE.items():
        if clue in text:
            nothing = Sentence("The server and this console have no {words} in common.", words=words)
            return joined(" ", [nothing, _OLD_DEVICE if profile is Profile.MODERN else _TOO_OLD])
    return "The server speaks an SSH version that is not supported."


def _offers(prover: Prover) -> str:
    known = [method for method in _METHODS if method in prover.offered]
    return ", ".join(known) if known else Sentence("nothing that is supported")


def _named(auth: Auth) -> str:
    return auth.identity or Sentence("The login")
