"""Commands that run as another account: real sudo and su, with and without a password, and that their end is an end."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from opsconsole.jobs.ports import Become, BecomeMethod, Exited, NotStarted, RemoteCommand, Secret, Spool
from opsconsole.jobs.states import Reason
from opsconsole.ssh import ParamikoConnector
from tests.support.accounts import accounts, change_password
from tests.support.requirements import not_run
from tests.support.runs import Result, collect, command, connect, until_started
from tests.support.sshd import Sshd, running_sshd

_PASSWORD = "pass word \"'$x\\"
_ROLES = ("free", "plain", "asked", "tty", "barred", "other")


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """A server of this module's own."""
    with running_sshd() as started:
        yield started


@pytest.fixture(scope="module")
def logins(server: Sshd) -> Iterator[dict[str, str]]:
    """Accounts by what sudo lets them do: ``free`` anything, ``plain`` too but without a pty of sudo's own, ``asked``
    with a password, ``tty`` from a terminal only, ``barred`` nothing; ``other`` is somebody to run commands as."""
    if os.geteuid() != 0:
        not_run("root, to make accounts", "run the tests as root")
    if shutil.which("sudo") is None:
        not_run("sudo", "apt-get install sudo")
    # An account is called by its shell.
    for role in _ROLES:
        (server.folder / role).symlink_to("/bin/sh")
    with accounts([str(server.folder / role) for role in _ROLES]) as names:
        found = {name.split("-")[2]: name for name in names if "-user-" in name}
        for role in ("asked", "other"):
            change_password(found[role], _PASSWORD)
        rules = Path("/etc/sudoers.d") / found["free"]
        try:
            _write(rules, found)
            yield found
        finally:
            rules.unlink(missing_ok=True)


def _write(rules: Path, found: dict[str, str]) -> None:
    free, plain, asked, tty = (found[role] for role in ("free", "plain", "asked", "tty"))
    rules.touch(mode=0o440)
    rules.write_text(
        f"Defaults:{free},{asked} use_pty\nDefaults:{plain} !use_pty\nDefaults:{tty} requiretty\n"
        f"{free},{plain},{tty} ALL=(ALL) NOPASSWD: ALL\n{asked} ALL=(ALL) ALL\n"
    )
    subprocess.run(["visudo", "-cqf", str(rules)], check=True)


class As:
    """Runs commands on the server as the login ``role`` and then as another account."""

    def __init__(self, connector: ParamikoConnector, server: Sshd, logins: dict[str, str], role: str) -> None:
        self.session = connect(connector, server.target(user=logins[role]), server.auth())

    def command(self, script: str, become: Become, **limits: int) -> RemoteCommand:
        return replace(command(script, **limits), become=become)

    def run(self, script: str, become: Become, **limits: int) -> Result:
        try:
            return collect(self.session.start(self.command(script, become, **limits)).events(0.5))
        finally:
            self.session.close(keep=True)


Login = Callable[[str], As]


@pytest.fixture
def login(connector: ParamikoConnector, server: Sshd, logins: dict[str, str]) -> Login:
    """Makes an ``As`` from a role."""
    return lambda role: As(connector, server, logins, role)


def alive(mark: str) -> list[list[str]]:
    """Returns the command lines of what has ``mark`` in its environment or among its words."""
    found = []
    for process in psutil.process_iter():
        try:
            its = mark in process.cmdline() or process.environ().get("OPSC_RUN") == mark
            if its and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("role", ["free", "plain"])
class TestSudoUnasked:
    def test_it_runs_as_the_account_with_its_streams_and_status(
        self, login: Login, logins: dict[str, str], role: str
    ) -> None:
        result = login(role).run('id -un; echo err >&2; cat; echo "${LC_MESSAGES-unset}"; exit 7', Become("root"))
        assert (result.stdout, result.stderr, result.end) == (b"root\nunset\n", b"err\n", Exited(7))
        result = login(role).run("id -un", Become(logins["other"]))
        assert (result.stdout.decode().strip(), result.end) == (logins["other"], Exited(0))

    @pytest.mark.parametrize("other", [False, True], ids=["root", "other"])
    def test_orders_end_all_of_it(self, login: Login, logins: dict[str, str], role: str, other: bool) -> None:
        acting = login(role)
        become = Become(logins["other"] if other else "root")
        started = acting.command("trap '' TERM; setsid sleep 301 & sleep 302; sleep 303", become, grace=1)
        running = acting.session.start(started)
        events = running.events(0.2)
        until_started(events)
        running.signal("TERM", grace=0.5)
        time.sleep(0.5)
        running.signal("KILL")
        end = collect(events).end
        assert isinstance(end, Exited), end
        assert end.doubt is None
        assert alive(started.mark) == []
        acting.session.close(keep=False)

    def test_a_lost_connection_ends_it(self, login: Login, logins: dict[str, str], role: str) -> None:
        acting = login(role)
        started = acting.command("sleep 304", Become("root"), grace=1)
        until_started(acting.session.start(started).events(0.2))
        assert alive(started.mark)
        acting.session.close(keep=False)
        # One look at all processes may miss what is just being started, such as the pause before KILL.
        give_up_at, empty = time.monotonic() + 30, 0
        while empty < 5 and time.monotonic() < give_up_at:
            empty = 0 if alive(started.mark) else empty + 1
            time.sleep(0.1)
        assert alive(started.mark) == []

    def test_a_look_sees_and_ends_what_is_left(
        self, login: Login, connector: ParamikoConnector, server: Sshd, logins: dict[str, str], role: str
    ) -> None:
        acting = login(role)
        started = acting.command("setsid sleep 305 >/dev/null 2>&1 & echo left", Become("root"))
        collect(acting.session.start(started).events(0.2))
        acting.session.close(keep=False)
        own = connect(connector, server.target(user=logins[role]), server.auth())
        sight = own.search(started.mark, end=None, seconds=10, become=Become("root"))
        own.close(keep=False)
        assert (sight.problem, sight.alive) == (None, 1)
        ender = connect(connector, server.target(user=logins[role]), server.auth())
        sight = ender.search(started.mark, end=1, seconds=10, become=Become("root"))
        ender.close(keep=False)
        assert (sight.clear, sight.ended, alive(started.mark)) == (True, 1, [])


