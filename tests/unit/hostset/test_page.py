"""Every example in docs/host-lists.md is true."""

import re
from pathlib import Path

import pytest

from opsconsole.errors import Invalid
from opsconsole.hostset import evaluate
from tests.unit.hostset.inventory import Inventory

PAGE = Path(__file__).parents[3] / "docs" / "host-lists.md"
EXAMPLES = re.findall(r"^```hosts\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 30


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example: str) -> None:
    *lines, expected = example.splitlines()
    exclude = lines.pop().removeprefix("exclude: ") if lines[-1].startswith("exclude: ") else ""
    inventory = Inventory()
    try:
        found = evaluate("\n".join(lines), exclude, groups=inventory, suggestions=lambda: inventory.groups)
    except Invalid as refusal:
        (error,) = refusal.errors
        place = "" if error.column is None else f" at column {error.column}"
        assert f"error{place} ({error.code}): {error.hint}" == expected
    else:
        assert "=> " + " ".join(found.labels) == expected
