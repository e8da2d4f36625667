"""What is built holds all that runs, and runs from any folder without the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from opsconsole import resources
from tests.architecture.project import ROOT, files, relative, setup_cfg

_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", "__pycache__", "*.egg-info", "build", "dist", "node_modules"
)


def _options(section: str, key: str) -> list[str]:
    return [line for line in setup_cfg()[section][key].splitlines() if line and not line.startswith("#")]


def test_the_package_list_is_the_folders() -> None:
    folders = {path.parent for path in files("opsconsole", suffix=".py")}
    inside = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(_options("options", "packages")) == inside | {"opsconsole.migrations", "opsconsole.templates"}


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in files("opsconsole", suffix=".py")}
    assert not [relative(folder) for folder in folders if not (folder / "__init__.py").is_file()]


@pytest.mark.parametrize("name", ["templates", "migrations"])
def test_a_checkout_finds_its_own_folders(name: str) -> None:
    assert resources.data_dir(name) == ROOT / name


def test_the_lock_holds_what_setup_cfg_asks_for() -> None:
    """A dependency added by hand without ``bin/lock`` would be missing on every other machine."""
    asked = _options("options", "install_requires") + [
        line for extra in ("postgres", "rabbitmq", "dev") for line in _options("options.extras_require", extra)
    ]
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}
    names = {line.split()[0].partition("[")[0].lower().replace("_", "-") for line in asked}
    assert names - locked == set()


def test_both_locks_agree() -> None:
    def pinned(name: str) -> Mapping[str, str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return dict(line.split(" ")[0].split("==") for line in lines if "==" in line)

    run, dev = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert {name: version for name, version in run.items() if dev.get(name) != version} == {}


def test_the_build_system_is_locked() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    lock = (ROOT / "requirements-setup.lock").read_text(encoding="utf-8")
    assert all(requirement in lock for requirement in build)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the source archive, and the wheel from that archive, in a copy: building litters its folder."""
    copy = tmp_path_factory.mktemp("build") / "opsconsole"
    shutil.copytree(ROOT, copy, ignore=_LEFT_OUT)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", copy],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return copy / "dist"


@pytest.mark.slow
def test_the_wheel_holds_the_product_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = {relative(path) for path in files("opsconsole") if path.suffix != ".pyc"}
    wanted |= {f"opsconsole/{relative(path)}" for path in files("templates") if path.suffix in {".html", ".txt"}}
    wanted |= {f"opsconsole/{relative(path)}" for path in files("migrations")}
    assert wanted - held == set()
    foreign = {name for name in held if not name.startswith(("opsconsole/", "opsconsole-"))}
    assert not foreign, "only the package may land in site-packages"


@pytest.mark.slow
def test_the_source_archive_can_serve_a_checkout(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"wsgi.py", "worker.py", "Makefile", "bin/setup", "requirements.lock", "LICENSE", "setup.cfg"} <= held


@pytest.mark.slow
def test_an_installed_wheel_runs_from_another_folder(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--python", python, wheel], check=True)
    # The dependencies are borrowed from this environment: installing them again would test the index, not the wheel.
    site = next((environment / "lib").glob("python3*/site-packages"))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OPSCONSOLE_", "PYTHON"))}
    clean["HOME"] = str(tmp_path)
    helped = subprocess.run(
        [environment / "bin" / "opsconsole", "--help"], cwd="/", env=clean, capture_output=True, text=True, check=False
    )
    assert helped.returncode == 0, helped.stderr
    assert "up" in helped.stdout
    where = "from opsconsole.resources import data_dir; print(data_dir('templates'), data_dir('migrations'))"
    printed = subprocess.run([python, "-c", where], cwd="/", env=clean, capture_output=True, text=True, check=True)
    assert printed.stdout.split() == [f"{site}/opsconsole/templates", f"{site}/opsconsole/migrations"]