def test_with_a_password_given_once(login: Login) -> None:
    asked = Become("root", password=Secret(_PASSWORD))
    result = login("asked").run("id -un; cat", asked)
    assert (result.stdout, result.end) == (b"root\n", Exited(0))
    assert _PASSWORD.encode() not in result.stderr
    assert b"opsc-asks" not in result.stderr
    # Who is not asked is not told either: the script is no password, nor the password a script.
    assert login("free").run("id -un", asked).stdout == b"root\n"


def test_with_a_password_the_search_gives_it_too(login: Login) -> None:
    acting = login("asked")
    started = acting.command("setsid sleep 306 & sleep 307", Become("root", password=Secret(_PASSWORD)), grace=1)
    running = acting.session.start(started)
    events = running.events(0.2)
    until_started(events)
    running.signal("TERM")
    end = collect(events).end
    assert isinstance(end, Exited)
    assert (end.doubt, alive(started.mark)) == (None, [])
    acting.session.close(keep=False)


@pytest.mark.parametrize(
    ("role", "become", "words"),
    [
        ("asked", Become("root"), "wants a password"),
        ("asked", Become("root", password=Secret("wrong")), "did not accept the password"),
        ("barred", Become("root"), "wants a password"),
        ("tty", Become("root"), "wants a terminal"),
        ("free", Become("nosuchuser"), "no user nosuchuser"),
        ("barred", Become("root", BecomeMethod.SU), "wants a password"),
        ("barred", Become("root", BecomeMethod.SU, Secret("wrong")), "did not accept the password"),
        ("free", Become("nosuchuser", BecomeMethod.SU), "no user nosuchuser"),
    ],
)
def test_who_is_not_let_through_hears_why(login: Login, role: str, become: Become, words: str) -> None:
    began = time.monotonic()
    result = login(role).run("touch /tmp/opsc-never", become)
    assert isinstance(result.end, NotStarted), result
    assert (result.end.reason, words in result.end.detail) == (Reason.RUN_AS, True), (result.end.detail, result.stderr)
    assert not Path("/tmp/opsc-never").exists()
    assert time.monotonic() - began < 10


def test_who_sudo_bars_hears_it(login: Login, logins: dict[str, str]) -> None:
    change_password(logins["barred"], _PASSWORD)
    end = login("barred").run("id", Become("root", password=Secret(_PASSWORD))).end
    assert isinstance(end, NotStarted)
    assert "does not allow this login" in end.detail


def test_su_takes_the_password_of_the_account(login: Login, logins: dict[str, str]) -> None:
    become = Become(logins["other"], BecomeMethod.SU, Secret(_PASSWORD))
    result = login("barred").run("id -un; cat; exit 3", become)
    assert (result.stdout.decode().strip(), result.end) == (logins["other"], Exited(3))
    acting = login("barred")
    started = acting.command("setsid sleep 308 & sleep 309", become, grace=1)
    running = acting.session.start(started)
    events = running.events(0.2)
    until_started(events)
    running.signal("TERM")
    end = collect(events).end
    assert isinstance(end, Exited)
    assert (end.doubt, alive(started.mark)) == (None, [])
    acting.session.close(keep=False)


@pytest.mark.parametrize("role", ["free", "plain", "asked"])
def test_durable_runs_of_another_account(
    login: Login, connector: ParamikoConnector, server: Sshd, logins: dict[str, str], role: str
) -> None:
    become = Become("root", password=Secret(_PASSWORD) if role == "asked" else None)
    first = login(role)
    wanted = first.command("id -un; sleep 1.5; echo end; exit 5", become)
    spool = Spool(head=1_000_000, tail=1_000_000)
    until_started(first.session.start(replace(wanted, spool=spool)).events(0.2))
    first.session.close(keep=False)
    again = connect(connector, server.target(user=logins[role]), server.auth())
    result = collect(again.start(replace(wanted, spool=replace(spool, attach=True))).events(0.2))
    assert (result.stdout, result.end) == (b"root\nend\n", Exited(5))
    again.forget(wanted.mark, become)
    again.close(keep=False)
    assert not list(Path("/root/.cache/opsconsole").glob(wanted.mark))
