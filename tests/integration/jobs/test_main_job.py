"""The main job through real workers: from an order to a row for each host."""

from collections.abc import Iterator

import pytest

from opsconsole.inventory import hostkey_desk, hostkeys
from opsconsole.jobs import grouping, queries, results
from opsconsole.jobs.models import HostRun
from opsconsole.secret import Secret
from opsconsole.settings import Settings
from tests.integration.jobs.conftest import options
from tests.support.console import Console, embedded_broker, running_console
from tests.support.factories import make_key
from tests.support.sshd import Sshd

KEY = {"credential": "key:test"}


def said(console: Console, run: HostRun, fd: int = 1) -> list[str]:
    """Returns the lines that a run wrote on one stream."""
    with console.database.read() as session:
        return [line[3] for line in results.output(session, run)["lines"] if line[2] == fd]


def test_three_hosts_say_who_they_are(console: Console, sshd: Sshd) -> None:
    body, runs = console.run("127.0.0.[1-3]", "echo out; echo err >&2; echo more; id -un", **KEY)
    assert body["state"] == "succeeded"
    assert body["counts"]["o"] == body["done"] == 3
    assert body["started_at"] <= body["finished_at"]
    for run in runs:
        assert (run.exit_status, run.reason, run.attempt, run.lines) == (0, None, 1, 4)
        assert run.connect_ms is not None
        assert run.duration_ms is not None
        assert run.pid is not None
        assert run.host_key == hostkeys.fingerprint(sshd.known_key())
        assert said(console, run) == ["out", "more", sshd.user]
        assert said(console, run, 2) == ["err"]
    with console.database.read() as session:
        job = queries.get_job(session, body["id"], console.actor)
        (group,) = grouping.groups(session, job)["groups"]
        assert queries.grid(session, job)["grid"] == "ooo"
    assert (group["count"], group["folded"], group["head"]) == (3, "127.0.0.[1-3]", "out")


def test_each_host_is_told_by_its_own_exit(console: Console) -> None:
    command = 'case $SSH_CONNECTION in *" 127.0.0.1 "*) exit 0;; *" 127.0.0.2 "*) exit 7;; *) kill -SEGV $$;; esac'
    body, runs = console.run("127.0.0.[1-3]", f"sh -c '{command}'", **KEY)
    assert body["state"] == "partial"
    assert [run.state for run in runs] == ["succeeded", "failed", "failed"]
    assert [run.exit_status for run in runs] == [0, 7, 139]
    assert [run.reason for run in runs] == [None, "exit_status", "exit_status"]


def test_a_command_keeps_its_bytes_and_needs_no_input(console: Console) -> None:
    body, (run,) = console.run("127.0.0.1", r"cat; printf '\377\000\033[31mred\n'; printf 'grüße\n'", **KEY)
    assert body["state"] == "succeeded"
    with console.database.read() as session:
        assert b"".join(results.raw(session, run)) == b"\xff\x00\x1b[31mred\n" + "grüße\n".encode()
    assert run.last_line == "grüße"


def test_deadlines_end_the_command_on_the_host(console: Console) -> None:
    body, (run,) = console.run("127.0.0.1", "echo begun; sleep 600", command_timeout=1.0, **KEY)
    assert body["counts"]["k"] == 1
    assert run.reason == "command_timeout"
    assert "confirmed" in (run.detail or "")
    assert said(console, run) == ["begun"]
    _, (run,) = console.run("127.0.0.1", "echo begun; sleep 600", idle_timeout=1.0, **KEY)
    assert (run.state, run.reason) == ("timed_out", "idle_timeout")


def test_where_nobody_listens_nothing_ran(console: Console) -> None:
    body, runs = console.run("127.0.0.1:1 no-such-host.invalid 127.0.0.1", "true", connect_timeout=5.0, **KEY)
    assert body["state"] == "partial"
    assert [(run.state, run.reason) for run in runs[:2]] == [("unreachable", "refused"), ("unreachable", "dns")]
    assert runs[2].state == "succeeded"


