"""``opsconsole settings``."""

import json
from collections.abc import Callable

from click.testing import Result

from tests.functional.cli.fake_console import FakeConsole

Call = Callable[..., Result]


def row(name: str, value: object, source: str = "default") -> dict[str, object]:
    variable = f"OPSCONSOLE_{name.upper()}"
    section = {"name": name, "section": "orders", "variable": variable}
    return {**section, "value": value, "source": source, "meaning": "What it is."}


def test_each_setting_is_a_line(console: FakeConsole, call: Call) -> None:
    rows = [row("protected_tags", ["prod", "env=live"], "environment"), row("allow_local", False), row("jump", None)]
    console.story.answers["settings"] = {"settings": rows}
    lines = [line.split() for line in call("settings").stdout.splitlines()]
    assert [line[:3] for line in lines] == [
        ["OPSCONSOLE_PROTECTED_TAGS", "prod,env=live", "environment"],
        ["OPSCONSOLE_ALLOW_LOCAL", "no", "default"],
        ["OPSCONSOLE_JUMP", "-", "default"],
    ]
    assert json.loads(call("settings", "--json").stdout.splitlines()[0])["value"] == ["prod", "env=live"]
