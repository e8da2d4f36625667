"""Reaches hosts with paramiko: a kept connection when there is one, otherwise a new one within the deadline."""

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

from opsconsole.jobs.ports import Auth, Become, ConnectionFacts, KnownKey, Limits, Target, Unreached
from opsconsole.jobs.probe import Finding
from opsconsole.jobs.states import Reason
from opsconsole.ssh import failures, hostkeys
from opsconsole.ssh.channel import SEND_FAILURES, RunChannel
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.handshake import enter
from opsconsole.ssh.jump import Bastions, Passage, still_trusted
from opsconsole.ssh.keys import KeyRing, Offload, Proofs
from opsconsole.ssh.networks import Network, NetworkPolicy
from opsconsole.ssh.pool import Kept, Key, Pool
from opsconsole.ssh.probe import Probe
from opsconsole.ssh.scanning import kinds_of, shown_key
from opsconsole.ssh.session import SshSession
from opsconsole.ssh.sockets import dial
from opsconsole.ssh.transport import ClientTransport, quiet_paramiko
from opsconsole.ssh.wire import Line

# A kept connection that does not answer within this time is given up for a new one.
_REUSE_SECONDS = 3.0
_LONGEST_TICK_SECONDS = 15.0
_SHORTEST_TICK_SECONDS = 0.1


