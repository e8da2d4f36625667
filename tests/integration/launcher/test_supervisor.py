"""The supervisor over real processes: ready, restarted, stopped in order, and gone with it."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from tests.integration.launcher.processes import Program, gone

_SCRIPT = Path(__file__).with_name("supervised.py")
_WAIT = "import signal\nwhile True: signal.pause()"


def _ready(path: Path) -> str:
    """The last lines of a child that has prepared itself: tell so, and wait."""
    return f"\nopen({str(path)!r}, 'w').close()\n{_WAIT}"


def supervised(folder: Path, *specs: dict[str, object]) -> Program:
    return Program([sys.executable, str(_SCRIPT), str(folder), json.dumps(specs)])


def _pids(program: Program) -> dict[str, int]:
    return dict(json.loads(program.wait_for(r"READY (.*)$")[1]))


def test_a_stop_leaves_no_process(tmp_path: Path) -> None:
    with supervised(tmp_path, {"name": "one", "command": _WAIT}, {"name": "two", "command": _WAIT}) as program:
        pids = _pids(program)
        assert program.end() == 0
        assert gone(list(pids.values()))
    assert program.text.endswith("DONE\n")


def test_a_killed_child_is_started_again_and_said(tmp_path: Path) -> None:
    with supervised(tmp_path, {"name": "one", "command": _WAIT}) as program:
        first = _pids(program)["one"]
        os.kill(first, signal.SIGKILL)
        program.wait_for(rf"one \(process {first}\) was killed by SIGKILL; starting it again in 0\.2 s")
        again = int(program.wait_for(r"one is back \(process (\d+)\)")[1])
        assert again != first
        program.end()
        assert gone([again])


def test_killing_the_supervisor_leaves_nothing(tmp_path: Path) -> None:
    with supervised(tmp_path, {"name": "one", "command": _WAIT}, {"name": "two", "command": _WAIT}) as program:
        pids = _pids(program)
        program.process.kill()
        assert gone(list(pids.values()))


def test_a_child_that_ignores_the_order_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pid_file, done = tmp_path / "pid", tmp_path / "done"
    stubborn = (
        "import signal, subprocess\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(pid_file)!r}, 'w').write(str(subprocess.Popen(['sleep', '1000']).pid))"
    )
    spec = {"name": "one", "command": stubborn + _ready(done), "stop_seconds": 0.5, "ready_file": str(done)}
    with supervised(tmp_path, spec) as program:
        pid = _pids(program)["one"]
        grandchild = int(pid_file.read_text())
        started = time.monotonic()
        program.end()
        assert time.monotonic() - started < 5
        assert "one did not end in time and is killed" in program.text
        assert gone([pid, grandchild])


def test_stages_end_in_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    note = (
        "import signal, sys\n"
        "def end(*_):\n"
        f"    with open({str(order)!r}, 'a') as file: file.write(NAME)\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)"
    )
    specs: list[dict[str, object]] = []
    for name, stage in (("g", 2), ("w", 1), ("e", 0)):
        done = tmp_path / f"{name}.done"
        command = f"NAME={name!r}\n{note}{_ready(done)}"
        specs.append({"name": name, "stage": stage, "command": command, "ready_file": str(done)})
    with supervised(tmp_path, *specs) as program:
        _pids(program)
        program.end()
    assert order.read_text() == "ewg"


def test_a_child_that_cannot_start_ends_it_all_with_its_last_words(tmp_path: Path) -> None:
    specs = [
        {"name": "good", "command": _WAIT},
        {"name": "bad", "command": "raise SystemExit('no such port')", "ready_file": str(tmp_path / "never")},
    ]
    with supervised(tmp_path, *specs) as program:
        assert program.wait(30) == 5
    assert "bad cannot start" in program.text
    assert "  no such port" in program.text


def test_errors_of_children_are_shown_harmless_and_few(tmp_path: Path) -> None:
    done = tmp_path / "done"
    noisy = "for _ in range(50): print('ERROR \\x1b[2Jbad')\nprint('fine', flush=True)" + _ready(done)
    with supervised(tmp_path, {"name": "one", "command": noisy, "ready_file": str(done)}) as program:
        _pids(program)
        # What a child says while all are ended is only in its log: this has to be read before.
        program.wait_for("^one: more of this in")
        program.end()
    assert program.text.count("one: ERROR �[2Jbad") == 6
    assert "fine" not in program.text
    assert (tmp_path / "one.log").read_text().count("ERROR") == 50


def test_logs_turn_over_by_size(tmp_path: Path) -> None:
    done = tmp_path / "done"
    loud = "for n in range(150): print('x' * 100_000, flush=True)" + _ready(done)
    with supervised(tmp_path, {"name": "one", "command": loud, "ready_file": str(done)}) as program:
        _pids(program)
        program.end()
    sizes = [path.stat().st_size for path in tmp_path.glob("one.log*")]
    assert len(sizes) == 3
    assert max(sizes) <= 5 * 1024 * 1024


def test_an_order_that_arrives_twice_is_one_order(tmp_path: Path) -> None:
    clean, done = tmp_path / "clean", tmp_path / "done"
    slow = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.5)\n"
        f"    open({str(clean)!r}, 'w').close()\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)"
    )
    spec = {"name": "one", "command": slow + _ready(done), "ready_file": str(done)}
    with supervised(tmp_path, spec) as program:
        _pids(program)
        program.process.send_signal(signal.SIGINT)
        program.end(signal.SIGINT)
    assert clean.exists()