def test_a_wrong_password_is_refused_and_forgotten(console: Console) -> None:
    secret = "hunter2-canary"
    body, (run,) = console.run("127.0.0.1", "true", credential="password", password=Secret(secret))
    assert (run.state, run.reason) == ("unreachable", "auth")
    assert secret not in (run.detail or "")
    assert secret not in console.logs()
    folder = console.settings.data_dir
    assert not [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert body["state"] == "failed"


def test_a_rerun_of_what_failed_is_a_job_of_its_own(console: Console, tmp_path: object) -> None:
    flag = f"{tmp_path}/flag"
    command = f'case $SSH_CONNECTION in *" 127.0.0.2 "*) test -e {flag};; esac'
    body, _ = console.run("127.0.0.[1-3]", command, **KEY)
    assert body["counts"]["f"] == 1
    console.run("127.0.0.1", f"touch {flag}", **KEY)
    again = console.follow(console.rerun(body["id"], "fu"))
    assert (again["state"], again["targets"]["count"], again["rerun_of"]) == ("succeeded", 1, body["id"])
    assert again["targets"]["folded"] == "127.0.0.2"


@pytest.fixture(scope="module")
def strict(sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console that trusts nobody yet, and whose workers have a known_hosts file."""
    data_dir = tmp_path_factory.mktemp("strict")
    chosen = options(sshd, host_key_policy="strict", use_ambient_keys=True)
    settings = Settings.load(data_dir=data_dir, **chosen)
    (data_dir / ".ssh").mkdir(mode=0o700)
    (data_dir / ".ssh" / "known_hosts").write_text(sshd.known_hosts("127.0.0.21"))
    with embedded_broker(settings), running_console(settings) as running:
        running.start_workers(1)
        yield running


def test_an_unknown_host_key_is_offered_trusted_and_then_the_rerun_runs(strict: Console, sshd: Sshd) -> None:
    body, runs = strict.run("127.0.0.[11-12]", "echo hello", **KEY)
    assert [(run.state, run.reason) for run in runs] == [("unreachable", "host_key_unknown")] * 2
    print_of_key = hostkeys.fingerprint(sshd.known_key())
    with strict.database.transaction() as session:
        job = queries.get_job(session, body["id"], strict.actor)
        offered = queries.offered_keys(session, job)
        assert [(row["host"], row["fingerprint"]) for row in offered] == [
            ("127.0.0.11", print_of_key),
            ("127.0.0.12", print_of_key),
        ]
        place = offered[0]
        wanted = [hostkey_desk.KeyRef(place["address"], place["port"], print_of_key)]
        hostkey_desk.trust(session, wanted, actor=strict.actor, now=strict.clock.now())
    again = strict.follow(strict.rerun(body["id"], "u"))
    assert again["counts"] == {**again["counts"], "o": 1, "u": 1}
    first, second = strict.runs(again["id"])
    assert (first.state, said(strict, first)) == ("succeeded", ["hello"])
    assert second.reason == "host_key_unknown"


def test_what_known_hosts_says_is_known(strict: Console) -> None:
    body, _ = strict.run("127.0.0.21", "true", **KEY)
    assert body["state"] == "succeeded"


def test_a_changed_host_key_is_refused_and_says_so(strict: Console, sshd: Sshd) -> None:
    with strict.database.transaction() as session:
        key = make_key(sshd.known_key().algorithm)
        source = hostkeys.Source.KNOWN_HOSTS
        hostkeys.remember(session, "127.0.0.31", sshd.port, key, source=source, now=strict.clock.now())
    body, (run,) = strict.run("127.0.0.31", "true", **KEY)
    assert (run.state, run.reason) == ("unreachable", "host_key_changed")
    with strict.database.read() as session:
        (offered,) = queries.offered_keys(session, queries.get_job(session, body["id"], strict.actor))
        assert offered["fingerprint"] == hostkeys.fingerprint(sshd.known_key())
    # The next one does not even knock.
    before = sshd.log_text().count("Connection from")
    body, (run,) = strict.run("127.0.0.31", "true", **KEY)
    assert (run.state, run.reason) == ("unreachable", "host_key_changed")
    assert "until an administrator decides" in (run.detail or "")
    assert sshd.log_text().count("Connection from") == before
    with strict.database.transaction() as session:
        wanted = [hostkey_desk.KeyRef("127.0.0.31", sshd.port, offered["fingerprint"])]
        hostkey_desk.trust(session, wanted, actor=strict.actor, now=strict.clock.now())
    _, (run,) = strict.run("127.0.0.31", "true", **KEY)
    assert run.state == "succeeded"
