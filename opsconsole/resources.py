"""Finds the folders that lie at the top of a checkout and inside the package of an installed wheel."""

from importlib import resources
from pathlib import Path

_MARKERS = {"templates": "_layout/base.html", "migrations": "script.py.mako"}


def data_dir(name: str) -> Path:
    """Returns the absolute folder of ``name`` (``templates`` or ``migrations``).

    An installed copy holds it inside the package, a checkout beside the package. Raises ``FileNotFoundError`` when
    neither has the folder's marker file, which means a broken installation.
    """
    package = Path(str(resources.files("opsconsole")))
    for folder in (package / name, package.parent / name):
        if (folder / _MARKERS[name]).is_file():
            return folder.resolve()
    raise FileNotFoundError(f"opsconsole's own folder {name!r} is missing: the installation is incomplete")
