"""What a job needs from the outside: a way to reach a host, and a way to hand work to workers.

The real SSH adapter lives in ``opsconsole.ssh``, the real dispatcher in ``opsconsole.tasks``; tests bring fakes that
pass the same contract tests. Nothing here does I/O.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from opsconsole.credentials.places import Place
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.host_key_policy import HostKeyPolicy as HostKeyPolicy
from opsconsole.inventory.known_hosts import Authority as Authority
from opsconsole.inventory.known_hosts import KnownKey as KnownKey
from opsconsole.inventory.profile import Profile as Profile
from opsconsole.jobs.raw import RawEnded
from opsconsole.jobs.sight import LeftProcess as LeftProcess
from opsconsole.jobs.sight import Sight as Sight
from opsconsole.jobs.simulation import Simulation
from opsconsole.jobs.states import Reason
from opsconsole.jobs.transfer import Progress
from opsconsole.secret import Secret as Secret


class Stream(StrEnum):
    """The two output streams of a remote command."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect: the name people use (``host``), the ``address`` to dial, and the keys trusted for it.

    ``authorities`` may vouch for it by a certificate; whoever shows one of ``revoked_keys``, or a certificate that one
    of them signed, is refused.
    ``via`` are the jump hosts on the way, the one nearest to the console first; the host is dialled by the last one.
    ``simulation`` says how a simulated host behaves.
    """

    host: str
    address: str
    port: int
    user: str
    known_keys: tuple[KnownKey, ...] = ()
    host_key_policy: HostKeyPolicy = HostKeyPolicy.STRICT
    authorities: tuple[Authority, ...] = ()
    revoked_keys: tuple[KnownKey, ...] = ()
    via: tuple["Hop", ...] = ()
    profile: Profile = Profile.MODERN
    executor: Executor = Executor.SSH
    simulation: Simulation | None = None


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key by its text, in any usual format; ``name`` is for people.

    ``certificate`` is the line of an OpenSSH user certificate that was made for it; then that alone is shown.
    """

    name: str
    pem: Secret
    passphrase: Secret | None = None
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Auth:
    """How to prove who we are. ``identity`` names the source for people and keys the connection pool; no secret in it.

    Tried in this order: ``password`` alone when given, or ``answers``, one to each prompt that the server shows, in
    order and never twice; else ``private_keys``, ``key_files`` (the certificate beside a file first), the keys that the
    worker's ``agent`` holds for ``certificates``, all that it holds, then the default keys of the worker's own user too
    when ``ambient``. A password also answers a server that shows one prompt for it. What is ``external`` has to be
    fetched first, see ``opsconsole.jobs.fetching``.
    """

    identity: str
    ambient: bool = False
    key_files: tuple[str, ...] = ()
    password: Secret | None = None
    private_keys: tuple[PrivateKey, ...] = ()
    agent: bool = False
    certificates: tuple[str, ...] = ()
    answers: tuple[Secret, ...] = ()
    external: Place | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All secrets in it, for whoever has to keep them out of what people see."""
        keys = [secret for key in self.private_keys for secret in (key.pem, key.passphrase)]
        return tuple(secret for secret in (self.password, *self.answers, *keys) if secret is not None)


@dataclass(frozen=True, slots=True)
class Hop:
    """One jump host on the way to a host, with a login and trusted keys of its own; fields as in ``Target``."""

    host: str
    address: str
    port: int
    user: str
    auth: Auth
    known_keys: tuple[KnownKey, ...] = ()
    host_key_policy: HostKeyPolicy = HostKeyPolicy.STRICT
    profile: Profile = Profile.MODERN
    authorities: tuple[Authority, ...] = ()
    revoked_keys: tuple[KnownKey, ...] = ()

    @property
    def target(self) -> Target:
        """The jump host as something to connect to, without the way to it."""
        return Target(
            host=self.host,
            address=self.address,
            port=self.port,
            user=self.user,
            known_keys=self.known_keys,
            host_key_policy=self.host_key_policy,
            profile=self.profile,
            authorities=self.authorities,
            revoked_keys=self.revoked_keys,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines of one run, in seconds. ``command`` and ``idle`` of 0 mean none."""

    connect: float = 10.0
    command: float = 300.0
    idle: float = 0.0
    grace: float = 5.0


@dataclass(frozen=True, slots=True)
class Spool:
    """Durable mode: the host keeps the command and its output, so that any connection may follow it.

    ``attach`` never starts anything. ``stdout`` and ``stderr`` are how many bytes of each are known already; of a
    stream the host keeps at least the first ``head`` and the last ``tail`` bytes.
    """

    head: int
    tail: int
    attach: bool = False
    stdout: int = 0
    stderr: int = 0


class BecomeMethod(StrEnum):
    """How a login comes to run something as another account of its host."""

    SUDO = "sudo"
    SU = "su"


@dataclass(frozen=True, slots=True)
class Become:
    """The account of the host that a command runs as, and what searches for it too. Without a ``password`` it must be
    let through unasked; with one it is given once."""

    user: str
    method: BecomeMethod = BecomeMethod.SUDO
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class RemoteCommand:
    """What to run: ``mark`` is exported as OPSC_RUN to find it by; ``script`` is fed over stdin, never an argument.

    With a ``spool`` the command outlives the connection, and the mark must be the same at every attachment. With
    ``become`` it runs as another account than the login's.
    """

    mark: str
    script: bytes
    limit_seconds: int
    grace_seconds: int
    spool: Spool | None = None
    become: Become | None = None


