"""An authenticated connection lent to one run."""

from opsconsole.jobs.ports import Become, ConnectionFacts, RemoteCommand, RemoteProcess, Sight
from opsconsole.jobs.raw import RawCommand
from opsconsole.jobs.transfer import Transfer
from opsconsole.ssh import carrying, durable, lease
from opsconsole.ssh.channel import SEND_FAILURES, RunChannel
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.line import Line, LineChannel
from opsconsole.ssh.passage import Passage
from opsconsole.ssh.pool import Kept, Pool
from opsconsole.ssh.process import Request, SshProcess
from opsconsole.ssh.raw import RawProcess
from opsconsole.ssh.sweep import Sweep

# The server's own close follows the exit within a round trip; a connection that is slower is not worth keeping.
_CLOSE_WAIT_SECONDS = 0.5
# How long the removal of an ended run's folder may hold up its connection.
_FORGET_SECONDS = 3.0


class SshSession:
    """See ``opsconsole.jobs.ports.Session``. The channel is asked for beforehand; nothing runs until ``start``."""

    def __init__(
        self, kept: Kept, channel: RunChannel, facts: ConnectionFacts, pool: Pool, answer_seconds: float
    ) -> None:
        self.facts = facts
        self._kept = kept
        self._channel = channel
        self._pool = pool
        self._answer_seconds = answer_seconds
        self._closed = False

    def start(self, command: RemoteCommand) -> RemoteProcess:
        """Sends the exec request, or lets the process send it as soon as the server has opened the session."""
        return started(self._kept.transport, self._channel, command, self._answer_seconds)

    def start_raw(self, command: RawCommand) -> RemoteProcess:
        """Gives a command to a device over a terminal; see ``opsconsole.jobs.perform.RawSession``."""
        return RawProcess(self._kept.transport, self._channel, command, self._answer_seconds)

    def transfer(self, transfer: Transfer, become: Become | None = None) -> RemoteProcess:
        """Asks for SFTP and carries files; see ``opsconsole.jobs.perform.FileSession``."""
        sftp = carrying.client(self._kept.transport, self._channel, become, self._answer_seconds)
        return carrying.TransferProcess(sftp, transfer, plain_login=become is None)

    def tidy(self, transfer: Transfer, *, seconds: float, become: Become | None = None) -> Sight:
        """Removes what a transfer left half written; see ``opsconsole.jobs.perform.FileSession``."""
        sftp = carrying.client(self._kept.transport, self._channel, become, self._answer_seconds)
        return carrying.tidy(sftp, transfer, seconds)

    def forget(self, mark: str, become: Become | None = None) -> None:
        """See ``opsconsole.jobs.ports.Session``. The run's own channel has ended by then."""
        if not self._channel_ended():
            return
        clean_up(self._kept.transport, mark, become)

    def search(self, mark: str, *, end: float | None, seconds: float, become: Become | None = None) -> Sight:
        """Returns what on the host carries ``mark``; see ``opsconsole.jobs.ports.Session``."""
        sweep = Sweep(self._kept.transport, mark, end=end, seconds=seconds, channel=self._channel, become=become)
        return sweep.wait()

    def close(self, *, keep: bool) -> None:
        """Gives the connection back for a later run when ``keep`` is set and it is in order, or ends it."""
        if self._closed:
            return
        self._closed = True
        if keep and self._channel_ended():
            self._pool.put(self._kept)
        else:
            self._kept.transport.abort()

    def _channel_ended(self) -> bool:
        """Closes the channel; returns whether the server has closed it too, so that its session slot is free again."""
        self._channel.wait_for(self._channel.answered, _CLOSE_WAIT_SECONDS)
        if not self._channel.opened or not self._kept.transport.is_active():
            return False
        try:
            self._channel.close()
        except SEND_FAILURES:
            return False
        return self._channel.wait_for(lambda: self._channel.peer_closed, _CLOSE_WAIT_SECONDS)


def started(line: Line, channel: LineChannel, command: RemoteCommand, answer_seconds: float) -> RemoteProcess:
    """Returns the process of ``command``, which is sent at once or as soon as ``channel`` is open."""
    if command.spool is not None:
        request = durable.request(command, command.spool)
        return durable.DurableProcess(SshProcess(line, channel, request, answer_seconds), command.spool)
    passage = Passage.to(command.become)
    words, stdin = lease.exec_line(command, passage), lease.stdin_bytes(command)
    request = Request(words, stdin, command.mark, float(command.grace_seconds), command.become, passage)
    return SshProcess(line, channel, request, answer_seconds)


def clean_up(line: Line, mark: str, become: Become | None) -> None:
    """Has the host remove what it keeps of the ended run with ``mark``; waits some seconds for it at most."""
    give_up = Deadline(_FORGET_SECONDS)
    passage = Passage.to(become)
    try:
        channel = line.open_run_channel()
        if channel.wait_for(channel.answered, give_up.left) and channel.opened:
            channel.request_exec(durable.clean_line(mark, passage))
            _see_through(channel, passage, give_up)
            channel.close()
    except SEND_FAILURES:
        line.abort()


def _see_through(channel: LineChannel, passage: Passage | None, give_up: Deadline) -> None:
    """Waits until the program on ``channel`` has ended, and gives the password when it is asked for."""
    while not _ended(channel) and give_up.left > 0:
        channel.wake.clear()
        while piece := channel.take():
            if passage is not None and not passage.through:
                passage.answer(channel, *piece)
        if not _ended(channel):
            channel.wake.wait(give_up.left)


def _ended(channel: LineChannel) -> bool:
    return channel.exit_code is not None or bool(channel.closed)
