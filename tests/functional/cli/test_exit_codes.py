"""The table of exit codes, and what is said when nothing was started."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.functional.cli.fake_console import FakeConsole, preview

Call = Callable[..., Result]

_GROUPS = [
    {"g": 1, "count": 1, "state": "f", "exit": 3, "folded": "web1", "hosts": ["web1"], "i": 0, "head": ""},
    {"g": 2, "count": 1, "state": "f", "exit": 7, "folded": "web2", "hosts": ["web2"], "i": 1, "head": ""},
]


@pytest.mark.parametrize(
    ("grid", "state", "stop_reason", "code"),
    [
        ("oo", "succeeded", None, 0),
        ("of", "partial", None, 1),
        ("kk", "failed", None, 1),
        ("fu", "failed", None, 1),
        ("ou", "partial", None, 3),
        ("ul", "failed", None, 3),
        ("fs", "failed", "threshold", 4),
        ("ox", "cancelled", "operator", 130),
        ("os", "partial", None, 1),
    ],
)
def test_exit_code_says_how_the_job_ended(
    console: FakeConsole, call: Call, grid: str, state: str, stop_reason: str | None, code: int
) -> None:
    console.story.grid, console.story.state, console.story.stop_reason = grid, state, stop_reason
    result = call("run", "-w", "web[1-2]", "--", "uptime")
    assert result.exit_code == code, result.output
    assert f"#7 {state}" in result.stderr


def test_capital_s_gives_the_largest_remote_code(console: FakeConsole, call: Call) -> None:
    console.story.grid, console.story.state, console.story.groups = "ff", "failed", _GROUPS
    assert call("run", "-S", "-w", "web[1-2]", "false").exit_code == 7


def test_capital_s_falls_back_where_no_host_gave_a_code(console: FakeConsole, call: Call) -> None:
    console.story.grid, console.story.state = "uu", "failed"
    assert call("run", "-S", "-w", "web[1-2]", "false").exit_code == 3


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("run", "--", "uptime"), "Missing option '-w'"),
        (("run", "-w", "web1"), "Give a command after --"),
        (("pull", "-w", "web1", "/etc/motd", "/dev/null/x"), "cannot be made: Not a directory. Name another."),
        (("pull", "-w", "web1", "", "here"), "One of the paths is empty."),
        (("run", "-w", "web1", "-f", "0", "--", "uptime"), "-f"),
        (("run", "-w", "web1", "--yes=many", "--", "uptime"), "--yes=many"),
        (("cancel", "seven"), "not a valid int"),
    ],
)
def test_wrong_usage_is_2_and_asks_nothing(console: FakeConsole, call: Call, args: tuple[str, ...], text: str) -> None:
    result = call(*args)
    assert result.exit_code == 2
    assert text in result.stderr
    assert console.asked == []


@pytest.mark.parametrize(
    ("tier", "consent", "refused"),
    [
        (0, (), False),
        (1, (), True),
        (1, ("--yes",), False),
        (2, (), True),
        (2, ("--yes",), True),
        (2, ("--yes=412",), False),
        (2, ("--yes=411",), True),
        (0, ("--yes=411",), True),
        (3, ("--yes=412",), True),
        (3, ("--yes=412", "--reason", " "), True),
        (3, ("--yes=412", "--reason", "change 17"), False),
    ],
)
def test_many_hosts_need_consent(
    console: FakeConsole, call: Call, tier: int, consent: tuple[str, ...], refused: bool
) -> None:
    console.story.preview = preview(412, tier=tier)
    result = call("run", "-w", "@web", *consent, "--", "uptime")
    assert result.exit_code == (2 if refused else 0), result.output
    launches = console.to("POST", "jobs")
    assert len(launches) == (0 if refused else 1)
    if launches and tier >= 2:
        assert launches[0].body["confirm"] == {2: "412", 3: "RUN 412"}[tier]


@pytest.mark.parametrize(
    ("tier", "reasons", "consent", "said"),
    [
        (1, [], (), "412 hosts. Add --yes, or --yes=412 to be sure of their number."),
        (2, ["412 hosts"], (), "412 hosts. Add --yes=412 to go on."),
        (3, ["412 hosts"], (), "412 hosts. Add --yes=412 and --reason '...' to go on."),
        (3, ["412 hosts"], ("--reason", "change 17"), "412 hosts. Add --yes=412 to go on."),
        (
            3,
            ["412 hosts", "formats a file system"],
            ("--yes=412",),
            "412 hosts; formats a file system. Add --reason '...' to go on.",
        ),
    ],
)
def test_all_that_is_needed_is_said_at_once(
    console: FakeConsole, call: Call, tier: int, reasons: list[str], consent: tuple[str, ...], said: str
) -> None:
    console.story.preview = preview(412, tier=tier)
    console.story.preview["risk"]["reasons"] = reasons
    assert call("run", "-w", "@web", *consent, "--", "uptime").stderr == f"opsconsole: {said}\n"


def test_a_reason_is_kept_with_a_small_job_too(console: FakeConsole, call: Call) -> None:
    call("run", "-w", "web1", "--reason", "change 17", "--", "uptime")
    assert console.to("POST", "jobs")[0].body["reason"] == "change 17"


def test_yes_names_the_new_count(console: FakeConsole, call: Call) -> None:
    console.story.preview = preview(413, tier=2)
    result = call("run", "-w", "@web", "--yes=412", "--", "uptime")
    assert "--yes=412, but these are 413 hosts now" in result.stderr


def test_changed_targets_are_shown_and_nothing_runs(console: FakeConsole, call: Call) -> None:
    problem = {"detail": "The targets changed.", "code": "target_changed", "added": ["web9"], "removed": ["web2"]}
    console.story.faults[("POST", "jobs")] = [(409, problem)]
    result = call("run", "-w", "@web", "--", "uptime")
    assert result.exit_code == 2
    assert "+ web9" in result.stderr
    assert "- web2" in result.stderr


def test_fault_in_the_list_shows_column_and_hint(console: FakeConsole, call: Call) -> None:
    fault = {
        "field": "targets",
        "message": "Bracket is not closed.",
        "code": "x",
        "column": 4,
        "hint": "Write web[1-9].",
    }
    console.story.faults[("POST", "resolve")] = [
        (422, {"detail": "Bracket is not closed.", "code": "invalid", "errors": [fault]})
    ]
    result = call("run", "-w", "web[1-", "--", "uptime")
    assert result.exit_code == 2
    assert result.stderr == "opsconsole: Bracket is not closed.\n  at targets, column 4\n  Write web[1-9].\n"


@pytest.mark.parametrize(
    "words",
    [
        ("run", "-w", "web1", "--", "echo", "gr\udcfc\udcdfe"),
        ("run", "-w", "w\udcfc\udcdf", "--", "uptime"),
        ("run", "-w", "web1", "--reason", "\udcfc\udcdf", "--", "uptime"),
        ("logs", "7", "w\udcfc\udcdf"),
        ("cancel", "7", "w\udcfc\udcdf"),
    ],
)
def test_words_that_are_no_text_are_refused_in_one_line(console: FakeConsole, call: Call, words: tuple[str]) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("opsconsole: Not valid UTF-8: ")
    assert "‹xFC›‹xDF›" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("status", "code"), [(401, 2), (403, 2), (413, 2), (422, 2), (500, 5), (503, 5)])
def test_refusals_and_trouble_differ(console: FakeConsole, call: Call, status: int, code: int) -> None:
    console.story.faults[("POST", "jobs")] = [(status, {"detail": "No.", "code": "x"})]
    result = call("run", "-w", "web1", "--", "uptime")
    assert result.exit_code == code
    assert result.stderr == "opsconsole: No.\n"


def test_without_a_console_the_way_to_start_one_is_named(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPSCONSOLE_DATA_DIR", str(tmp_path))
    result = call("jobs")
    assert result.exit_code == 5
    assert result.stderr == "opsconsole: No console is running. Start one with: opsconsole up\n"


def test_a_stale_note_of_a_console_is_no_console(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "run").mkdir()
    note = {"url": f"http://127.0.0.1:{port}", "token": "opsc_1_x"}
    (tmp_path / "run" / "console.json").write_text(json.dumps(note))
    monkeypatch.setenv("OPSCONSOLE_DATA_DIR", str(tmp_path))
    result = call("jobs")
    assert result.exit_code == 5
    assert "opsconsole up" in result.stderr


def test_the_note_of_a_running_console_is_used(
    console: FakeConsole, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OPSCONSOLE_URL")
    monkeypatch.delenv("OPSCONSOLE_TOKEN")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "console.json").write_text(json.dumps({"url": console.url, "token": "opsc_1_secret"}))
    result = call("jobs")
    assert result.exit_code == 0
    assert "uptime" in result.stdout


def test_a_token_that_is_set_goes_before_that_of_the_running_console(
    console: FakeConsole, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OPSCONSOLE_URL")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "console.json").write_text(json.dumps({"url": console.url, "token": "opsc_9_not_known"}))
    assert call("jobs").exit_code == 0


def test_url_without_token_is_refused(console: FakeConsole, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPSCONSOLE_TOKEN")
    result = call("jobs")
    assert result.exit_code == 2
    assert "set OPSCONSOLE_TOKEN, too" in result.stderr
