"""From a connected socket to a login: key exchange, host key, authentication, each within the one deadline."""

import threading
from collections.abc import Callable

from paramiko.ssh_exception import SSHException

from opsconsole.jobs.ports import Auth, KnownKey, Profile, Target, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.ssh import failures, hostkeys
from opsconsole.ssh.certificates import is_certificate
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.keys import Proof, Proofs
from opsconsole.ssh.legacy import LegacyTransport
from opsconsole.ssh.prover import Prover
from opsconsole.ssh.transport import ClientTransport
from opsconsole.ssh.wire import Line, Wire


def enter(
    line: Line,
    tick_seconds: float,
    target: Target,
    auth: Auth,
    proofs: Proofs,
    deadline: Deadline,
    *,
    again: Callable[[], Line | Unreached],
) -> tuple[ClientTransport, KnownKey] | Unreached:
    """Returns a logged-in connection over ``line`` and the server's verified host key, or why there is none; then
    ``line`` is closed. ``tick_seconds`` is ``Wire``'s.

    Certificates are asked for first where an authority may vouch for the host. A server may have one of somebody else's
    and the trusted key besides: before that is called a changed key it is asked over another line, which ``again``
    opens, for its plain keys.
    """
    first, shown = _enter(line, tick_seconds, target, auth, proofs, deadline, certified=bool(target.authorities))
    if not isinstance(first, Unreached):
        return first
    hidden = shown is not None and is_certificate(shown) and bool(target.known_keys)
    if not hidden or first.reason not in {Reason.HOST_KEY_CHANGED, Reason.HOST_CERTIFICATE}:
        return first
    line_anew = again()
    if isinstance(line_anew, Unreached):
        return line_anew
    second, _ = _enter(line_anew, tick_seconds, target, auth, proofs, deadline, certified=False)
    # Whom an authority did vouch for once is no impostor, whatever its plain key is.
    vouched = first.reason is Reason.HOST_CERTIFICATE
    return first if vouched and isinstance(second, Unreached) else second


def _enter(
    line: Line, tick_seconds: float, target: Target, auth: Auth, proofs: Proofs, deadline: Deadline, *, certified: bool
) -> tuple[tuple[ClientTransport, KnownKey] | Unreached, KnownKey | None]:
    """Returns what ``enter`` does, and what the server showed."""
    transport = transport_on(line, tick_seconds, target, certified=certified)
    try:
        host_key = handshake(transport, target, auth, proofs, deadline)
    except BaseException:
        transport.abort()
        raise
    if isinstance(host_key, Unreached):
        shown = transport.shown_key
        transport.abort()
        return host_key, shown
    return (transport, host_key), host_key


def transport_on(line: Line, tick_seconds: float, target: Target, *, certified: bool) -> ClientTransport:
    """Returns a connection over ``line`` that has not begun, of the kind that the target's profile asks for;
    ``certified`` is ``ClientTransport``'s."""
    kind = LegacyTransport if target.profile is Profile.LEGACY else ClientTransport
    known = [key.algorithm for key in target.known_keys]
    return kind(Wire(line, tick_seconds), known, certified=certified)


def handshake(
    transport: ClientTransport, target: Target, auth: Auth, proofs: Proofs, deadline: Deadline
) -> KnownKey | Unreached:
    """Returns the server's verified host key or certificate once we are logged in, or why we are not.

    The host key is checked before anything secret is sent. The caller ends the transport when this fails.
    """
    shown = exchange_keys(transport, target, deadline)
    if isinstance(shown, Unreached):
        return shown
    return hostkeys.check(target, shown) or log_in(transport, target, auth, proofs, deadline, []) or shown


def exchange_keys(transport: ClientTransport, target: Target, deadline: Deadline) -> KnownKey | Unreached:
    """Returns the key or certificate that the server proved to hold, which nobody has judged yet, or why there is
    none."""
    transport.negotiate()
    shown = transport.shown_key if transport.ready.wait(deadline.left) and transport.is_active() else None
    return shown or failures.no_negotiation(transport, target, deadline)


def log_in(
    transport: ClientTransport, target: Target, auth: Auth, proofs: Proofs, deadline: Deadline, tried: list[Proof]
) -> Unreached | None:
    """Returns why we are not logged in, or ``None`` when we are; the last of what is added to ``tried`` was it then.

    Call only once the host key was checked.
    """
    prover = Prover(transport)
    transport.auth_handler = prover
    try:
        prover.ask_for_service()
        if not prover.service.wait(deadline.left):
            return failures.auth_timeout(deadline)
        for proof in proofs.proofs:
            problem = _show(prover, target.user, proof, deadline, tried)
            if problem is not None or prover.is_authenticated():
                return problem
            if prover.demands_change or prover.asked_more:
                return failures.asked_for_more(auth, prover)
            if not transport.is_active():
                return failures.auth_dropped(auth, len(tried))
            if prover.partial or (tried and proof.method not in prover.offered):
                break
    except (EOFError, OSError):
        return failures.auth_dropped(auth, len(tried))
    return failures.auth_refused(auth, tried, proofs, prover)


def _show(prover: Prover, user: str, proof: Proof, deadline: Deadline, tried: list[Proof]) -> Unreached | None:
    """Shows one proof; the prover knows whether it was accepted. Returns a problem when no other is to be tried."""
    done = threading.Event()
    if proof.key is not None:
        try:
            prover.auth_publickey(user, proof.key, done)
        except SSHException:
            # The agent did not sign, for example because nobody touched the token: the next key may do.
            return None
        tried.append(proof)
        return None if done.wait(deadline.left) else failures.auth_timeout(deadline)
    tried.append(proof)
    answers = proof.answers
    if proof.password is not None:
        prover.auth_password(user, proof.password.reveal(), done)
        if not done.wait(deadline.left):
            return failures.auth_timeout(deadline)
        if "password" in prover.offered or "keyboard-interactive" not in prover.offered or prover.demands_change:
            return None
        # Many servers take a password only as the answer to a prompt.
        done, answers = threading.Event(), (proof.password,)
    prover.interview(user, answers, done)
    return None if done.wait(deadline.left) else failures.auth_timeout(deadline)
