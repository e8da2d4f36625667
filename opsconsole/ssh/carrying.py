"""A transfer of files as a process that is followed like a command, and the removal of what one left behind."""

from collections.abc import Iterator

from opsconsole.jobs.ports import Become, Dropped, Event, Exited, Idle, NotStarted, Output, Sight, Stream
from opsconsole.jobs.states import Reason
from opsconsole.jobs.transfer import Progress, Pull, Push, Transfer
from opsconsole.sentences import Sentence, joined
from opsconsole.ssh import remote_files as remote
from opsconsole.ssh.channel import RunChannel
from opsconsole.ssh.deadline import Deadline
from opsconsole.ssh.leftovers import partial_names
from opsconsole.ssh.passage import Passage
from opsconsole.ssh.pulling import Pulling
from opsconsole.ssh.pushing import Pushing
from opsconsole.ssh.remote_files import why
from opsconsole.ssh.sftp import Sftp, Stopped, Turned
from opsconsole.ssh.sftp_packets import Gone, Refused
from opsconsole.ssh.transport import ClientTransport

# Where systems keep OpenSSH's program; sshd's own subsystem runs as the login alone.
_SERVER = (
    "for p in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec /usr/lib64/ssh /usr/local/libexec; do "
    '[ -x "$p/sftp-server" ] && exec "$p/sftp-server"; done; exit 127'
)
_TIDY_FILES = 1000


def client(transport: ClientTransport, channel: RunChannel, become: Become | None, answer_seconds: float) -> Sftp:
    """Returns an SFTP client on ``channel``, as the login's account or as another one. Nothing is sent yet."""
    passage = Passage.to(become)
    line = passage.line(["/bin/sh", "-c", _SERVER]) if passage is not None else None
    return Sftp(transport, channel, answer_seconds, exec_line=line, passage=passage)


class TransferProcess:
    """See ``opsconsole.jobs.ports.RemoteProcess``. It ends with status 0 when all was carried, 1 when something was
    not; what it tells on the way is the same on hosts where the same was done."""

    def __init__(self, sftp: Sftp, transfer: Transfer, *, plain_login: bool) -> None:
        self._sftp = sftp
        self._work: Pushing | Pulling = _work(sftp, transfer, plain_login=plain_login)
        self._reported: tuple[int, int | None] | None = None
        self._keeps = False
        sftp.news = self._news

    def events(self, poll_seconds: float) -> Iterator[Event]:
        """Yields what is done, and how far it is at least every ``poll_seconds``."""
        self._sftp.poll_seconds = poll_seconds
        begun = False
        try:
            yield from self._sftp.begin()
            begun = True
            all_there = yield from self._work.run()
            yield Progress(self._work.done, self._work.total)
            yield Exited(0 if all_there else 1)
        except Turned as error:
            yield NotStarted(str(error), Reason.RUN_AS if error.run_as else Reason.EXEC_REFUSED)
        except Gone as error:
            yield Dropped(joined(" ", filter(None, (str(error), self._work.left)))) if begun else NotStarted(str(error))
        except Stopped:
            yield from self._stopped()
        except OSError as error:
            yield Output(Stream.STDERR, f"The console cannot store what comes: {error.strerror}.\n".encode())
            yield Exited(1)
        finally:
            self._work.discard()

    def signal(self, name: str, *, grace: float | None = None) -> None:
        """Ends the transfer: ``TERM`` with what was half done cleared away, ``HUP`` without what a later one can go on
        from, ``KILL`` at once."""
        if name == "KILL":
            self._sftp.kill()
        else:
            self._keeps = name == "HUP"
            self._sftp.stop()

    def _news(self) -> Event:
        now = (self._work.done, self._work.total)
        if now == self._reported:
            return Idle()
        self._reported = now
        return Progress(*now)

    def _stopped(self) -> Iterator[Event]:
        if self._keeps and (kept := self._work.kept):
            yield Exited(None, "HUP", kept=kept)
            return
        left = self._work.left
        doubt: str | None = left or None
        if not self._sftp.killed:
            self._sftp.clearing = True
            try:
                doubt = yield from self._work.clear()
                if left and doubt is None:
                    yield Output(Stream.STDERR, b"Stopped. What was half written has been removed.\n")
            except (Gone, Stopped):
                # The text of before says where it is.
                doubt = left or None
        yield Exited(None, "KILL" if self._sftp.killed else "TERM", doubt=doubt)


def _work(sftp: Sftp, transfer: Transfer, *, plain_login: bool) -> Pushing | Pulling:
    if isinstance(transfer, Push):
        return Pushing(transfer, sftp, plain_login=plain_login)
    return Pulling(transfer, sftp)


def tidy(sftp: Sftp, transfer: Transfer, seconds: float) -> Sight:
    """Removes what a transfer may have left half written on the host; returns what could not be, as ``problem``."""
    if isinstance(transfer, Pull):
        return Sight()
    deadline, told = Deadline(seconds), ""

    def work() -> Iterator[Event]:
        nonlocal told
        yield from sftp.begin()
        for name in list(partial_names(transfer))[:_TIDY_FILES]:
            try:
                yield from remote.removed(sftp, name)
            except Refused as error:
                told = why(error, f"The partial file {remote.shown(name)} cannot be removed")

    try:
        for _ in work():
            if deadline.passed:
                sftp.kill()
    except (Turned, Gone, Stopped):
        return Sight(problem=Sentence("What was half written may be left on the host: it could not be looked for."))
    return Sight(problem=told or None)
