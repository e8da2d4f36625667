"""The way through jump hosts: a connection to the host inside of the connections to those before it.

A jump host is logged in to once for all the hosts behind it, and again only when that connection has ended, is old or
carries as many as one should. Whoever comes while a login is under way waits for it and shares what becomes of it.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from opsconsole.jobs.ports import Auth, Hop, KnownKey, Target, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence
from opsconsole.ssh import failures, hostkeys, jump_answers
from opsconsole.ssh.channel import SEND_FAILURES, RunChannel
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.handshake import enter
from opsconsole.ssh.keys import KeyRing, Proofs
from opsconsole.ssh.networks import NetworkPolicy
from opsconsole.ssh.sockets import dial, permitted, resolve
from opsconsole.ssh.transport import ClientTransport
from opsconsole.ssh.wire import Line

# How many connections go through one connection to a jump host; more open another one to it.
TUNNELS_AT_MOST = 512
# A jump host that was silent for so long is asked for a sign of life, which must come within the second time.
_SILENT_SECONDS = 5.0
_ANSWER_SECONDS = 3.0
# A login that was refused is not tried again for so long: hundreds of hosts behind it would be as many failed logins.
_REFUSED_SECONDS = 5.0
# Names that only the far side knows must not cost the time of the connection.
_RESOLVE_SECONDS = 3.0
# Names a login (who, where, with what) without holding a secret.
Identify = Callable[[Target, Auth, Proofs], Hashable]


class Tunnel:
    """A channel through a jump host as what ``Wire`` asks of a socket. ``on_close`` is called once."""

    def __init__(self, channel: RunChannel, on_close: Callable[[], None]) -> None:
        self._channel = channel
        self._on_close = on_close
        self._seconds = 1.0
        self._lock = threading.Lock()
        self._closed = False

    def settimeout(self, seconds: float, /) -> None:
        """See ``Line``."""
        self._seconds = seconds
        self._channel.settimeout(seconds)

    def recv(self, _size: int, /) -> bytes:
        """See ``Line``; may return more than was asked for."""
        channel = self._channel
        if not channel.wait_for(lambda: channel.has_output or channel.ended, self._seconds):
            raise TimeoutError
        taken = channel.take()
        return taken[1] if taken is not None else b""

    def send(self, data: memoryview, /) -> int:
        """See ``Line``."""
        try:
            sent = self._channel.send(data.tobytes())
        except TimeoutError:
            raise
        except SEND_FAILURES as error:
            raise BrokenPipeError from error
        if not sent:
            raise BrokenPipeError
        return sent

    def shutdown(self, _how: int = socket.SHUT_RDWR, /) -> None:
        """See ``Line``."""
        with contextlib.suppress(*SEND_FAILURES):
            self._channel.close()

    def close(self) -> None:
        """See ``Line``."""
        with self._lock:
            first, self._closed = not self._closed, True
        if first:
            self.shutdown()
            self._on_close()

    def setsockopt(self, _level: int, _option: int, _value: int, /) -> None:
        """A channel has no options."""


@dataclass(slots=True, eq=False)
class _Bastion:
    """A logged-in connection to a jump host. ``seen`` are the jump hosts up to and with this one, and their keys."""

    key: Hashable
    transport: ClientTransport
    seen: tuple[tuple[Hop, KnownKey], ...]
    born: float
    users: int = 0
    idle_since: float = 0.0
    retired: bool = False


@dataclass(slots=True, eq=False)
class _Pending:
    """A login under way, which others wait for."""

    done: threading.Event = field(default_factory=threading.Event)
    result: Unreached | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A line to a host behind jump hosts: its address as it was dialled, and the keys that the jump hosts showed."""

    line: Line
    address: str
    seen: tuple[tuple[Hop, KnownKey], ...]


