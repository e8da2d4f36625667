"""docs/cli.md says what the code does."""

import re
from pathlib import Path

from opsconsole.cli.exit_codes import ExitCode

_PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")


def test_every_exit_code_is_in_the_table() -> None:
    table = _PAGE.split("## Exit codes")[1]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == {int(code) for code in ExitCode}


def test_every_command_that_is_named_exists() -> None:
    from opsconsole.cli.main import COMMANDS

    assert set(re.findall(r"opsconsole ([a-z][a-z-]*)", _PAGE)) <= set(COMMANDS)
