"""The pages' scripts: their pure parts run under Node, by vitest."""

import subprocess
from pathlib import Path

from tests.architecture.project import ROOT


def test_script_tests_pass() -> None:
    node = subprocess.run(["bin/node-packages"], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert node.returncode == 0, node.stderr
    command = [Path(node.stdout.strip()), "node_modules/vitest/vitest.mjs", "run", "--reporter=dot"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
