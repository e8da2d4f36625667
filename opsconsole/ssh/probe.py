"""A test of a connection: the way that a run takes, step by step, with the same parts and nothing kept."""

import contextlib
import secrets
import socket
import time
from collections.abc import Iterator, Mapping

from opsconsole.clock import SystemClock
from opsconsole.inventory.known_hosts import fingerprint
from opsconsole.jobs.ports import (
    Auth,
    Become,
    Exited,
    HostKeyPolicy,
    KnownKey,
    NotStarted,
    Output,
    RemoteCommand,
    Stream,
    Target,
    Unreached,
)
from opsconsole.jobs.probe import Finding, Stage, Verdict, advised, stage_of
from opsconsole.jobs.states import Reason
from opsconsole.sentences import Sentence, joined
from opsconsole.ssh import failures, hostkeys, lease
from opsconsole.ssh.certificates import is_certificate
from opsconsole.ssh.channel import SEND_FAILURES
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.handshake import exchange_keys, log_in, transport_on
from opsconsole.ssh.jump import Bastions
from opsconsole.ssh.keys import KeyRing, Proof, Proofs
from opsconsole.ssh.networks import NetworkPolicy
from opsconsole.ssh.passage import Passage
from opsconsole.ssh.process import Request, SshProcess
from opsconsole.ssh.sockets import permitted, reach, resolve
from opsconsole.ssh.transport import ClientTransport
from opsconsole.ssh.wire import Line

# What is run on the host, and all of it: who we are, which shell and system it is, and what time it has.
_LOOK = b"""printf 'user=%s\\n' "$(id -un 2>/dev/null)"
printf 'shell=%s\\n' "$SHELL"
printf 'system=%s\\n' "$(uname -sr 2>/dev/null)"
printf 'time=%s\\n' "$(date +%s 2>/dev/null)"
"""
_WHO = b"printf 'user=%s\\n' \"$(id -un 2>/dev/null)\"\n"
_SHELL_SECONDS = 15
_MOST_BYTES = 4096
_MOST_CHARS = 80
# A clock that is so far off makes certificates and tickets fail.
_SKEW_SECONDS = 60
_POLL_SECONDS = 0.2
_MAY_BE_HIDDEN = frozenset({Reason.HOST_KEY_CHANGED, Reason.HOST_CERTIFICATE})

Offered = tuple[str, int, KnownKey] | None


