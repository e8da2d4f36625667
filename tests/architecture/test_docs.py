"""The documentation names every setting and every route, with what the code says of them."""

from pathlib import Path

from opsconsole.settings import Settings

_DOCS = Path(__file__).parents[2] / "docs"


def settings_table() -> str:
    """Returns the table of docs/running.md as the code would write it."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        value = field.get_default(call_default_factory=False)
        default = "" if value in (None, (), {}) or field.default_factory else f"`{value}`"
        rows.append(f"| `OPSCONSOLE_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_every_setting_is_documented_as_the_code_says() -> None:
    assert settings_table() in (_DOCS / "running.md").read_text()


def test_every_setting_has_a_description() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]
