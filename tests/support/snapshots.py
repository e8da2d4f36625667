"""What a page says, kept in files and compared: its roles and texts as a screen reader is given them.

``UPDATE_SNAPSHOTS=1`` writes the files anew; a change of them is read like a change of code.
"""

import difflib
import os
import re
from pathlib import Path

from playwright.sync_api import Page

_FOLDER = Path(__file__).parents[1] / "browser" / "snapshots"
# What differs from one run to the next, and is no word: durations first, as their units come and go with their size.
_VARYING = (
    (re.compile(r"SHA256:[\w+/=]+"), "SHA256:‹fingerprint›"),
    (re.compile(r"OPSCONSOLE_DATA_DIR=\S+"), "OPSCONSOLE_DATA_DIR=‹folder›"),
    (re.compile(r"\b[0-9a-f]{12,}\b"), "‹hex›"),
    (re.compile(r"\d[\d.,]*( (毫秒|秒|分|小时|天))( \d[\d.,]* (毫秒|秒|分|小时|天))*"), "‹duration›"),
    (re.compile(r"\d[\d.,:/-]*"), "‹n›"),
)


def told(page: Page) -> str:
    """Returns what ``page`` says, without what varies."""
    text = page.locator("body").aria_snapshot()
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return text + "\n"


def differences(name: str, text: str) -> list[str]:
    """Returns how ``text`` differs from what is kept under ``name``, such as ``zh-CN/me``, as lines of a diff."""
    file = _FOLDER / f"{name}.yml"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    kept = file.read_text() if file.exists() else ""
    return list(
        difflib.unified_diff(kept.splitlines(), text.splitlines(), f"kept: {name}", "told now", lineterm="", n=1)
    )