class ParamikoConnector:
    """See ``opsconsole.jobs.ports.Connector``. One per process; works under gevent's patches and with plain threads."""

    def __init__(
        self,
        *,
        allow_loopback: bool,
        allowed_networks: Sequence[str | Network] = (),
        keep_connections: int = 200,
        idle_seconds: float = 60.0,
        age_seconds: float = 3600.0,
        home: Path | None = None,
        offload: Offload = lambda call: call(),
    ) -> None:
        """Connects to nothing. ``home`` holds ``.ssh`` with the default keys; ``None`` is the process's own user's.

        ``offload`` runs a callable where a second of computing, for a key with a passphrase, stops nobody else.
        Raises ``ValueError`` for a network that is not written as ``10.0.0.0/8``.
        """
        self._policy = NetworkPolicy.of(allow_loopback, allowed_networks)
        self._keys = KeyRing(home or Path.home(), offload)
        self._pool = Pool(keep_connections, idle_seconds, age_seconds)
        self._tick_seconds = min(_LONGEST_TICK_SECONDS, max(_SHORTEST_TICK_SECONDS, idle_seconds / 4))
        self._password_salt = secrets.token_bytes(16)
        self._bastions = Bastions(
            self._keys,
            self._policy,
            self._identity,
            tick_seconds=self._tick_seconds,
            idle_seconds=idle_seconds if keep_connections else 0.0,
            age_seconds=age_seconds,
        )
        quiet_paramiko()

    def connect(self, target: Target, auth: Auth, limits: Limits) -> SshSession | Unreached:
        """Returns an authenticated session within ``limits.connect`` seconds, or why there is none."""
        deadline = Deadline(limits.connect)
        proofs = self._keys.proofs(auth)
        if not proofs.proofs:
            return failures.no_credential(auth, proofs)
        key = (self._identity(target, auth, proofs), self._bastions.identity(target.via))
        return self._reuse(key, target, deadline) or self._connect(key, target, auth, proofs, deadline)

    def scan(self, target: Target, limits: Limits) -> tuple[KnownKey, ...] | Unreached:
        """Returns the host keys that the server has, of each kind, or why none was shown; see ``ports.Connector``."""
        deadline = Deadline(limits.connect)
        found: list[KnownKey] = []
        problem: Unreached | None = None
        for kinds in kinds_of(target.profile):
            passage = self._passage(target, deadline)
            shown = (
                passage
                if isinstance(passage, Unreached)
                else shown_key(passage.line, self._tick_seconds, target, kinds, deadline)
            )
            if isinstance(shown, KnownKey):
                found.append(shown)
                continue
            problem = problem or shown
            # Only that it has no such key is a reason to ask for another kind.
            if shown.reason is not Reason.PROTOCOL or shown.retryable:
                break
        return tuple(found) or problem or ()

    def probe(self, target: Target, auth: Auth, limits: Limits, become: Become | None = None) -> list[Finding]:
        """Returns what is found on the way to ``target``, step by step; see ``opsconsole.jobs.probe.Prober``."""
        return Probe(self._keys, self._policy, self._bastions, self._tick_seconds, limits.connect).of(
            target, auth, become
        )

    def close(self) -> None:
        """Ends every kept connection; those in use end with their runs, or with the jump host they go through."""
        self._pool.close()
        self._bastions.close()

    def _connect(
        self, key: Key, target: Target, auth: Auth, proofs: Proofs, deadline: Deadline
    ) -> SshSession | Unreached:
        passage = self._passage(target, deadline)
        if isinstance(passage, Unreached):
            return passage

        def again() -> Line | Unreached:
            other = self._passage(target, deadline)
            return other if isinstance(other, Unreached) else other.line

        entered = enter(passage.line, self._tick_seconds, target, auth, proofs, deadline, again=again)
        if isinstance(entered, Unreached):
            return entered
        transport, host_key = entered
        try:
            # The channel is asked for now, so that it opens while the caller commits that the run starts.
            channel = transport.open_run_channel()
        except SEND_FAILURES:
            transport.abort()
            return failures.auth_dropped(auth, 1)
        kept = Kept(key, transport, host_key, passage.address, passage.seen)
        return self._session(kept, channel, target, deadline, reused=False)

    def _passage(self, target: Target, deadline: Deadline) -> Passage | Unreached:
        if target.via:
            return self._bastions.passage(target, deadline)
        dialled = dial(target, self._policy, deadline)
        return dialled if isinstance(dialled, Unreached) else Passage(dialled[0], str(dialled[1]), ())

    def _reuse(self, key: Key, target: Target, deadline: Deadline) -> SshSession | None:
        while kept := self._pool.take(key):
            if hostkeys.check(target, kept.host_key) is None and still_trusted(target.via, kept.hops):
                channel = _opened(kept.transport, min(_REUSE_SECONDS, deadline.left / 2))
                if channel is not None:
                    return self._session(kept, channel, target, deadline, reused=True)
            kept.transport.abort()
        return None

    def _session(
        self, kept: Kept, channel: RunChannel, target: Target, deadline: Deadline, *, reused: bool
    ) -> SshSession:
        facts = ConnectionFacts(
            address=kept.address,
            host_key=hostkeys.plain_key(kept.host_key),
            host_key_new=hostkeys.is_new(target, kept.host_key),
            reused=reused,
            connect_ms=round((deadline.seconds - deadline.left) * 1000),
            new_hops=tuple(
                (hop, hostkeys.plain_key(shown))
                for hop, (_, shown) in zip(target.via, kept.hops, strict=True)
                if hostkeys.is_new(hop.target, shown)
            ),
        )
        return SshSession(kept, channel, facts, self._pool, deadline.seconds)

    def _identity(self, target: Target, auth: Auth, proofs: Proofs) -> Key:
        """Names a connection by where it leads and by everything that proved who we are, without holding a secret."""
        proved = hashlib.blake2b(key=self._password_salt)
        for proof in proofs.proofs:
            for part in proof.parts():
                proved.update(b"%d:%b" % (len(part), part))
        return (target.host, target.address, target.port, target.user, target.profile, auth.identity, proved.digest())


def _opened(transport: ClientTransport, seconds: float) -> RunChannel | None:
    """Returns an open channel, whose opening also proves that the server still answers, or ``None``."""
    # A server that allows one session may refuse the next one until it has cleared away the last: so a second time.
    for _ in range(2):
        try:
            channel = transport.open_run_channel()
        except SEND_FAILURES:
            return None
        channel.wait_for(channel.answered, seconds)
        if channel.opened or channel.open_refusal is None:
            return channel if channel.opened and not channel.closed else None
    return None
