"""The commands that a newcomer types first: make, set-up on a machine that lacks something, tests that cannot run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.project import ROOT

_SETUP_FILES = ("setup.cfg", "pyproject.toml", "requirements-setup.lock", "requirements.lock", "requirements-dev.lock")


def test_make_explains_itself() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("help", "up", "demo", "test", "lint", "bench", "wheel", "clean"):
        assert f"make {target} " in done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The part of a checkout that bin/setup reads."""
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin" / "setup", tmp_path / "bin" / "setup")
    for name in _SETUP_FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def _setup(checkout: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Runs bin/setup with a Python that answers as the shell code ``python`` says."""
    fake = checkout / "python"
    fake.write_text(f"#!/bin/sh\n{python}\n", encoding="utf-8")
    fake.chmod(0o755)
    environment = os.environ | {"PYTHON": str(fake)}
    return subprocess.run(["bin/setup"], cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_setup_names_the_package_that_venv_needs(checkout: Path) -> None:
    done = _setup(checkout, 'case "$2" in *ensurepip*) exit 1 ;; *print*) echo 3.11 ;; esac')
    assert done.returncode == 2
    assert "apt-get install python3.11-venv" in done.stderr


def test_setup_refuses_an_old_python_in_words(checkout: Path) -> None:
    done = _setup(checkout, 'case "$2" in *version_info\\ \\<*) exit 1 ;; *print*) echo 3.9 ;; esac')
    assert done.returncode == 2
    assert "3.11 or later" in done.stderr


_NEEDS_A_PART = """
from tests.support.requirements import not_run

def test_needs_it():
    not_run("a frobnicator", "apt-get install frobnicator")

def test_needs_nothing():
    pass
"""


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_test_that_cannot_run_is_named_and_fails_ci(tmp_path: Path, ci: str, status: int, processes: str) -> None:
    (tmp_path / "test_part.py").write_text(_NEEDS_A_PART, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-n", processes]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, str(tmp_path)],
        cwd=tmp_path,
        env=inherited | {"PYTHONPATH": str(ROOT), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "NOT RUN" in done.stdout
    assert "a frobnicator" in done.stdout
    assert "apt-get install frobnicator" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout
