"""The commands that steer jobs: what they send and print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from opsconsole.cli import feed
from opsconsole.cli.lineage import table
from tests.functional.cli.fake_console import FakeConsole

Call = Callable[..., Result]

_HOLD = {"held": True, "at": "2026-11-22T06:02:11.004Z", "by": "li.wei", "reason": "wrong package"}


@pytest.mark.parametrize(
    ("args", "path", "body"),
    [
        (("pause", "7"), "jobs/7/pause", {}),
        (("pause", "7", "web1", "web[2-3]"), "jobs/7/pause", {"hosts": ["web1", "web[2-3]"]}),
        (("pause", "7", "--wave", "0"), "jobs/7/pause", {"wave": 0}),
        (("resume", "7", "--held"), "jobs/7/resume", {"held": True}),
        (("resume", "7", "web1"), "jobs/7/resume", {"hosts": ["web1"], "held": False}),
        (("continue", "7", "--wave", "2"), "jobs/7/continue", {"wave": 2}),
    ],
)
def test_a_verb_sends_what_is_chosen(
    console: FakeConsole, call: Call, args: tuple[str, ...], path: str, body: dict[str, Any]
) -> None:
    result = call(*args)
    assert result.exit_code == 0, result.output
    (asked,) = console.to("POST", path)
    assert asked.body == body
    assert result.output.startswith("#7 paused: Paused by li.wei." if args[0] == "pause" else "#7 running")


def test_a_title_is_sent_as_one_text(console: FakeConsole, call: Call) -> None:
    result = call("title", "7", "patch", "the web fleet")
    assert result.exit_code == 0, result.output
    assert console.to("POST", "jobs/7/title")[0].body == {"title": "patch the web fleet"}
    assert result.output.startswith("#7 is called: ")


def test_workers_are_listed_drained_and_resumed(console: FakeConsole, call: Call) -> None:
    worker = {"name": "box:w1:7", "slots": 100, "busy": 12, "state": "draining", "drained_by": "li.wei"}
    console.story.answers["workers/box%3Aw1%3A7/drain"] = worker
    console.story.answers["workers/box%3Aw1%3A7/resume"] = worker | {"state": "working", "drained_by": None}
    console.story.answers["workers"] = {"list": [worker]}
    line = "box:w1:7 12 of 100 slots draining by li.wei"
    for args in (("list",), ("drain", "box:w1:7")):
        result = call("workers", *args)
        assert (result.exit_code, result.output.split()) == (0, line.split()), result.output
    assert call("workers", "resume", "box:w1:7").output.split()[-1] == "working"
    assert json.loads(call("workers", "list", "--json").output) == worker


def test_choices_for_the_pages_are_told_and_changed(console: FakeConsole, call: Call) -> None:
    kept = {"language": "zh", "theme": "system", "contrast": "normal", "keys": "on"}
    console.story.answers["me/preferences"] = kept
    assert call("me").output.split()[:2] == ["language", "zh"]
    assert call("me", "--theme", "dark", "--json").exit_code == 0
    (asked,) = console.to("PUT", "me/preferences")
    assert asked.body == kept | {"theme": "dark"}
    assert call("me", "--theme", "pink").exit_code == 2


def test_cancel_sends_wave_and_grace(console: FakeConsole, call: Call) -> None:
    console.story.state = "running"
    assert call("cancel", "7", "--wave", "1", "--grace", "2.5").exit_code == 0
    assert console.to("POST", "jobs/7/cancel")[0].body == {"wave": 1, "grace_s": 2.5}


@pytest.mark.parametrize(
    "option", ["--job-timeout", "--timeout", "--idle-timeout", "--connect-timeout", "--wave-pause", "--retry-pause"]
)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "-1"])
def test_what_is_no_duration_is_refused_by_the_options_name(call: Call, option: str, value: str) -> None:
    result = call("run", "--yes", "-w", "web1", f"{option}={value}", "--", "uptime")
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output
    assert "econds" in result.output


def test_a_grace_that_is_no_duration_is_refused(console: FakeConsole, call: Call) -> None:
    result = call("cancel", "7", "--grace", "nan")
    assert result.exit_code == 2
    assert "Invalid value for '--grace'" in result.output
    assert not console.to("POST", "jobs/7/cancel")


def test_every_option_reaches_the_order(console: FakeConsole, call: Call) -> None:
    given = {
        "--waves": "1 *2",
        "--wave-pause": "2.5",
        "--wave-jitter": "1",
        "--wave-gate": "on_failure",
        "--canary": "random 3",
        "--canary-match": "ok$",
        "--canary-gate": "manual",
        "--order": "spread dc",
        "--limit-per": "dc=5",
        "--retries": "2",
        "--retry-pause": "3",
        "--at-stop": "kill",
        "--priority": "high",
        "--idle-timeout": "30",
        "--job-timeout": "60",
        "--executor": "simulate",
        "--simulation": "seed=7 failures=3%",
    }
    options = [word for pair in given.items() for word in pair]
    result = call(
        "run",
        "--yes",
        "-w",
        "web[1-2]",
        *options,
        "--ignore-unreachable",
        "--durable",
        "--raw",
        "--raw-typed",
        "--",
        "x",
    )
    assert result.exit_code == 0, result.output
    order = console.to("POST", "jobs")[0].body
    same = {
        "waves": "1 *2",
        "wave_pause": 2.5,
        "wave_jitter": 1.0,
        "wave_gate": "on_failure",
        "canary": "random 3",
        "canary_match": "ok$",
        "canary_gate": "manual",
        "order": "spread dc",
        "limit_per": "dc=5",
        "retries": 2,
        "retry_pause": 3.0,
        "at_stop": "kill",
        "priority": "high",
        "count_unreachable": False,
        "durable": True,
        "raw": True,
        "raw_typed": True,
        "executor": "simulate",
        "simulation": "seed=7 failures=3%",
        "timeouts": {"idle_ms": 30000, "job_ms": 60000},
    }
    assert {name: order[name] for name in same} == same


def _plan(**more: Any) -> dict[str, Any]:
    hosts = [
        {
            "i": i,
            "host": f"web{i + 1}",
            "address": "10.0.0.1",
            "port": 22,
            "user": "ops",
            "wave": i,
            "command": "uptime",
        }
        for i in range(2)
    ]
    return {
        "count": 2,
        "worst_case": 1,
        "command": "uptime",
        "risk": {"tier": 2, "reasons": ["2 hosts"], "confirm": "2", "reason_required": False},
        "waves": [{"kind": "canary", "size": 1, "folded": "web1"}, {"kind": "wave", "size": 1, "folded": "web2"}],
        "policy": {"allowed": True, "reasons": []},
        "hosts": [
            host | {"credential": login, "credential_from": origin}
            for host, login, origin in zip(hosts, ("key ops", None), ("host", "worker"), strict=True)
        ],
    } | more


def test_a_dry_run_prints_the_plan_and_launches_nothing(console: FakeConsole, call: Call) -> None:
    console.story.answers["plan"] = _plan()
    result = call("run", "--dry-run", "-w", "web[1-2]", "--canary", "1", "--", "uptime")
    assert result.exit_code == 0, result.output
    assert "2 hosts, worst case 1 fail before it stops" in result.output
    assert "wave 0 (canary): 1 host: web1" in result.output
    assert "web1  wave 0  ops@10.0.0.1:22  key ops (host)" in result.output
    assert "web2  wave 1  ops@10.0.0.1:22  NO CREDENTIAL (worker)" in result.output
    assert "to confirm: --yes=2" in result.output
    assert console.to("POST", "plan")[0].body["canary"] == "1"
    assert not console.to("POST", "jobs")
    console.story.answers["plan"] = _plan(policy={"allowed": False, "reasons": ["Not in the inventory: web2"]})
    refused = call("run", "--dry-run", "-w", "web[1-2]", "--", "uptime")
    assert (refused.exit_code, "Not in the inventory: web2" in refused.output) == (2, True)


def test_the_queue_shows_places_and_reasons(console: FakeConsole, call: Call) -> None:
    waits = {"code": "no_slot", "text": "Waiting for a free slot: 3 jobs ahead, 200 of 200 slots busy"}
    job = {"id": 7, "title": "up\x1btime", "by": "li.wei", "priority": "high", "state": "pending", "place": 4}
    job |= {"pending": 12, "in_flight": 0, "concurrency": 50, "waits": waits}
    slots = {"total": 200, "busy": 200, "free": 0}
    backlog = {"hosts": 12, "since": "2026-11-23T08:00:00.000Z"}
    console.story.answers["queue"] = {"hold": _HOLD, "slots": slots, "backlog": backlog, "jobs": [job]}
    result = call("queue")
    assert "12 hosts have not started, the oldest job is of 2026-11-23T08:00:00.000Z" in result.output
    assert "200 of 200 slots busy" in result.output
    assert "held by li.wei: wrong package" in result.output
    assert "   4  #7      pending  high   li.wei" in result.output
    assert waits["text"] in result.output
    assert "\x1b" not in result.output
    assert json.loads(call("queue", "--json").output)["slots"] == slots


def test_the_emergency_stop_and_its_end(console: FakeConsole, call: Call) -> None:
    console.story.answers["hold"] = _HOLD | {"cancelled": [3, 7]}
    result = call("stop-all", "--reason", "wrong package")
    assert "held by li.wei: wrong package" in result.output
    assert "2 jobs cancelled: #3 #7" in result.output
    assert console.to("POST", "hold")[0].body == {"reason": "wrong package", "cancel": True}
    call("stop-all", "--no-cancel")
    assert console.to("POST", "hold")[1].body == {"cancel": False}
    assert call("lift").exit_code == 0
    assert console.to("DELETE", "hold")


def test_a_lineage_is_a_table_of_hosts_and_jobs(console: FakeConsole, call: Call) -> None:
    console.story.hosts, console.story.grid = ["web1", "web2", "web3"], "off"
    item = {"id": 7, "rerun_of": None, "state": "partial", "created_at": "2026-11-22T06:02:11.004Z", "by": "li.wei"}
    again = item | {"id": 8, "rerun_of": 7, "state": "succeeded"}
    console.story.answers |= {
        "jobs/7/lineage": {"jobs": [item, again]},
        "jobs/7/grid": {"ver": 5, "grid": "off"},
        "jobs/8/grid": {"ver": 5, "grid": "oo"},
        "jobs/8/roster": {"v": 1, "hosts": ["web2", "web3"]},
    }
    result = call("lineage", "7")
    assert "#8      succeeded  2026-11-22 06:02  li.wei       rerun of #7" in result.output
    assert result.output.splitlines()[2:] == [
        "hosts         #7  #8",
        "web[2-3] (2)  f   o",
        "web1 (1)      o   .",
        ". not in that job",
    ]
    rows = json.loads(call("lineage", "7", "--json").output)["rows"]
    assert rows[0] == {"hosts": "web[2-3]", "count": 2, "states": "fo"}
    assert table(["7"], {"o": ["web1"]}) == ["hosts     #7", "web1 (1)  o"]


def test_what_was_not_kept_is_told_beside_the_output(console: FakeConsole, call: Call) -> None:
    console.story.outputs, console.story.missing = {0: [(1, "one"), (1, "…ine"), (1, "ten")]}, 7
    raw = call("logs", "7", "web1")
    assert (raw.stdout_bytes, raw.stderr) == (console.story.raw, "opsconsole: web1: 700 bytes were not kept\n")
    lines = call("logs", "7", "-L", "-q")
    assert lines.stdout == "web1: one\nweb1: …ine\nweb1: ten\n"
    assert lines.stderr == "opsconsole: web1: lines 2 to 8 were not kept\n"


def test_logs_of_all_hosts_obey_stream_and_json(console: FakeConsole, call: Call) -> None:
    console.story.outputs = {0: [(1, "out"), (2, "err")], 1: [(2, "err")]}
    console.story.groups = [
        {"g": 1, "count": 2, "state": "o", "exit": 0, "folded": "web[1-2]", "hosts": [], "i": 0},
    ]
    assert call("logs", "7", "--stream", "stderr", "-L").output == "web1: err\nweb2: err\n"
    assert call("logs", "7", "--stream", "stdout", "-b").output.splitlines()[3:] == ["out"]
    lines = [json.loads(line) for line in call("logs", "7", "--json", "--stream", "stderr").output.splitlines()]
    assert lines == [
        {"host": "web1", "n": 2, "fd": 2, "text": "err"},
        {"host": "web2", "n": 1, "fd": 2, "text": "err"},
    ]


def test_search_prints_lines_numbers_or_hosts(console: FakeConsole, call: Call) -> None:
    hit = {"n": 3, "fd": 1, "text": "an error", "from_char": 0, "spans": [[3, 8]]}
    row = {"i": 1, "host": "web2", "state": "failed", "lines": 1, "hits": [hit]}
    found = {"ver": 5, "hosts": 3, "searched": 3, "complete": True, "with": 1, "without": 2, "lines": 1}
    console.story.hosts = ["web1", "web2", "web3"]
    console.story.answers = {
        "jobs/7/search": found | {"totals": [[1, 1]], "rows": [row], "next": None},
        "jobs/7/hosts": {"rows": [{"i": i} for i in range(3)], "next": None},
    }
    result = call("search", "7", "error", "-s")
    assert (result.exit_code, result.stdout) == (0, "web2:3: an error\n")
    assert result.stderr == "1 line on 1 of 3 hosts\n"
    assert console.to("GET", "jobs/7/search")[0].query["case"] == "true"
    assert json.loads(call("search", "7", "error", "--json").stdout) == {"i": 1, "host": "web2", **hit}
    assert call("search", "7", "error", "-c").stdout == "web2: 1\n"
    assert call("search", "7", "error", "-l").stdout == "web2\n"
    assert call("search", "7", "error", "-L").stdout == "web1\nweb3\n"
    console.story.answers["jobs/7/search"] = found | {"with": 0, "lines": 0, "totals": [], "rows": [], "next": None}
    assert call("search", "7", "error").exit_code == 1


def test_export_writes_whole_files_alone(console: FakeConsole, call: Call, tmp_path: Path) -> None:
    console.story.answers = {"jobs/7/export": {"hosts": []}}
    assert json.loads(call("export", "7", "--state", "f", "--find", "x", "-E").stdout) == {"hosts": []}
    asked = console.to("GET", "jobs/7/export")[0].query
    assert asked == {"format": "json", "state": "f", "find": "x", "re": "True"}
    assert call("export", "7", "--column", "key:load", "--sort", "-load").exit_code == 0
    assert console.to("GET", "jobs/7/export")[1].query.items() >= {"column": "key:load", "sort": "-load"}.items()
    into = tmp_path / "job.json"
    assert call("export", "7", "-o", str(into)).exit_code == 0
    assert json.loads(into.read_text()) == {"hosts": []}
    console.story.faults = {("GET", "jobs/7/export"): [(503, {"detail": "Not now.", "code": "search_unfinished"})]}
    assert call("export", "7", "-o", str(tmp_path / "none")).exit_code == 5
    assert [file.name for file in tmp_path.iterdir()] == ["job.json"]


def test_a_console_that_goes_away_leaves_the_way_back(
    console: FakeConsole, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(feed, "_RETRY_SECONDS", 0.01)
    console.story.faults = {("GET", f"jobs/7/{part}"): [(0, {})] * 100 for part in ("events", "delta")}
    result = call("run", "-w", "web[1-2]", "--", "uptime")
    assert result.exit_code == 5
    assert "opsconsole: lost sight of #7. Return to it with: opsconsole attach 7" in result.output


def test_a_rerun_of_a_password_job_names_the_option(console: FakeConsole, call: Call) -> None:
    fault = {"field": "password", "message": "Give the password.", "code": "missing"}
    problem = {"detail": "Give the password.", "code": "invalid", "errors": [fault]}
    console.story.faults = {("POST", "jobs/7/rerun"): [(422, problem)]}
    result = call("rerun", "7")
    assert (result.exit_code, "add --ask-password" in result.output) == (2, True)


def test_check_asks_and_waits_for_the_answer(console: FakeConsole, call: Call) -> None:
    row = {"host": "web1", "state": "lost", "look": {"state": "gone", "detail": "No process of it.", "at": None}}
    other = row | {"host": "web2", "look": {"state": "running", "detail": "2 processes.", "at": None}}
    console.story.answers |= {
        "jobs/7/check": console.status(),
        "jobs/7/hosts": {"rows": [row, other, row | {"look": None}], "total": 3, "next": None},
        "jobs/7/hosts/web1": row,
    }
    result = call("check", "7", "--kill")
    assert result.output == "web1: is gone. No process of it.\nweb2: still runs. 2 processes.\n"
    assert result.exit_code == 3
    assert console.to("POST", "jobs/7/check")[0].body == {"kill": True}
    assert call("check", "7", "web1").exit_code == 0
    assert console.to("POST", "jobs/7/check")[1].body == {"hosts": ["web1"], "kill": False}
    assert json.loads(call("check", "7", "web1", "--json").output)["look"]["state"] == "gone"


def test_a_timeline_is_a_line_an_event(console: FakeConsole, call: Call) -> None:
    event = {
        "at": "2026-05-04T10:00:00Z",
        "kind": "paused",
        "by": "li",
        "text": "li paused the job.\x1b[2J",
        "detail": {},
    }
    console.story.answers |= {"jobs/7/timeline": {"events": [event], "left_out": 3}}
    first, line = call("timeline", "7").output.splitlines()
    assert first == "(3 earlier events are left out)"
    assert line.startswith("2026-05-0")
    assert "li paused the job." in line
    assert "\x1b" not in line
    assert json.loads(call("timeline", "7", "--json").output) == event


def test_find_tells_what_was_found(console: FakeConsole, call: Call) -> None:
    console.story.answers["search"] = {
        "q": "web",
        "found": [{"kind": "host", "title": "web1\x1b[2J", "detail": "10.0.0.1", "url": "/hosts/web1"}],
    }
    result = call("find", "web", "--limit", "3")
    assert (result.exit_code, result.stdout) == (0, "host   web1  10.0.0.1\n")
    assert console.asked[-1].query == {"q": "web", "limit": "3"}
    assert json.loads(call("find", "web", "--json").stdout)["url"] == "/hosts/web1"


def test_a_chart_has_a_row_for_each_slot_or_host(console: FakeConsole, call: Call) -> None:
    told = {
        "ver": 1,
        "until": 20_000,
        "from": 0,
        "to": 20_000,
        "total": 1,
        "first": 0,
        "bars": [[[0, "u", 0, 5000, 1], [0, "r", 10_000, None, 2]]],
        "finishes": [{}, {"o": 2, "f": 1}, {"o": 30}],
        "marks": [{"at": 7000, "kind": "canary"}],
    }
    console.story.answers |= {
        "jobs/7/timeline/bars": told,
        "jobs/7/roster": {"v": 1, "hosts": ["web1\x1b[2J"], "tags": {}},
    }
    head, ended, trouble, row, mark = call("timeline", "7", "--chart", "slots").output.splitlines()
    assert head == "20 s; 1 row"
    assert ended.endswith("  3#")
    assert trouble.split()[-1] == "1"
    drawn = row.removeprefix("slot 1").strip()
    assert (drawn[0], drawn[-1], " " in drawn) == ("!", "*", True)
    assert mark.strip() == "7.0 s  canary passed"
    row = call("timeline", "7", "--chart", "slowest").output.splitlines()[3]
    assert row.startswith("web1 ")
    assert " 10 s " in row
    assert json.loads(call("timeline", "7", "--chart", "failures", "--json").output)["total"] == 1
