"""The project's own files, for the tests that read them all."""

import configparser
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "benchmarks", "bin", "docs", "migrations", "opsconsole", "templates", "tests")
TEXT_SUFFIXES = {"", ".cfg", ".css", ".html", ".js", ".json", ".lock", ".mako", ".md", ".py", ".toml", ".txt", ".in"}


def files(*folders: str, suffix: str = "") -> Iterator[Path]:
    """Yields the project's files below ``folders`` whose name ends in ``suffix``; vendored ones are left out."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob(f"*{suffix}")):
            if path.is_file() and not {"__pycache__", "vendor", "node_modules"}.intersection(path.parts):
                yield path


def top_files() -> Iterator[Path]:
    """Yields the files that lie at the top of the checkout."""
    for path in sorted(ROOT.iterdir()):
        if path.is_file() and path.suffix in TEXT_SUFFIXES and path.name != ".git":
            yield path


def relative(path: Path) -> str:
    """Returns ``path`` as seen from the top of the checkout."""
    return path.relative_to(ROOT).as_posix()


@cache
def setup_cfg() -> configparser.ConfigParser:
    """Returns setup.cfg, read once."""
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser
