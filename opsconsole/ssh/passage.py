"""The way from the login to the account that a command runs as: ``sudo`` or ``su`` around what we start.

It asks for a password at most once and never in a loop: what we send to stdin otherwise waits until a word of ours came
from the other account. So a program that asks again finds nothing to read, and no script is ever taken for a password.
"""

import secrets
import shlex
from collections.abc import Sequence
from typing import Protocol

from opsconsole.jobs.ports import Become, BecomeMethod, Stream
from opsconsole.sentences import Sentence

# What the other account says first. No character in it means anything to any shell.
_HERE = "opsc-here:"
_ASKS = "opsc-asks:"
# Its messages are read below, so it is to speak English; the command is not to notice. ``env`` is found by every shell.
_IN_ENGLISH = ("exec", "env", "LC_MESSAGES=C")
_FIRST = 'unset LC_MESSAGES; echo "$0"; exec "$@"'
_SU_PROMPTS = (b"Password: ", b"Password:")
_MOST_SAID = 4096

# Each takes the program, the account and whose password it asks for.
_UNASKED = Sentence(
    "{program} wants a password before it runs anything as {user}: give one with the order (run_as_password or "
    "run_as_credential)."
)
_WRONG = Sentence("{program} did not accept the password of {whose}. It was given once and is not tried again.")
_NO_PROGRAM = Sentence("The host has no {program}.")
_SAID: tuple[tuple[tuple[bytes, ...], Sentence], ...] = (
    (
        (b"not in the sudoers", b"is not allowed to", b"may not run sudo", b"I'm afraid I can't"),
        Sentence("sudo does not allow this login to run /bin/sh as {user}."),
    ),
    (
        (b"must have a tty", b"must be run from a terminal"),
        Sentence("{program} wants a terminal on this host (requiretty): commands of the console have none."),
    ),
    (
        (b"unknown user", b"does not exist", b"user not found", b"no passwd entry"),
        Sentence("There is no user {user} on the host."),
    ),
    ((b"a password is required", b"authentication is required", b"no password was provided"), _UNASKED),
    ((b"incorrect password", b"Authentication failure", b"Sorry, try again", b"incorrect authentication"), _WRONG),
    (
        (b"account validation failure", b"account has expired", b"currently not available"),
        Sentence("The account {user} may not be used on the host."),
    ),
)
# What ``env`` ends with when there is no such program.
_NOT_FOUND = 127


class Answered(Protocol):
    """What an answer is sent to."""

    def sendall(self, s: bytes) -> None:
        """Sends bytes to the program's stdin."""


class Passage:
    """One passage. Feed it what arrives until ``through``; what it answers goes to stdin at once."""

    def __init__(self, become: Become) -> None:
        self._become = become
        nonce = secrets.token_hex(8)
        self._here = _HERE + nonce
        self._asks = _ASKS + nonce
        self._out = b""
        self._err = b""
        self._said = b""
        self._answered = False
        self.through = False
        # Set when it will not let us through.
        self.refusal: str | None = None

    @classmethod
    def to(cls, become: Become | None) -> "Passage | None":
        """Returns a new passage to the account, ``None`` when the login's own is meant."""
        return None if become is None else cls(become)

    def line(self, words: Sequence[str]) -> str:
        """Returns the exec request that runs the program ``words`` as the other account."""
        inner = ["/bin/sh", "-c", _FIRST, self._here, *words]
        user = self._become.user
        if self._become.method is BecomeMethod.SU:
            command = shlex.join(["exec", *inner])
            return shlex.join([*_IN_ENGLISH, "su", "-s", "/bin/sh", "-c", command, user])
        how = ["-n"] if self._become.password is None else ["-S", "-p", self._asks]
        return shlex.join([*_IN_ENGLISH, "sudo", *how, "-u", user, "--", *inner])

    def out(self, data: bytes) -> tuple[bytes, bytes]:
        """Takes standard output; returns what the login said before, and what the other account said already."""
        here = self._here.encode() + b"\n"
        self._out += data
        before, found, after = self._out.partition(here)
        if found:
            self.through = True
            self._out = b""
            return before, after
        keep = min(len(here) - 1, len(self._out))
        told, self._out = self._out[: len(self._out) - keep], self._out[len(self._out) - keep :]
        return told, b""

    def err(self, data: bytes) -> tuple[bytes, bytes]:
        """Takes standard error; returns what of it is for people, and what to answer."""
        if self.through:
            return self.rest() + data, b""
        self._said = (self._said + data)[-_MOST_SAID:]
        self._err += data
        asked = self._asked()
        if not asked:
            shown, _, held = self._err.rpartition(b"\n")
            self._err = held
            return (shown + b"\n" if shown else b""), b""
        shown, self._err = self._err.replace(asked, b""), b""
        if self._answered or self._become.password is None:
            self.refusal = self._words(_WRONG if self._answered else _UNASKED)
            return shown, b""
        self._answered = True
        return shown, self._become.password.reveal().encode() + b"\n"

    def answer(self, channel: Answered, stream: Stream, data: bytes) -> bytes:
        """Takes a piece of output of a program that reads nothing, answers it, and returns what the other account
        said."""
        if stream is Stream.STDOUT:
            return self.out(data)[1]
        _, answer = self.err(data)
        if answer:
            channel.sendall(answer)
        return b""

    @property
    def holds(self) -> bool:
        """Whether some of standard error is held back."""
        return bool(self._err)

    def rest(self) -> bytes:
        """Returns what was held back of standard error."""
        held, self._err = self._err, b""
        return held

    def unheard(self) -> bytes:
        """Returns what was held back of standard output for a word that never came."""
        held, self._out = self._out, b""
        return held

    def why_not(self, status: int | None, signal: str | None) -> str:
        """Returns one sentence on why nobody got through, by what was said and how the program ended, if it did."""
        for clues, words in _SAID:
            if any(clue in self._said for clue in clues):
                return self._words(_WRONG if words is _UNASKED and self._answered else words)
        if status == _NOT_FOUND:
            return self._words(_NO_PROGRAM)
        if signal:
            how = Sentence("signal {signal}", signal=signal)
        elif status is None:
            how = Sentence("no answer in time")
        else:
            how = Sentence("exit status {status}", status=status)
        program, user = self._become.method.value, self._become.user
        return Sentence(
            "{program} did not let the login through to {user} ({how}).", program=program, user=user, how=how
        )

    def _asked(self) -> bytes:
        if self._become.method is BecomeMethod.SUDO:
            asks = self._asks.encode()
            return asks if asks in self._err else b""
        return next((prompt for prompt in _SU_PROMPTS if self._err.endswith(prompt)), b"")

    def _words(self, words: Sentence) -> Sentence:
        user, method = self._become.user, self._become.method
        # sudo asks for the password of who is logged in, su for that of the other account.
        whose = Sentence("the login") if method is BecomeMethod.SUDO else user
        values = {"program": method.value, "user": user, "whose": whose}
        return Sentence(words, **{name: value for name, value in values.items() if f"{{{name}}}" in words})
