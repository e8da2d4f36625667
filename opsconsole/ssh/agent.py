"""The ssh-agent of the worker's own user: its keys, the certificates among them, and signatures by them."""

import paramiko.agent
from paramiko.agent import AgentKey, get_agent_connection
from paramiko.message import Message
from paramiko.pkey import PublicBlob
from paramiko.ssh_exception import SSHException

from opsconsole.ssh.seams import AgentSSH

CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
# A signature may wait for a person's touch.
_SECONDS = 15.0
_COMMENT_CHARS = 60


class HeldKey(AgentKey):
    """A key, or a key's certificate, that the agent holds. paramiko's own shows a certificate as if it were a key."""

    def __init__(
        self, agent: paramiko.agent.AgentSSH, blob: bytes, comment: str, certificate: PublicBlob | None = None
    ) -> None:
        """``certificate`` is one that the agent itself does not hold, for its key with ``blob``."""
        super().__init__(agent, blob, comment)
        if certificate is None and self.name.endswith(CERTIFICATE_SUFFIX):
            certificate = PublicBlob.from_message(Message(blob))
        self.certificate = certificate
        self.public_blob = certificate  # type: ignore[assignment]  # The stubs know an agent's keys without any.

    @property
    def label(self) -> str:
        """What people know it by."""
        kind = "certificate" if self.certificate is not None else "key"
        return f"agent {kind} {self.comment[:_COMMENT_CHARS]!r}" if self.comment else f"agent {kind} {self.name}"

    def asbytes(self) -> bytes:
        """Returns the blob that the agent knows it by and signs for."""
        return self.blob

    def certified(self, certificate: PublicBlob) -> "HeldKey":
        """Returns this key as what ``certificate`` was made for."""
        return HeldKey(self.agent, self.blob, self.comment, certificate)


class _StatelessAgent(AgentSSH):
    """The agent, asked over a connection of its own each time: keys are shared by many hosts that sign at once."""

    def _send_message(self, msg: object) -> tuple[int, Message]:
        connection = get_agent_connection()
        if connection is None:
            raise SSHException("lost ssh-agent")
        connection.settimeout(_SECONDS)
        asking = AgentSSH()
        asking._conn = connection
        try:
            return asking._send_message(msg)
        except OSError:
            raise SSHException("lost ssh-agent") from None
        finally:
            connection.close()


def held_keys() -> tuple[HeldKey, ...]:
    """Returns what the agent holds, in its order; nothing when there is no agent or it does not answer."""
    connection = get_agent_connection()
    if connection is None:
        return ()
    connection.close()
    agent = _StatelessAgent()
    try:
        agent._connect(None)
    except (SSHException, OSError, ValueError):
        return ()
    return tuple(HeldKey(agent, key.blob, key.comment) for key in agent.get_keys())
