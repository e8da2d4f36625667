"""What the commands send and print, without a terminal."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from opsconsole.cli import feed, watch
from opsconsole.cli.main import main
from tests.functional.cli.fake_console import FakeConsole, counts_of, preview

Call = Callable[..., Result]


def _group(
    i: int, folded: str, count: int, state: str = "o", exit_status: int | None = 0, **more: Any
) -> dict[str, Any]:
    return {
        "g": i + 1,
        "count": count,
        "state": state,
        "exit": exit_status,
        "folded": folded,
        "hosts": [],
        "i": i,
    } | more


@pytest.fixture
def mixed(console: FakeConsole) -> FakeConsole:
    console.story.hosts = ["web1", "web2", "web3", "web4", "web5"]
    console.story.grid, console.story.state = "ooofu", "partial"
    console.story.groups = [
        _group(3, "web4", 1, "f", 127),
        _group(4, "web5", 1, "u", None, head="connect timed out after 10 s", reason="connect_timeout"),
        _group(0, "web[1-2]", 2),
        _group(2, "web3", 1),
    ]
    console.story.outputs = {
        0: [(1, "OpenSSL 3.0.15"), (1, "done")],
        1: [(1, "OpenSSL 3.0.15"), (1, "done")],
        2: [(1, "OpenSSL 3.0.11"), (1, "done")],
        3: [(2, "sh: openssl: not found")],
    }
    return console


def test_equal_output_is_printed_once_and_trouble_at_the_end(mixed: FakeConsole, call: Call) -> None:
    result = call("run", "-b", "-w", "web[1-5]", "--", "openssl", "version")
    assert result.stdout == (
        "---------------\nweb[1-2] (2)\n---------------\nOpenSSL 3.0.15\ndone\n"
        "---------------\nweb3 (1)\n---------------\nOpenSSL 3.0.11\ndone\n"
    )
    assert result.stderr == (
        "opsconsole: web4 (1): exit 127: sh: openssl: not found\n"
        "opsconsole: web5 (1): unreachable: connect timed out after 10 s\n"
        f"#7 partial: 3 ok, 1 failed, 1 unreachable of 5, 2.0 s   {mixed.url}/j/7\n"
    )
    assert result.exit_code == 1


def test_what_varies_is_masked_and_counted(mixed: FakeConsole, call: Call) -> None:
    mixed.story.groups = [_group(0, "web[1-2]", 2, g="ab12", variants=2)]
    mixed.story.answers["jobs/7/groups/ab12"] = {"lines": [[1, 1, "up ‹duration›"]]}
    result = call("logs", "7", "-b", "--mode", "similar")
    assert result.stdout == "---------------\nweb[1-2] (2, 2 variants)\n---------------\nup ‹duration›\n"
    asked = [one for one in mixed.asked if one.path.startswith("jobs/7/groups")]
    assert [one.query["mode"] for one in asked] == ["similar", "similar"]
    mixed.story.groups = [_group(0, "web[1-2]", 2, g="ab12", variants=1)]
    assert "OpenSSL 3.0.15\n" in call("logs", "7", "-b", "--mode", "exact").stdout


def test_diff_shows_the_first_group_and_what_the_others_have_else(mixed: FakeConsole, call: Call) -> None:
    lines = [["-", "OpenSSL 3.0.15"], ["+", "OpenSSL 3.0.11"], [" ", "done"]]
    mixed.story.answers["jobs/7/groups/3/diff"] = {"hunks": [{"at": "@@ -1,2 +1,2 @@", "lines": lines}]}
    result = call("run", "--diff", "-w", "web[1-5]", "--", "openssl", "version")
    assert result.stdout == (
        "---------------\nweb[1-2] (2)\n---------------\nOpenSSL 3.0.15\ndone\n"
        "---------------\nweb3 (1)\n---------------\n--- web[1-2]\n+++ web3\n"
        "@@ -1,2 +1,2 @@\n-OpenSSL 3.0.15\n+OpenSSL 3.0.11\n done\n"
    )


def test_lines_carry_their_host_and_keep_their_stream(mixed: FakeConsole, call: Call) -> None:
    result = call("run", "-w", "web[1-5]", "--", "openssl", "version")
    assert sorted(result.stdout.splitlines()) == [
        "web1: OpenSSL 3.0.15",
        "web1: done",
        "web2: OpenSSL 3.0.15",
        "web2: done",
        "web3: OpenSSL 3.0.11",
        "web3: done",
    ]
    assert "web4: sh: openssl: not found\n" in result.stderr


def test_more_than_one_line_of_a_failed_host_is_a_block(mixed: FakeConsole, call: Call) -> None:
    mixed.story.outputs[3] = [(1, "checking"), (2, "broken")]
    result = call("run", "-b", "-w", "web[1-5]", "--", "check")
    assert "---------------\nweb4 (1)\n---------------\nchecking\nbroken\n" in result.stdout
    assert "opsconsole: web4 (1): exit 127\n" in result.stderr


def test_long_output_is_fetched_page_by_page(mixed: FakeConsole, call: Call) -> None:
    mixed.story.outputs[0] = [(1, f"line {n}") for n in range(4500)]
    result = call("logs", "7", "-b")
    assert result.stdout.count("\nline ") == 4500


def test_quiet_leaves_only_output_and_trouble(mixed: FakeConsole, call: Call) -> None:
    result = call("run", "-q", "-b", "-w", "web[1-5]", "--", "openssl", "version")
    assert result.stderr.splitlines() == [
        "opsconsole: web4 (1): exit 127: sh: openssl: not found",
        "opsconsole: web5 (1): unreachable: connect timed out after 10 s",
    ]


def test_json_is_the_events_of_the_stream_one_a_line(mixed: FakeConsole, call: Call) -> None:
    result = call("run", "--json", "-w", "web[1-5]", "--", "openssl", "version")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["hello", "snapshot", "delta", "done", "groups"]
    assert events[1]["data"]["grid"] == "rrrrr"
    assert events[3]["data"]["counts"] == counts_of("ooofu")


def test_the_order_says_what_the_options_say(console: FakeConsole, call: Call) -> None:
    console.story.preview = preview(5)
    arguments = (
        "-w web[1-3] -w db1 -x web2 -f 20 --max-failures 5% --title T --user ops --connect-timeout 2.5 --timeout 0"
    )
    result = call("run", *arguments.split(), "--", "echo", "-n", "--yes")
    assert result.exit_code == 0, result.output
    launch = console.to("POST", "jobs")[0]
    assert launch.body == {
        "targets": "web[1-3],db1",
        "exclude": "web2",
        "command": "echo -n --yes",
        "concurrency": 20,
        "max_failures": "5%",
        "title": "T",
        "user": "ops",
        "timeouts": {"connect_ms": 2500, "command_ms": 0},
        "expect": {"count": 5, "digest": "sha256:5", "hosts": "web[1-5]"},
    }
    assert console.to("POST", "resolve")[0].body["concurrency"] == 20


def test_options_behind_the_command_belong_to_it(console: FakeConsole, call: Call) -> None:
    call("run", "-w", "web1", "ls", "-l", "-w", "x")
    assert console.to("POST", "jobs")[0].body["command"] == "ls -l -w x"


def test_bare_yes_does_not_eat_the_command(console: FakeConsole, call: Call) -> None:
    console.story.preview = preview(12, tier=1)
    call("run", "-w", "@web", "--yes", "uptime")
    assert console.to("POST", "jobs")[0].body["command"] == "uptime"


@pytest.mark.parametrize(
    "command", [("run", "-w", "web1", "--ask-password", "uptime"), ("rerun", "7", "--ask-password")]
)
def test_password_comes_from_a_pipe_without_a_terminal(console: FakeConsole, command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, command, input="hunter2 \r\nnot this\n")
    assert result.exit_code == 0, result.output
    (sent,) = [asked.body for asked in console.asked if "password" in (asked.body or {})]
    assert sent["password"] == "hunter2 "
    assert "hunter2" not in result.output


def test_without_a_password_nothing_is_started(console: FakeConsole, call: Call) -> None:
    result = call("run", "--ask-password", "-w", "web1", "--", "uptime")
    assert result.exit_code == 2
    assert "no password was given" in result.stderr
    assert console.asked == []


def test_detach_prints_the_id_and_leaves(console: FakeConsole, call: Call) -> None:
    result = call("run", "--detach", "-w", "web1", "--", "uptime")
    assert (result.exit_code, result.stdout) == (0, "7\n")
    assert console.to("GET", "jobs/7/events") == []


def test_a_lost_answer_is_asked_for_again_with_the_same_key(console: FakeConsole, call: Call) -> None:
    console.story.faults[("POST", "jobs")] = [(0, {})]
    result = call("run", "--detach", "-w", "web1", "--", "uptime")
    assert result.stdout == "7\n"
    keys = [asked.headers["idempotency-key"] for asked in console.to("POST", "jobs")]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_broken_stream_is_resumed_where_it_broke(console: FakeConsole, call: Call) -> None:
    def events(last_id: str | None) -> Iterator[tuple[str, dict[str, Any], str] | None]:
        story = list(console.default_events())
        yield from story[:2] if last_id is None else story[2:]

    console.story.events = events
    result = call("run", "-w", "web1", "--", "uptime")
    assert result.exit_code == 0, result.output
    assert [asked.headers.get("last-event-id") for asked in console.to("GET", "jobs/7/events")] == [None, "e.2"]


def test_without_streams_the_long_poll_tells_the_same(console: FakeConsole, call: Call) -> None:
    console.story.streams = False
    console.story.grid, console.story.state = "of", "partial"
    result = call("run", "--json", "-w", "web[1-2]", "--", "uptime")
    assert result.exit_code == 1
    events = [json.loads(line)["event"] for line in result.stdout.splitlines()]
    assert events == ["snapshot", "done", "groups"]
    assert console.to("GET", "jobs/7/delta")[0].query == {"since": "0", "wait": "25"}


def test_a_silent_stream_is_given_up_for_the_long_poll(
    console: FakeConsole, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_last_id: str | None) -> Iterator[tuple[str, dict[str, Any], str] | None]:
        console.stopping.wait(30)
        yield None

    monkeypatch.setattr(feed, "_GREETING_SECONDS", 0.2)
    console.story.events = silent
    assert call("run", "-w", "web1", "--", "uptime").exit_code == 0
    assert console.to("GET", "jobs/7/delta")


def test_a_console_that_stays_away_is_trouble(
    console: FakeConsole, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def going(_last_id: str | None) -> Iterator[tuple[str, dict[str, Any], str] | None]:
        yield from list(console.default_events())[:2]
        console.server.socket.close()

    monkeypatch.setattr(feed, "_PATIENCE_SECONDS", 0.1)
    console.story.events = going
    result = call("run", "-w", "web1", "--", "uptime")
    assert result.exit_code == 5
    assert "No console is running" in result.stderr


def test_nobody_to_do_the_work_is_trouble_and_is_said(
    console: FakeConsole, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waiting(_last_id: str | None) -> Iterator[tuple[str, dict[str, Any], str] | None]:
        job = console.status() | {"state": "pending", "counts": counts_of("qq")}
        yield "snapshot", {"ver": 1, "job": job, "grid": "qq"}, "e.1"
        console.stopping.wait(30)

    monkeypatch.setattr(watch, "_NO_WORKER_SECONDS", 0.3)
    console.story.events, console.story.workers = waiting, 0
    result = call("run", "-w", "web[1-2]", "--", "uptime")
    assert result.exit_code == 5
    assert "no worker is there to take up #7" in result.stderr


def test_progress_in_a_log_file_is_a_plain_line_now_and_then(
    console: FakeConsole, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_PLAIN_SECONDS", 0.0)
    result = call("run", "-w", "web[1-2]", "--", "uptime")
    assert "#7 running: 0/2 done after 0.0 s: 2 running\n" in result.stderr
    assert "\x1b" not in result.stderr


def test_a_piped_log_is_the_very_bytes(console: FakeConsole, call: Call) -> None:
    assert call("logs", "7", "web1").stdout_bytes == b"raw \x1b[31mbytes\n"


@pytest.mark.parametrize("mode", ["-L", "-b"])
def test_hosts_that_said_nothing_are_told_in_one_line(console: FakeConsole, call: Call, mode: str) -> None:
    result = call("logs", "7", mode)
    assert (result.stdout, result.stderr) == ("", "no output; 2 ok\n")


def test_hosts_that_never_ran_have_no_output(mixed: FakeConsole, call: Call) -> None:
    mixed.story.grid, mixed.story.outputs = "uuuuk", {}
    mixed.story.groups = [
        _group(4, "web5", 1, "u", None, head="connect timed out after 10 s", reason="connect_timeout")
    ]
    result = call("logs", "7")
    assert result.stderr.splitlines() == [
        "no output; 1 timed out, 4 unreachable",
        "opsconsole: web5 (1): unreachable: connect timed out after 10 s",
    ]
    assert result.exit_code == 0


def test_one_host_that_said_nothing(mixed: FakeConsole, call: Call) -> None:
    mixed.story.raw = b""
    why = "The login shell did not start the command: This account is not available."
    mixed.story.endings = {
        3: {"reason": "exec_refused", "detail": why},
        4: {"reason": "connect_timeout", "detail": "No answer after 10 s."},
    }
    result = call("logs", "7", "web5")
    assert result.stderr == "no output; web5: unreachable: connect_timeout: No answer after 10 s.\n"
    assert result.exit_code == 0
    assert call("logs", "7", "web4").stderr == f"no output; web4: failed: exec_refused: {why}\n"
    assert call("logs", "7", "web1", "--stream", "stderr").stderr == "no stderr; 1 ok\n"
    assert call("logs", "7", "web5", "--json").stderr == ""


@pytest.mark.parametrize("mode", ["-L", "-b"])
def test_the_step_that_decided_is_told(mixed: FakeConsole, call: Call, mode: str) -> None:
    mixed.story.groups = [
        _group(3, "web4", 1, "f", 1, reason="check"),
        _group(4, "web5", 1, "f", 3, reason="verify"),
        _group(0, "web[1-3]", 3, reason="nothing_to_do"),
    ]
    mixed.story.outputs = {}
    told = call("run", mode, "-w", "web[1-5]", "--check", "x", "--", "y").stderr
    assert "opsconsole: web4 (1): check failed (exit 1), the act was not started\n" in told
    assert "opsconsole: web5 (1): verify failed (exit 3) after the act\n" in told
    assert "opsconsole: web[1-3] (3): nothing to do, the act was not started\n" in told


def test_how_a_host_ended_is_told_behind_what_it_said(mixed: FakeConsole, call: Call) -> None:
    mixed.story.endings = {3: {"reason": "exit_status", "exit": 127}}
    assert call("logs", "7", "web4").stderr == "opsconsole: web4: failed: exit 127\n"
    assert call("logs", "7", "web1").stderr == ""
    assert "opsconsole: web4 (1): exit 127" in call("logs", "7", "-L").stderr


def test_rerun_confirms_when_the_console_asks(console: FakeConsole, call: Call) -> None:
    risk = {"tier": 2, "reasons": ["120 hosts"], "confirm": "120", "reason_required": False}
    problem = {"detail": "Confirm.", "code": "confirmation_required", "risk": risk}
    console.story.faults[("POST", "jobs/7/rerun")] = [(428, problem), (428, problem)]
    refused = call("rerun", "7", "--states", "f,u")
    assert refused.exit_code == 2
    assert "--yes=120" in refused.stderr
    assert call("rerun", "7", "--states", "failed,unreachable", "--yes=120").exit_code == 0
    assert console.to("POST", "jobs/7/rerun")[-1].body == {
        "states": ["f", "u"],
        "expect": {"count": 120},
        "confirm": "120",
    }


def test_rerun_of_a_dangerous_order_needs_a_reason_too(console: FakeConsole, call: Call) -> None:
    risk = {"tier": 3, "reasons": ["formats a file system"], "confirm": "RUN 2", "reason_required": True}
    problem = {"detail": "Confirm.", "code": "confirmation_required", "risk": risk}
    console.story.faults[("POST", "jobs/7/rerun")] = [(428, problem), (428, problem)]
    refused = call("rerun", "7", "--states", "f")
    said = "2 hosts; formats a file system. Add --yes=2 and --reason '...' to go on."
    assert (refused.exit_code, refused.stderr) == (2, f"opsconsole: {said}\n")
    assert call("rerun", "7", "--states", "f", "--yes=2", "--reason", "new disks").exit_code == 0
    body = console.to("POST", "jobs/7/rerun")[-1].body
    assert (body["confirm"], body["reason"]) == ("RUN 2", "new disks")


@pytest.mark.parametrize("state", ["succeeded", "partial", "failed", "cancelled"])
def test_cancel_of_what_has_ended_says_so(console: FakeConsole, call: Call, state: str) -> None:
    console.story.state = state
    result = call("cancel", "7")
    assert (result.exit_code, result.stdout) == (0, f"#7 had ended: {state}\n")
    assert console.to("POST", "jobs/7/cancel") == []


def test_cancel_of_some_hosts_names_them(console: FakeConsole, call: Call) -> None:
    console.story.waits_for_cancel = True
    result = call("cancel", "7", "web1")
    assert result.stdout == "#7 stopping\n"
    assert console.to("POST", "jobs/7/cancel")[0].body == {"hosts": ["web1"]}


def test_a_script_from_a_file_is_sent_with_what_belongs_to_it(console: FakeConsole, call: Call, tmp_path: Path) -> None:
    script, given = tmp_path / "check.py", tmp_path / "in.txt"
    script.write_text("print(1)\n")
    given.write_text("x\ny\n")
    options = ["--interpreter", "python3", "--arg", "-v", "--cwd", "/srv", "--umask", "027", "--env", "A=b=c"]
    options += ["--check", "test -d /srv", "--verify", "true", "--step-barrier", "host"]
    files = ["--script", str(script), "--stdin-file", str(given)]
    assert call("run", "--detach", "-w", "web1", *options, *files, "--", "two words").exit_code == 0
    wanted = {
        "command": "print(1)\n", "interpreter": "python3", "args": ["-v", "two words"], "stdin": "x\ny\n",
        "cwd": "/srv", "umask": "027", "env": {"A": "b=c"},
        "check": "test -d /srv", "verify": "true", "step_barrier": "host",
    }  # fmt: skip
    for path in ("resolve", "jobs"):
        (asked,) = console.to("POST", path)
        assert {name: (asked.body or {}).get(name) for name in wanted} == wanted


@pytest.mark.parametrize("words", [[], ["--env", "A", "--", "x"], ["--stdin", "a", "--stdin-file", "/dev/null", "x"]])
def test_what_cannot_be_run_asks_nothing(console: FakeConsole, call: Call, words: list[str]) -> None:
    assert call("run", "-w", "web1", *words).exit_code == 2
    assert console.asked == []


def test_a_rerun_is_narrowed_by_what_hosts_wrote(console: FakeConsole, call: Call) -> None:
    assert call("rerun", "7", "--find", "no space", "--found", "without", "--detach").exit_code == 0
    body = console.to("POST", "jobs/7/rerun")[0].body
    assert (body["find"], body["found"], "re" in body) == ("no space", "without", False)
    refused = call("rerun", "7", "--found", "without")
    assert (refused.exit_code, "add --find TEXT" in refused.output) == (2, True)
