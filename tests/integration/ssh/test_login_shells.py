"""Whatever a person's login shell is, the command runs in /bin/sh, is searched for, and ends when it is told to."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opsconsole.jobs.ports import Become, BecomeMethod, Exited, Spool
from opsconsole.ssh import ParamikoConnector
from tests.support.accounts import accounts
from tests.support.requirements import not_run
from tests.support.runs import collect, command, connect, run, until_started
from tests.support.sshd import Sshd, running_sshd

_SHELLS = ("dash", "bash", "ash", "fish", "tcsh")
_MEANS_THE_SAME = "\n".join(  # noqa: FLY002 - one thought a line that some login shell would take for something else.
    (
        "printf '%s\\n' \"$0 $#\" 'a!b!!c' \"it's\" 'back\\\\slash' '$HOME `id`' 'ä€'",
        "for word in *no-such-file* {a,b} ~nobody-there; do printf '%s\\n' \"$word\"; done",
        "exit 7",
    )
)
_SAID = "opsc 0\na!b!!c\nit's\nback\\\\slash\n$HOME `id`\nä€\n*no-such-file*\n{a,b}\n~nobody-there\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """A server of this module's own."""
    with running_sshd() as started:
        yield started


@pytest.fixture(scope="module")
def logins(server: Sshd) -> Iterator[dict[str, str]]:
    """Accounts by ``user`` or ``root``, and the name of their login shell."""
    if os.geteuid() != 0:
        not_run("root, to make accounts", "run the tests as root")
    shells = [shutil.which(shell) for shell in _SHELLS if shell != "ash"]
    if busybox := shutil.which("busybox"):
        # busybox is the shell that it is called by.
        ash = server.folder / "ash"
        ash.symlink_to(busybox)
        shells.append(str(ash))
    with accounts([shell for shell in shells if shell]) as names:
        yield {"-".join(name.split("-")[1:3]): name for name in names}


@pytest.mark.parametrize("shell", _SHELLS)
def test_every_login_shell_runs_it(
    connector: ParamikoConnector, server: Sshd, logins: dict[str, str], shell: str
) -> None:
    if f"user-{shell}" not in logins:
        not_run(shell, f"apt-get install {shell}")
    target = server.target(user=logins[f"user-{shell}"])
    result = run(connector, target, server.auth(), _MEANS_THE_SAME, keep=True)
    assert (result.stdout.decode(), result.end) == (_SAID, Exited(7))
    # fish says there that it cannot write to these accounts' home, and would say the same to ssh.
    assert not result.stderr or shell == "fish"

    session = connect(connector, target, server.auth())
    running = session.start(command("setsid sleep 300 & sleep 300", grace=1))
    events = running.events(0.2)
    until_started(events)
    running.signal("TERM")
    assert collect(events).end == Exited(143)
    session.close(keep=True)

    kept = command(_MEANS_THE_SAME)
    durable = replace(kept, spool=Spool(1024, 1024))
    session = connect(connector, target, server.auth())
    result = collect(session.start(durable).events(0.5))
    assert (result.stdout.decode(), result.stderr, result.end) == (_SAID.replace(" 4", " 0"), b"", Exited(7))
    folders = [Path(place) / kept.mark for place in Path("/tmp").glob("opsconsole-*")]
    assert any(folder.is_dir() for folder in folders)
    session.forget(kept.mark)
    session.close(keep=False)
    assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize("shell", _SHELLS)
def test_every_login_shell_leads_to_another_account(
    connector: ParamikoConnector, server: Sshd, logins: dict[str, str], shell: str
) -> None:
    if f"root-{shell}" not in logins:
        not_run(shell, f"apt-get install {shell}")
    session = connect(connector, server.target(user=logins[f"root-{shell}"]), server.auth())
    order = replace(command("id -un; echo 'a!b'; exit 7"), become=Become("nobody", BecomeMethod.SU))
    result = collect(session.start(order).events(0.5))
    session.close(keep=False)
    assert (result.stdout, result.end) == (b"nobody\na!b\n", Exited(7))


def test_one_session_and_a_forced_command_that_lets_the_order_through(connector: ParamikoConnector) -> None:
    forced = 'printf "for the audit: %s\\n" "$USER" >&2; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'
    with running_sshd(options={"ForceCommand": forced, "MaxSessions": "1"}) as server:
        result = run(connector, server.target(), server.auth(), _MEANS_THE_SAME, keep=True)
        assert (result.stdout.decode(), result.end) == (_SAID, Exited(7))
        assert result.stderr.startswith(b"for the audit: ")
        # The search for what escaped takes a session of its own.
        session = connect(connector, server.target(), server.auth())
        running = session.start(command("setsid sleep 300 & sleep 300", grace=1))
        events = running.events(0.2)
        until_started(events)
        running.signal("TERM")
        end = collect(events).end
        assert isinstance(end, Exited)
        assert end.status == 143
        session.close(keep=False)