class Probe:
    """One test. ``of`` may be called once."""

    def __init__(
        self, keys: KeyRing, policy: NetworkPolicy, bastions: Bastions, tick_seconds: float, seconds: float
    ) -> None:
        """Each part of the way gets ``seconds``."""
        self._keys = keys
        self._policy = policy
        self._bastions = bastions
        self._tick_seconds = tick_seconds
        self._seconds = seconds
        self._found: list[Finding] = []
        self._since = time.monotonic()

    def of(self, target: Target, auth: Auth, become: Become | None) -> list[Finding]:
        """Returns what was found on the way to ``target``; see ``opsconsole.jobs.probe.Prober``."""
        self._since = time.monotonic()
        # As a run does: a server that shows a certificate of somebody else's is asked for its plain key before that is
        # called a changed one.
        for certified in (True, False) if target.authorities else (False,):
            self._found.clear()
            line = self._over_jumps(target) if target.via else self._dialled(target)
            if line is None:
                break
            transport = transport_on(line, self._tick_seconds, target, certified=certified)
            try:
                if self._shows_only_a_foreign_certificate(transport, target, auth, become):
                    continue
            finally:
                transport.abort()
            break
        return self._found

    def _shows_only_a_foreign_certificate(
        self, transport: ClientTransport, target: Target, auth: Auth, become: Become | None
    ) -> bool:
        """Goes the rest of the way, unless the certificate that is shown may hide the trusted key."""
        deadline = Deadline(self._seconds)
        shown = exchange_keys(transport, target, deadline)
        if isinstance(shown, Unreached):
            self._fail(target, shown, Stage.KEY_EXCHANGE)
            return False
        text = Sentence("Agreed on {key} and {cipher}.", key=transport.host_key_type, cipher=transport.remote_cipher)
        self._note(Stage.KEY_EXCHANGE, text)
        refusal = hostkeys.check(target, shown)
        if refusal is not None:
            if is_certificate(shown) and target.known_keys and refusal.reason in _MAY_BE_HIDDEN:
                return True
            self._fail(target, refusal, Stage.HOST_KEY)
            return False
        self._host_key(target, shown)
        if self._logged_in(transport, target, auth, deadline) and self._answers(transport) and become is not None:
            self._becomes(transport, become)
        return False

    def _over_jumps(self, target: Target) -> Line | None:
        passage = self._bastions.passage(target, Deadline(self._seconds))
        hops = list(target.via)
        if isinstance(passage, Unreached):
            # Of those before the one that failed each let us in.
            for hop in hops[: hops.index(passage.hop)] if passage.hop in hops else hops:
                self._note(Stage.JUMP, Sentence("{host}: logged in as {user}.", host=hop.host, user=hop.user))
            self._fail(target, passage)
            return None
        for hop, shown in passage.seen:
            text = Sentence(
                "{host}: logged in as {user}, its key is {key}.", host=hop.host, user=hop.user, key=_words(shown)
            )
            self._note(Stage.JUMP, text)
        text = Sentence(
            "{host} opened a connection to {address} port {port}.",
            host=hops[-1].host,
            address=passage.address,
            port=target.port,
        )
        self._note(Stage.TCP, text)
        return passage.line

    def _dialled(self, target: Target) -> socket.socket | None:
        deadline = Deadline(self._seconds)
        found = resolve(target, deadline)
        if isinstance(found, Unreached):
            self._fail(target, found)
            return None
        addresses = ", ".join(map(str, found[:4]))
        given = addresses == target.address.strip("[]")
        if given:
            self._note(Stage.NAME, Sentence("It is given by its address."))
        else:
            self._note(Stage.NAME, Sentence("{name} is {addresses}.", name=target.address, addresses=addresses))
        allowed = permitted(found, self._policy)
        if isinstance(allowed, Unreached):
            self._fail(target, allowed)
            return None
        self._note(Stage.NETWORK, Sentence("It may be dialled."))
        reached = reach(allowed, target.port, deadline)
        if isinstance(reached, Unreached):
            self._fail(target, reached)
            return None
        self._note(
            Stage.TCP, Sentence("{address} port {port} takes connections.", address=reached[1], port=target.port)
        )
        return reached[0]

    def _host_key(self, target: Target, shown: KnownKey) -> None:
        words = _words(hostkeys.plain_key(shown))
        if not hostkeys.is_new(target, shown):
            if is_certificate(shown):
                self._note(Stage.HOST_KEY, Sentence("{key} is vouched for by an authority.", key=words))
            else:
                self._note(Stage.HOST_KEY, Sentence("{key} is trusted.", key=words))
            return
        policy = HostKeyPolicy.ACCEPT_NEW
        text = Sentence("{key} is new; a run would accept it ({policy}).", key=words, policy=policy)
        self._note(Stage.HOST_KEY, text, Verdict.WARNED)

    def _logged_in(self, transport: ClientTransport, target: Target, auth: Auth, deadline: Deadline) -> bool:
        proofs = self._keys.proofs(auth)
        if not proofs.proofs:
            self._fail(target, failures.no_credential(auth, proofs), Stage.LOGIN)
            return False
        tried: list[Proof] = []
        problem = log_in(transport, target, auth, proofs, deadline, tried)
        if problem is not None:
            self._fail(target, problem, Stage.LOGIN)
            return False
        self._note(Stage.LOGIN, _welcome(target, proofs, tried))
        return True

    def _answers(self, transport: ClientTransport) -> bool:
        told = self._run(transport, _LOOK, None)
        if isinstance(told, str):
            self._note(Stage.SHELL, told, Verdict.FAILED)
            return False
        skew = _skew(told.get("time", ""))
        verdict, text = Verdict.OK, _account(told)
        if skew is not None and abs(skew) > _SKEW_SECONDS:
            if skew > 0:
                remark = Sentence("Its clock is {count} s ahead of the worker's.", count=skew)
            else:
                remark = Sentence("Its clock is {count} s behind the worker's.", count=-skew)
            verdict, text = Verdict.WARNED, joined(" ", [text, remark])
        self._note(Stage.SHELL, text, verdict)
        return True

    def _becomes(self, transport: ClientTransport, become: Become) -> None:
        told = self._run(transport, _WHO, become)
        if isinstance(told, str):
            self._note(Stage.RUN_AS, told, Verdict.FAILED)
            return
        user = told.get("user", "")
        if user != become.user:
            text = Sentence("{method} led to the account {user}.", method=become.method, user=user or "?")
            self._note(Stage.RUN_AS, text, Verdict.FAILED)
            return
        if become.password is not None:
            text = Sentence(
                "{method} runs commands as {user} with the password.", method=become.method, user=become.user
            )
        else:
            text = Sentence(
                "{method} runs commands as {user} without a password.", method=become.method, user=become.user
            )
        self._note(Stage.RUN_AS, text)

    def _run(self, transport: ClientTransport, script: bytes, become: Become | None) -> dict[str, str] | str:
        """Returns the values that ``script`` printed, or one sentence of why it did not run."""
        mark = f"test.{secrets.token_hex(8)}"
        command = RemoteCommand(mark, script, _SHELL_SECONDS, 1, become=become)
        passage = Passage.to(become)
        request = Request(
            lease.exec_line(command, passage), lease.stdin_bytes(command), mark, 1.0, command.become, passage
        )
        try:
            channel = transport.open_run_channel()
            process = SshProcess(transport, channel, request, self._seconds)
        except SEND_FAILURES:
            return Sentence("The connection ended after the login.")
        try:
            return _outcome(process)
        finally:
            with contextlib.suppress(*SEND_FAILURES):
                channel.close()

    def _note(
        self,
        stage: Stage,
        detail: str,
        verdict: Verdict = Verdict.OK,
        offered: Offered = None,
        reason: Reason | None = None,
    ) -> None:
        now = time.monotonic()
        self._found.append(Finding(stage, verdict, round((now - self._since) * 1000), detail, offered, reason))
        self._since = now

    def _fail(self, target: Target, problem: Unreached, stage: Stage | None = None) -> None:
        at = problem.hop.target if problem.hop is not None else target
        offered = (at.address, at.port, problem.offered) if problem.offered is not None else None
        detail = advised(problem.reason, problem.detail)
        self._note(stage or stage_of(problem.reason), detail, Verdict.FAILED, offered, problem.reason)


