"""The kill loop in its short form: fifty random kills under load, and not one promise broken."""

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_fifty_random_kills_break_no_promise() -> None:
    command = [sys.executable, "-m", "opsconsole", "bench", "kill-loop", "--kills", "50", "--pause", "0.4", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert sum(found["kills"].values()) == 50
    assert (found["violations"], found["most_starts_of_a_run"]) == ([], 1)
    assert found["runs"]["succeeded"] > 0
