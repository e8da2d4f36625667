"""The layout keeps its rules: import contracts, file sizes, and modules that do nothing when imported."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.project import ROOT, files, relative, setup_cfg

MAX_LINES = 400
_REASON = re.compile(r"longer than 400 lines because", re.IGNORECASE)
# The owner of each framework, and the packages above it in the layers, which reach it through its owner.
_MAY_IMPORT = {
    "flask": {"web", "launcher", "cli"},
    "celery": {"tasks", "launcher", "cli"},
    # What runs commands on this machine is followed as what runs on a host is.
    "paramiko": {"ssh", "executors", "launcher", "cli"},
    "click": {"cli"},
}
_CODE = {".py", ".js", ".css", ".html"}


def test_import_contracts_hold() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint_imports, "--config", "setup.cfg", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("contract", ["flask", "celery", "paramiko", "click"])
def test_every_package_is_kept_from_the_frameworks_of_others(contract: str) -> None:
    """A new package that is not listed in the contract would be free to import anything."""
    packages = {f"opsconsole.{path.parent.name}" for path in (ROOT / "opsconsole").glob("*/__init__.py")}
    listed = set(setup_cfg()[f"importlinter:contract:{contract}"]["source_modules"].split())
    assert packages - listed <= {f"opsconsole.{name}" for name in _MAY_IMPORT[contract]}


def test_files_stay_short_or_say_why_at_their_top() -> None:
    long = []
    for path in files("benchmarks", "bin", "migrations", "opsconsole", "templates", "tests"):
        if path.suffix not in _CODE:
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > MAX_LINES and not _REASON.search("\n".join(lines[:15])):
            long.append(f"{relative(path)}: {len(lines)} lines")
    assert not long, long


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert not [relative(path) for path in files("opsconsole", suffix=".py") if path.name in drawers]


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node


def test_only_the_database_package_ends_transactions() -> None:
    """Who is given a session adds to the caller's transaction: half of it committed is a half-done deed."""
    found = [
        f"{relative(path)}:{call.lineno}"
        for path in files("opsconsole", suffix=".py")
        if path.parent.name != "db"
        for name, call in _calls(path)
        if name in {"commit", "rollback"}
    ]
    assert not found, found


def test_only_transitions_writes_states() -> None:
    """A state written elsewhere would skip the compare-and-set and the version counter."""
    found = [
        f"{relative(path)}:{call.lineno}"
        for path in files("opsconsole/jobs", "opsconsole/tasks", "opsconsole/web", suffix=".py")
        if path.name != "transitions.py"
        for name, call in _calls(path)
        if name == "values" and any(keyword.arg == "state" for keyword in call.keywords)
    ]
    assert not found, found


@pytest.mark.slow
def test_importing_any_module_reaches_nobody_and_starts_nothing() -> None:
    """Settings, connections and threads belong to ``bootstrap.build``, not to an import."""
    program = """
import importlib, pkgutil, socket, threading

def refuse(*arguments, **options):
    raise SystemExit(f"an import reached out: {arguments}")

for method in ("connect", "connect_ex", "bind"):
    setattr(socket.socket, method, refuse)
import opsconsole
threads = threading.active_count()
for module in pkgutil.walk_packages(opsconsole.__path__, "opsconsole."):
    importlib.import_module(module.name)
    if threading.active_count() > threads:
        raise SystemExit(f"{module.name} started a thread when imported")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
