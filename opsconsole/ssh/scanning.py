"""The host keys that a server has: a key exchange for each kind, and nothing after it."""

from opsconsole.jobs.ports import KnownKey, Profile, Target, Unreached
from opsconsole.ssh import failures
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.legacy import SHA1_RSA, LegacyTransport
from opsconsole.ssh.transport import ClientTransport
from opsconsole.ssh.wire import Line, Wire

_KINDS: tuple[tuple[str, ...], ...] = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)


def kinds_of(profile: Profile) -> tuple[tuple[str, ...], ...]:
    """Returns the algorithms to ask for, those of one kind of key together."""
    return (*_KINDS[:-1], (*_KINDS[-1], SHA1_RSA)) if profile is Profile.LEGACY else _KINDS


def shown_key(
    line: Line, tick_seconds: float, target: Target, kinds: tuple[str, ...], deadline: Deadline
) -> KnownKey | Unreached:
    """Returns the key of one of ``kinds`` that the server at the end of ``line`` proves to hold; ``line`` is closed."""
    make = LegacyTransport if target.profile is Profile.LEGACY else ClientTransport
    transport = make(Wire(line, tick_seconds), ())
    try:
        transport.ask_only(kinds)
        transport.negotiate()
        shown = transport.shown_key if transport.ready.wait(deadline.left) and transport.is_active() else None
        return shown or failures.no_negotiation(transport, target, deadline)
    finally:
        transport.abort()
