"""What the command line says of an order before it is given."""

from collections.abc import Callable

from click.testing import Result

from tests.functional.cli.fake_console import FakeConsole, preview

Call = Callable[..., Result]


def test_hosts_whose_key_changed_are_named_before_anything_runs(console: FakeConsole, call: Call) -> None:
    console.story.preview = preview(2, key_changed_count=1, key_changed_folded="web2")
    told = "HOST KEY CHANGED, nothing connects: 1: web2."
    assert told in call("resolve", "-w", "web[1-2]").stdout
    assert told in call("run", "-w", "web[1-2]", "--", "true").stderr
    assert told in call("run", "--quiet", "-w", "web[1-2]", "--", "true").stderr