def _outcome(process: SshProcess) -> dict[str, str] | str:
    out = b""
    give_up = Deadline(_SHELL_SECONDS)
    for event in process.events(_POLL_SECONDS):
        match event:
            case Output(stream=Stream.STDOUT, data=data) if len(out) < _MOST_BYTES:
                out += data
            case NotStarted(detail=detail):
                return detail
            case Exited(status=0):
                return dict(_values(out))
            case Exited():
                return Sentence(
                    "A shell started and could not run a few lines: is /bin/sh there, with dd, id and date?"
                )
            case _:
                pass
        if give_up.left <= 0:
            process.signal("KILL")
            return Sentence("The shell did not answer within {seconds} s.", seconds=_SHELL_SECONDS)
    return Sentence("The connection ended while the shell was asked.")


def _account(told: Mapping[str, str]) -> Sentence:
    user = told.get("user") or Sentence("an account without a name")
    shell, system = told.get("shell"), told.get("system")
    if shell and system:
        text = "Commands run as {user}, login shell {login_shell}, {system}."
        return Sentence(text, user=user, login_shell=shell, system=system)
    if shell:
        return Sentence("Commands run as {user}, login shell {login_shell}.", user=user, login_shell=shell)
    if system:
        return Sentence("Commands run as {user}, {system}.", user=user, system=system)
    return Sentence("Commands run as {user}.", user=user)


def _values(out: bytes) -> Iterator[tuple[str, str]]:
    for line in out[:_MOST_BYTES].decode(errors="replace").splitlines():
        name, equals, value = line.partition("=")
        if equals:
            yield name, "".join(char for char in value if char.isprintable())[:_MOST_CHARS]


def _welcome(target: Target, proofs: Proofs, tried: list[Proof]) -> str:
    proof = tried[-1] if tried else proofs.proofs[0]
    refused = len(tried) - 1
    text = Sentence("Logged in as {user} by {method} ({key}).", user=target.user, method=proof.method, key=proof.name)
    if refused == 1:
        return joined(" ", [text, Sentence("1 key was refused before.")])
    if refused > 1:
        return joined(" ", [text, Sentence("{count} keys were refused before.", count=refused)])
    return text


def _words(key: KnownKey) -> str:
    plain = hostkeys.plain_key(key)
    return f"{plain.algorithm} {fingerprint(plain)}"


def _skew(text: str) -> int | None:
    """Returns by how many seconds the host's clock is ahead of ours."""
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        return None
    return int(text) - int(SystemClock().now().timestamp())
