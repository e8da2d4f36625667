"""The project speaks of the product alone, in its own words."""

import re

from tests.architecture.project import FOLDERS, TEXT_SUFFIXES, files, relative, top_files

# Written in two parts, so that this file does not find itself.
_NOT_OURS = [
    "/wo" + "rk/",
    "/tmp/" + "bash",
    "/o" + "pt/wheels",
    "py" + r"pi\.org",
    "python" + r"hosted\.org",
    "npm" + r"js\.(?:org|com)",
    "TO" + "DO",
    "FIX" + "ME",
    "HA" + "CK:",
    "lorem " + "ipsum",
    "sub" + "agent",
    "clau" + "de",
    "anth" + "ropic",
    "chat" + "gpt",
    r"\bcancel" + r"(?:ed|ing)\b",
    "white" + "list",
    "black" + "list",
]


def test_no_foreign_or_unfinished_word() -> None:
    pattern = re.compile("|".join(_NOT_OURS), re.IGNORECASE)
    found = []
    for path in [*top_files(), *files(*FOLDERS)]:
        if path.suffix not in TEXT_SUFFIXES:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            # The letters of a checksum fall as they fall.
            words = re.sub(r'"integrity": "sha512-[^"]*"', "", line)
            found += [f"{relative(path)}:{number}: {match.group()}" for match in pattern.finditer(words)]
    assert not found, found
