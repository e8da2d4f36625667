"""Proving who we are to a server: what it offers, what it may ask, and that nothing is answered twice."""

import re
import threading
from collections.abc import Sequence

from paramiko.message import Message
from paramiko.ssh_exception import SSHException

from opsconsole.jobs.ports import Secret
from opsconsole.ssh.seams import AuthHandler, Transport

_MAX_PROMPT_CHARS = 4096
_EXPIRED = re.compile(r"expired|new password|change your password|password change", re.IGNORECASE)


class Prover(AuthHandler):
    """paramiko's client authentication, remembering what the server offers and bounding what it may ask.

    A prompt is answered once: ``interview`` gives each answer to one prompt, in order, and a server that asks for more
    ends the connection, as does one that demands a new password; ``asked_more`` and ``demands_change`` then say so.

    Signatures are made by the caller of ``auth_publickey`` and not by the reader, so that an agent that will not sign
    costs one key and not the connection.
    """

    _MAX_PROMPTS = 8

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.offered: tuple[str, ...] = ()
        self.partial = False
        self.service = threading.Event()
        self.asked_more = False
        self.demands_change = False
        self._answers: list[Secret] = []

    def ask_for_service(self) -> None:
        """Asks the server to begin authentication; ``service`` is set when it agrees or the connection ends."""
        super()._request_auth()

    def interview(self, user: str, answers: Sequence[Secret], done: threading.Event) -> None:
        """Lets the server ask; ``done`` is set when it has decided or the connection has ended."""
        self._answers = list(answers)
        super().auth_interactive(user, self._answer, done)

    def _answer(self, title: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        if len(prompts) > len(self._answers):
            # After a right password this is how PAM asks for a new one.
            asked = " ".join((title, instructions, *(text for text, _ in prompts)))
            self.demands_change = _EXPIRED.search(asked[:_MAX_PROMPT_CHARS]) is not None
            self.asked_more = True
            raise SSHException("more prompts than answers")
        given, self._answers = self._answers[: len(prompts)], self._answers[len(prompts) :]
        return [answer.reveal() for answer in given]

    def abort(self) -> None:
        """Wakes whoever waits for an answer that will not come."""
        self.service.set()
        super().abort()

    def _request_auth(self) -> None:
        # The service is asked for once, not again for each key: a round trip saved, and some servers want it so.
        accept = Message()
        accept.add_string("ssh-userauth")
        accept.rewind()
        super()._parse_service_accept(accept)

    def _parse_service_accept(self, m: Message) -> None:
        self.service.set()

    def _parse_userauth_failure(self, m: Message) -> None:
        reading = Message(m.asbytes())
        self.offered = tuple(reading.get_list())
        self.partial = reading.get_boolean()
        super()._parse_userauth_failure(m)

    def _parse_userauth_info_request(self, m: Message) -> None:
        if self.auth_method == "password":
            # The same number means here: log in again with a new password (RFC 4252, 8).
            self.demands_change = True
            raise SSHException("the password has expired")
        reading = Message(m.asbytes())
        for _ in range(3):
            reading.get_binary()
        if reading.get_int() > self._MAX_PROMPTS:
            raise SSHException("too many prompts")
        super()._parse_userauth_info_request(m)
