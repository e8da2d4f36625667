"""What ``opsconsole resolve`` tells of an order that is not given."""

from collections.abc import Callable

from click.testing import Result

from tests.functional.cli.fake_console import FakeConsole, preview

Call = Callable[..., Result]


def test_resolve_shows_the_reach_of_an_order(console: FakeConsole, call: Call) -> None:
    console.story.preview = preview(412, tier=2, worst_case=70, excluded_count=2, excluded="web[8-9]", unknown=["x1"])
    console.story.preview["risk"]["reasons"] = ["412 hosts"]
    result = call("resolve", "-w", "@web", "-x", "web[8-9]")
    assert result.stdout.splitlines() == [
        "412 hosts: web[1-412]",
        "left out: 2: web[8-9]",
        "not in the inventory: x1",
        "could fail before it stops: 70",
        "to confirm: --yes=412 (412 hosts)",
    ]


def test_resolve_names_the_options_of_the_command_line(console: FakeConsole, call: Call) -> None:
    console.story.preview = preview(500, tier=3)
    console.story.preview["risk"]["reasons"] = ["500 hosts"]
    assert call("resolve", "-w", "@web").stdout.splitlines()[-1] == "to confirm: --yes=500 --reason '...' (500 hosts)"
    console.story.preview = preview(12, tier=1)
    assert "to confirm" not in call("resolve", "-w", "@web").stdout