class Bastions:
    """The connections to jump hosts of one process, shared by all its runs. Times are seconds."""

    def __init__(
        self,
        keys: KeyRing,
        policy: NetworkPolicy,
        identify: Identify,
        *,
        tick_seconds: float,
        idle_seconds: float,
        age_seconds: float,
    ) -> None:
        self._keys = keys
        self._policy = policy
        self._identify = identify
        self._tick_seconds = tick_seconds
        self._idle_seconds = idle_seconds
        self._age_seconds = age_seconds
        self._lock = threading.Lock()
        self._open: dict[Hashable, list[_Bastion]] = {}
        self._pending: dict[Hashable, _Pending] = {}
        self._refused: dict[Hashable, tuple[float, Unreached]] = {}
        self._closed = False

    def identity(self, via: tuple[Hop, ...]) -> tuple[Hashable, ...]:
        """Names a way by every jump host on it and what each is shown."""
        return tuple(self._identify(hop.target, hop.auth, self._keys.proofs(hop.auth)) for hop in via)

    def passage(self, target: Target, deadline: Deadline) -> Passage | Unreached:
        """Returns a line to ``target`` through its jump hosts, or why there is none."""
        bastion = self._reach(target.via, deadline)
        if isinstance(bastion, Unreached):
            return bastion
        found = self._tunnel(bastion, target, deadline)
        if isinstance(found, Unreached):
            self._release(bastion)
            return found
        channel, address = found
        return Passage(Tunnel(channel, lambda: self._release(bastion)), address, bastion.seen)

    def close(self) -> None:
        """Ends every connection to a jump host, and with it those that go through it."""
        with self._lock:
            self._closed = True
            left = [bastion for bastions in self._open.values() for bastion in bastions]
        for bastion in left:
            bastion.transport.abort()

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._open.values()))

    def _reach(self, via: tuple[Hop, ...], deadline: Deadline) -> _Bastion | Unreached:
        """Returns a connection to the last of ``via``, taken until it is released."""
        key = self.identity(via)
        while True:
            with self._lock:
                bastion = self._free(key)
                refusal = self._refused.get(key)
                pending = self._pending.get(key)
                mine = bastion is None and pending is None
                if refusal is not None and time.monotonic() >= refusal[0]:
                    refusal = None
                if mine and refusal is None:
                    pending = self._pending[key] = _Pending()
            if bastion is not None:
                if self._usable(bastion, via):
                    return bastion
                self._retire(bastion)
            elif refusal is not None:
                return refusal[1]
            elif mine and pending is not None:
                return self._log_in_for_all(key, via, pending, deadline)
            elif pending is not None:
                if not pending.done.wait(deadline.left):
                    return jump_answers.late(via[-1], deadline)
                if pending.result is not None:
                    return pending.result

    def _free(self, key: Hashable) -> _Bastion | None:
        """Takes a connection that may carry one more."""
        now = time.monotonic()
        for bastion in self._open.get(key, ()):
            young = now < bastion.born + self._age_seconds
            if young and not bastion.retired and bastion.users < TUNNELS_AT_MOST and bastion.transport.is_active():
                bastion.users += 1
                return bastion
        return None

    def _usable(self, bastion: _Bastion, via: tuple[Hop, ...]) -> bool:
        trusted = still_trusted(via, bastion.seen)
        silent = bastion.transport.silent_seconds() > _SILENT_SECONDS
        return trusted and (not silent or bastion.transport.answers(_ANSWER_SECONDS))

    def _log_in_for_all(
        self, key: Hashable, via: tuple[Hop, ...], pending: _Pending, deadline: Deadline
    ) -> _Bastion | Unreached:
        hop = via[-1]
        pending.result = Unreached(
            Reason.JUMP, Sentence("Jump host {host}: the login was broken off.", host=hop.host), retryable=True
        )
        try:
            answer = self._log_in(key, via, deadline)
            pending.result = answer if isinstance(answer, Unreached) else None
            return answer
        finally:
            with self._lock:
                del self._pending[key]
                # A key that is not trusted was refused by us: nothing was logged in, and a person may trust it now.
                if pending.result is not None and not pending.result.retryable and pending.result.offered is None:
                    now = time.monotonic()
                    self._refused = {old: told for old, told in self._refused.items() if told[0] > now}
                    self._refused[key] = (now + _REFUSED_SECONDS, pending.result)
            pending.done.set()

    def _log_in(self, key: Hashable, via: tuple[Hop, ...], deadline: Deadline) -> _Bastion | Unreached:
        hop = via[-1]
        proofs = self._keys.proofs(hop.auth)
        if not proofs.proofs:
            return jump_answers.failed(hop, failures.no_credential(hop.auth, proofs))
        way = self._line_to(via, deadline)
        if isinstance(way, Unreached):
            return jump_answers.failed(hop, way)
        line, before = way

        def again() -> Line | Unreached:
            other = self._line_to(via, deadline)
            return other if isinstance(other, Unreached) else other[0]

        entered = enter(line, self._tick_seconds, hop.target, hop.auth, proofs, deadline, again=again)
        if isinstance(entered, Unreached):
            return jump_answers.failed(hop, entered)
        transport, host_key = entered
        bastion = _Bastion(key, transport, (*before, (hop, host_key)), time.monotonic(), users=1)
        with self._lock:
            closed = self._closed
            self._open.setdefault(key, []).append(bastion)
        transport.on_end = lambda: self._forget(bastion)
        transport.wire.on_quiet = lambda: self._quiet(bastion)
        # It may have ended before anybody was told of its end.
        if closed or not transport.is_active():
            transport.abort()
            self._forget(bastion)
            return jump_answers.failed(hop, failures.auth_dropped(hop.auth, 1))
        return bastion

    def _line_to(
        self, via: tuple[Hop, ...], deadline: Deadline
    ) -> tuple[Line, tuple[tuple[Hop, KnownKey], ...]] | Unreached:
        """Returns a line to the last of the jump hosts ``via``, and those on the way with the keys they showed."""
        hop = via[-1]
        if len(via) > 1:
            passage = self.passage(replace(hop.target, via=via[:-1]), deadline)
            return passage if isinstance(passage, Unreached) else (passage.line, passage.seen)
        dialled = dial(hop.target, self._policy, deadline)
        return dialled if isinstance(dialled, Unreached) else (dialled[0], ())

    def _tunnel(self, bastion: _Bastion, target: Target, deadline: Deadline) -> tuple[RunChannel, str] | Unreached:
        """Returns an open channel to the first address of ``target`` that answers, or why there is none."""
        addresses = self._addresses(target, deadline)
        if isinstance(addresses, Unreached):
            return addresses
        problem: Unreached | None = None
        for place, address in enumerate(addresses):
            share = Deadline(deadline.left / (len(addresses) - place))
            answer = _open(bastion, address, target.port, share, deadline.seconds)
            if isinstance(answer, RunChannel):
                return answer, address
            problem = answer
        return problem or Unreached(Reason.DNS, "The name has no address.")

    def _addresses(self, target: Target, deadline: Deadline) -> list[str] | Unreached:
        """Returns what the last jump host is to dial: addresses that were checked, or a name that only it may know."""
        found = resolve(target, Deadline(min(_RESOLVE_SECONDS, deadline.left / 2)))
        if isinstance(found, Unreached):
            return self._far_name(target.address)
        allowed = permitted(found, self._policy)
        return allowed if isinstance(allowed, Unreached) else [str(address) for address in allowed]

    def _far_name(self, name: str) -> list[str] | Unreached:
        if self._policy.allowed:
            detail = Sentence(
                "{name} is no name that this worker can resolve, so it cannot be told whether its address is in "
                "the allowed networks. Give the host its address.",
                name=name,
            )
            return Unreached(Reason.DENIED_NETWORK, detail)
        if name.lower().rstrip(".").rpartition(".")[2] == "localhost" and not self._policy.allow_loopback:
            return Unreached(
                Reason.DENIED_NETWORK, Sentence("{name} is the jump host itself, which is not dialled.", name=name)
            )
        return [name]

    def _release(self, bastion: _Bastion) -> None:
        with self._lock:
            bastion.users -= 1
            bastion.idle_since = time.monotonic()
            old = bastion.idle_since >= bastion.born + self._age_seconds
            ends = not bastion.users and (bastion.retired or old or not self._idle_seconds)
        if ends:
            bastion.transport.abort()

    def _retire(self, bastion: _Bastion) -> None:
        """Gives a connection that is not to be used any more back; it ends with the last that goes through it."""
        with self._lock:
            bastion.retired = True
        self._release(bastion)

    def _quiet(self, bastion: _Bastion) -> None:
        with self._lock:
            ends = not bastion.users and time.monotonic() >= bastion.idle_since + self._idle_seconds
            # From now on nobody takes it.
            bastion.retired = bastion.retired or ends
        if ends:
            bastion.transport.abort()

    def _forget(self, bastion: _Bastion) -> None:
        with self._lock:
            bastions = self._open.get(bastion.key, [])
            if bastion in bastions:
                bastions.remove(bastion)
            if not bastions:
                self._open.pop(bastion.key, None)


def still_trusted(via: tuple[Hop, ...], seen: tuple[tuple[Hop, KnownKey], ...]) -> bool:
    """Returns whether the keys that jump hosts showed when they were logged in to would let us in today."""
    return all(hostkeys.check(hop.target, key) is None for hop, (_, key) in zip(via, seen, strict=True))


def _open(bastion: _Bastion, address: str, port: int, share: Deadline, whole: float) -> RunChannel | Unreached:
    hop, transport = bastion.seen[-1][0], bastion.transport
    try:
        channel = transport.open_tunnel(address, port)
    except SEND_FAILURES:
        return jump_answers.cut(hop)
    channel.wait_for(channel.answered, share.left)
    if channel.opened:
        return channel
    if channel.open_refusal is None and not channel.closed:
        transport.give_up(channel)
        return jump_answers.unanswered(hop, address, port, whole)
    if channel.open_refusal is None:
        return jump_answers.cut(hop)
    return jump_answers.refused(hop, address, port, channel.open_refusal)