@dataclass(frozen=True, slots=True)
class Unreached:
    """The host could not be reached or did not let us in; the command certainly did not run.

    ``detail`` is one safe sentence for a person. ``offered`` is the host key the server showed, when it came to that.
    ``retryable`` is set when it was the connection: a login that was refused or a wrong host key stays wrong.
    ``hop`` is the jump host that failed; then ``offered`` is what that one showed.
    """

    reason: Reason
    detail: str
    offered: KnownKey | None = None
    retryable: bool = False
    hop: Hop | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes the command wrote, in the order they arrived."""

    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """So many bytes of a stream are known to have been written and were not kept by the host (durable mode)."""

    stream: Stream
    size: int


@dataclass(frozen=True, slots=True)
class Started:
    """The remote wrapper reported that the command runs, with its process group id.

    ``age`` is set when it was started over an earlier connection: for how many seconds it has run, or ran.
    """

    pid: int
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing arrived within the poll interval; a chance to look at deadlines and orders."""


@dataclass(frozen=True, slots=True)
class Detached:
    """There is no connection at the moment to a durable command, which goes on; as ``Idle`` otherwise."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The command ended: with ``status``, or by ``signal`` (RFC 4254 6.10 name without SIG). ``left_children`` is set
    when the exit was reported but something kept the streams open, ``by_limit`` when the host's own limit of time ended
    it, ``cut`` when the host could not store all of its output.

    ``doubt`` is one sentence, set when the command was ordered to end and the host did not confirm that nothing which
    carries its mark is alive any more. ``kept`` is one, set when it was ordered to end by ``HUP`` and left something on
    the host that a later run goes on from.
    """

    status: int | None
    signal: str | None = None
    left_children: bool = False
    doubt: str | None = None
    kept: str | None = None
    by_limit: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """The connection ended without an exit status: the outcome cannot be known."""

    detail: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """The host holds nothing (any more) that could tell how the command ended; asking again is of no use."""

    detail: str


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The server refused the exec request itself, or the host the account; the command certainly did not run."""

    detail: str
    reason: Reason = Reason.EXEC_REFUSED


Event = Output | Skipped | Started | Progress | Idle | Detached | Exited | Dropped | Vanished | NotStarted | RawEnded


class RemoteProcess(Protocol):
    """One running remote command."""

    def events(self, poll_seconds: float) -> Iterator[Event]:
        """Yields what happens, at least one event every ``poll_seconds``; ends after Exited, Dropped, Vanished or
        NotStarted."""

    def signal(self, name: str, *, grace: float | None = None) -> None:
        """Orders ``TERM``, ``HUP`` or ``KILL`` to the command's process group; never raises. To a transfer of files
        ``HUP`` means to keep what a later one can go on from.

        ``grace`` is how many seconds after a first order ``KILL`` will follow; ``None`` is the command's own.
        """


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """What is known once connected, for the record of the run. ``new_hops`` are the jump hosts whose keys were seen
    for the first time, each with its key. Only over SSH there is a ``host_key``."""

    address: str
    host_key: KnownKey | None
    host_key_new: bool
    reused: bool
    connect_ms: int
    new_hops: tuple[tuple[Hop, KnownKey], ...] = ()


class Session(Protocol):
    """An authenticated connection to one host."""

    facts: ConnectionFacts

    def start(self, command: RemoteCommand) -> RemoteProcess:
        """Sends the exec request. Call only after the start gate is committed. Never raises for a remote failure."""

    def search(self, mark: str, *, end: float | None, seconds: float, become: Become | None = None) -> Sight:
        """Returns what on the host carries ``mark``, within ``seconds``; instead of ``start``, on a session of its own.

        It looks as the account that the command runs as. With ``end`` what it finds gets TERM and, after that many
        seconds, KILL, and what is then alive is returned. Never raises for a remote failure.
        """

    def forget(self, mark: str, become: Become | None = None) -> None:
        """Has the host remove what it keeps of the durable run with ``mark``, whose result is stored. Never raises;
        what could not be removed now, a later durable run removes."""

    def close(self, *, keep: bool) -> None:
        """Ends the session; with ``keep`` the connection may serve a later run, otherwise everything is closed."""


class Connector(Protocol):
    """Reaches hosts."""

    def connect(self, target: Target, auth: Auth, limits: Limits) -> "Session | Unreached":
        """Returns an authenticated session within ``limits.connect`` seconds, or why there is none."""

    def scan(self, target: Target, limits: Limits) -> "tuple[KnownKey, ...] | Unreached":
        """Returns the host keys that the server has, of each kind that can be used, or why none was shown; within
        ``limits.connect`` seconds. Nothing of a login is sent to it."""

    def close(self) -> None:
        """Closes every kept connection and helper thread."""


class Dispatcher(Protocol):
    """Hands work to workers. Messages carry ids only; losing or repeating one is harmless."""

    def publish(self, runs: Sequence[tuple[int, int]]) -> None:
        """Sends one message per ``(host_run_id, attempt)``. Raises ``Unavailable`` when the broker does not answer."""

    def publish_looks(self, run_ids: Sequence[int]) -> None:
        """Sends one message per run whose host is to be looked at. Raises ``Unavailable`` as ``publish`` does."""

    def publish_scans(self, scan_ids: Sequence[int]) -> None:
        """Sends one message per host whose keys are to be collected. Raises ``Unavailable`` as ``publish`` does."""

    def publish_tests(self, test_ids: Sequence[int]) -> None:
        """Sends one message per connection to be tested. Raises ``Unavailable`` as ``publish`` does."""

    def attach(self, runs: Sequence[tuple[int, int]]) -> None:
        """Sends one message per ``(host_run_id, fence)`` of running commands that nobody follows. Raises
        ``Unavailable`` when the broker does not answer."""

    def nudge(self) -> None:
        """Asks some worker to look for dispatchable runs now. Never blocks long and never raises."""
