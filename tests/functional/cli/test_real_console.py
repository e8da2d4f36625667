"""The command line against a real console with real hosts: ``opsconsole up --demo`` in a folder of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from opsconsole.cli.main import main
from opsconsole.inventory import known_hosts
from tests.integration.launcher.processes import demo_options, sleeping
from tests.support.sshd import make_key, running_sshd

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]
_SECONDS = 60


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("console")
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir()
    make_key(home / ".ssh" / "id_ed25519")
    chosen = {"OPSCONSOLE_DATA_DIR": str(folder), "OPSCONSOLE_PORT": "0", "HOME": str(home)}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPSCONSOLE_")} | chosen
    command = [sys.executable, "-m", "opsconsole", "up", "--demo", "12", *demo_options(), "--workers", "1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            _wait_for(folder / "run" / "console.json", process)
            yield environment
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=_SECONDS)


def _wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _SECONDS
    while not path.exists():
        assert process.poll() is None, "the console ended"
        assert time.monotonic() < deadline, "the console did not start"
        time.sleep(0.05)


@pytest.fixture
def cli(environment: dict[str, str]) -> Run:
    """The command line within the test: a process of its own takes most of a second to import what it needs."""
    # What the caller's environment has and the console's has not is taken away.
    chosen = {name: environment.get(name) for name in {*os.environ, *environment}}

    def run(*args: str) -> "subprocess.CompletedProcess[str]":
        result = CliRunner(env=chosen).invoke(main, args)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return subprocess.CompletedProcess(args, result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def process(environment: dict[str, str]) -> Run:
    """The command line as a person has it: a process, read through pipes."""

    def run(*args: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "opsconsole", *args]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_SECONDS
        )

    return run


def test_who_differs_is_seen_at_a_glance(process: Run) -> None:
    done = process("run", "-b", "--yes=12", "-w", "@demo", "--", "cat os-release | grep VERSION_ID")
    assert done.returncode == 3, done.stderr
    assert 'demo[01-04,06-10,12] (10)\n---------------\nVERSION_ID="12"\n' in done.stdout
    assert 'demo05 (1)\n---------------\nVERSION_ID="11"\n' in done.stdout
    assert "opsconsole: demo11 (1): unreachable: " in done.stderr
    assert "11 ok, 1 unreachable of 12" in done.stderr


def test_streams_codes_and_logs(cli: Run, process: Run) -> None:
    done = process("run", "-L", "-S", "-w", "demo[01-02]", "--", "echo out; echo err >&2; exit 42")
    assert done.returncode == 42
    assert sorted(done.stdout.splitlines()) == ["demo01: out", "demo02: out"]
    assert "demo01: err\n" in done.stderr
    assert "opsconsole: demo[01-02] (2): exit 42" in done.stderr
    job = json.loads(cli("jobs", "--json", "-n", "1").stdout)["id"]
    assert cli("logs", str(job), "demo01", "--stream", "stderr").stdout == "err\n"
    assert cli("rerun", str(job), "--states", "f").returncode == 1


def test_hostile_and_long_output_arrives_whole_in_a_pipe(process: Run) -> None:
    done = process("run", "-b", "-w", "demo01", "--", "seq 1 12345; printf 'a\\033[31mb\\n'")
    assert done.stdout.splitlines()[3:] == [*map(str, range(1, 12346)), "a\x1b[31mb"]


def test_cancel_ends_the_command_and_says_so(cli: Run, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "opsconsole", "run", "-b", "-w", "demo01", "--", "sleep 600.11; true"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + _SECONDS
        while not sleeping("600.11"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=_SECONDS)
    assert process.returncode == 130, said
    assert "cancelled: killed" in said
    assert not sleeping("600.11")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-w", "", "x"), "No target is given"),
        (("-w", "web[1-", "x"), "column 4"),
        (("-w", "web[5-1]", "x"), "column"),
        (("-w", "[0-999999999]", "x"), "column"),
        (("-w", "web[1-20000]", "x"), "the limit is 10,000"),
        (("-w", "-oProxyCommand=x", "x"), 'cannot start with "-"'),
        (("-w", "a;b|c", "x"), "column"),
        (("-w", "@nope", "x"), '"@nope"'),
        (("-w", "demo01", " "), "command"),
        (("-w", "demo01", "x" * 120_000, "y" * 120_000, "z" * 60_000), "bytes"),
    ],
)
def test_bad_input_is_named_and_starts_nothing(cli: Run, process: Run, args: tuple[str, ...], said: str) -> None:
    before = json.loads(cli("jobs", "--json", "-n", "1").stdout or '{"id": 0}')["id"]
    # How much a command line may hold is the system's to say.
    called = process if len(args[-1]) > 1000 else cli
    done = called("run", *args[:2], "--", *args[2:])
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert json.loads(cli("jobs", "--json", "-n", "1").stdout or '{"id": 0}')["id"] == before


def test_a_canary_waits_for_a_person_and_the_rest_goes_on(cli: Run) -> None:
    plan = cli("run", "--dry-run", "-w", "demo[01-03]", "--canary", "1", "--", "true")
    assert "wave 0 (canary): 1 host: demo01\nwave 1 (wave): 2 hosts: demo[02-03]\n" in plan.stdout
    options = ("--detach", "-w", "demo[01-03]", "--canary", "1", "--canary-gate", "manual", "--canary-match", "^good$")
    job = cli("run", *options, "--", "echo good").stdout.strip()
    _until(cli, job, "paused")
    assert "Its canary is done" in cli("queue").stdout
    assert cli("resume", job).returncode == 2
    assert cli("pause", job, "demo03").returncode == 0
    assert cli("continue", job, "--wave", "0").stdout.startswith(f"#{job} running")
    deadline = time.monotonic() + _SECONDS
    while "1 host held back" not in cli("queue").stdout:
        assert time.monotonic() < deadline
    assert cli("resume", job, "--held").returncode == 0
    assert cli("attach", job).returncode == 0
    again = cli("rerun", job, "--states", "o", "--detach").stdout.strip()
    _until(cli, again, "paused")
    assert cli("cancel", again, "--grace", "1").stdout.startswith(f"#{again} cancelled")
    table = cli("lineage", job).stdout.splitlines()[-2:]
    assert [line.split() for line in table] == [["demo01", "(1)", "o", "o"], ["demo[02-03]", "(2)", "o", "x"]]


def test_the_emergency_stop_ends_what_runs_and_holds_what_comes(cli: Run) -> None:
    job = cli("run", "--detach", "-w", "demo[01-02]", "--", "sleep 600").stdout.strip()
    _until(cli, job, "running")
    stopped = cli("stop-all", "--reason", "a drill")
    assert f"1 job cancelled: #{job}" in stopped.stdout
    later = cli("run", "--detach", "-w", "demo01", "--", "true").stdout.strip()
    assert "held by" in cli("queue").stdout
    _until(cli, job, "cancelled")
    assert cli("lift").returncode == 0
    assert cli("attach", later).returncode == 0


def _until(cli: Run, job: str, state: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while f"#{job} " not in cli("jobs", "--state", state).stdout:
        assert time.monotonic() < deadline, f"#{job} did not become {state}"


def test_an_unknown_host_key_is_shown_and_trusted(cli: Run) -> None:
    with running_sshd() as server:
        fingerprint = known_hosts.fingerprint(server.known_key())
        first = cli("run", "--yes", "-w", f"127.0.0.9:{server.port}", "--", "true")
        assert first.returncode == 3
        assert fingerprint in first.stderr
        job = re.search(r"#(\d+)", first.stderr).group(1)  # type: ignore[union-attr]

        asked = cli("trust", job)
        assert asked.returncode == 2
        assert fingerprint in asked.stdout

        assert cli("trust", job, "--yes").returncode == 0
        again = cli("rerun", job, "--states", "u", "--yes")
        assert "refused" in again.stderr, "the key is trusted now, and the login is what fails"
        assert "host key" not in again.stderr

        place = f"127.0.0.9:{server.port}"
        assert fingerprint in cli("host-keys", "list", "--status", "trusted").stdout
        assert cli("host-keys", "revoke", place).returncode == 2
        assert cli("host-keys", "revoke", place, "--yes").stdout.endswith("1 revoked.\n")
        assert cli("host-keys", "trust", fingerprint, "--yes").stdout.endswith("1 trusted.\n")
        assert cli("host-keys", "remove", fingerprint, "--yes").stdout.endswith("1 removed.\n")
        assert fingerprint not in cli("host-keys", "list").stdout
        assert cli("host-keys", "trust", fingerprint, "--yes").returncode == 2

        tested = cli("test", f"{place},demo01")
        assert tested.returncode == 3
        assert "1 of 2 hosts can be used." in tested.stderr
        assert re.search(r"\+ shell .* Commands run as ", tested.stdout)
        assert re.search(r"! host_key .* is not known yet", tested.stdout)
        assert fingerprint in cli("host-keys", "list", "--status", "offered").stdout

        collected = cli("host-keys", "scan", place)
        assert (collected.returncode, collected.stdout.split()[-2:]) == (0, ["keys:", "1"])
        assert fingerprint in cli("host-keys", "list", "--status", "offered").stdout

        made = cli("host-keys", "authorities", "add", "*.example.com", str(server.client_key) + ".pub")
        number = made.stdout.split()[0]
        cli("host-keys", "authorities", "revoke", number)
        assert f"{number}  revoked " in cli("host-keys", "authorities", "list").stdout
        assert cli("host-keys", "authorities", "remove", number).returncode == 0


def test_a_stored_key_is_used_by_its_name_on_its_hosts_alone(cli: Run, environment: dict[str, str]) -> None:
    key = Path(environment["OPSCONSOLE_DATA_DIR"]) / "demo" / "id_ed25519"
    added = cli(
        "credentials", "add", "few", "--kind", "private_key", "--scope", "demo[01-02]", "--file", f"private_key={key}"
    )
    assert added.returncode == 0, added.stderr
    assert re.fullmatch(r"few: private_key, SHA256:\S+, for 2 hosts of the inventory now\n", added.stdout)
    done = cli("run", "-w", "demo[01-02]", "--credential", "cred:few", "--", "hostname")
    assert done.returncode == 0, done.stderr
    refused = cli("run", "-w", "demo[01-03]", "--credential", "cred:few", "--", "hostname")
    assert refused.returncode == 2
    assert "The credential 'few' is not for this host. Asked for: demo03" in refused.stderr
    tried = cli("credentials", "test-scope", "few", "demo[01-03]")
    assert (tried.returncode, tried.stdout) == (1, "in scope          2  demo[01-02]\nnot in scope      1  demo03\n")
    assert cli("hosts", "set", "demo01", "--credential", "cred:few").returncode == 0
    shown = cli("credentials", "show", "few").stdout
    assert "named by       demo01" in shown
    assert "PRIVATE KEY" not in shown
    plan = cli("run", "--dry-run", "-w", "demo[01-02]", "--", "hostname").stdout
    assert "credential few (host)" in plan
    wider = cli("credentials", "update", "few", "--scope", "@demo", "--notes", "of the demo")
    assert wider.returncode == 0, wider.stderr
    assert json.loads(cli("credentials", "show", "few", "--json").stdout)["notes"] == "of the demo"
    assert cli("credentials", "remove", "few", "--yes").returncode == 0
    assert "few" not in cli("credentials", "list").stdout
