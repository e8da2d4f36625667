"""What simulated hosts keep of commands that outlive their connection, for whichever worker of this machine asks."""

import contextlib
import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

# What nobody asks for any more.
_FORGOTTEN_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A command's times on the machine's monotonic clock: when it began, when it ends by itself; ``ended`` by whom."""

    began: float
    ends: float
    ended: str | None = None
    ended_at: float | None = None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.ended is None and time.monotonic() < self.ends


class Memory:
    """Small files in ``folder``, one a command. What cannot be read or written counts as not kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with contextlib.suppress(OSError):
            for path in folder.glob("*.json"):
                kept = _read(path)
                now = time.monotonic()
                # One that began in the future did so before the machine was started anew.
                if kept is None or kept.began > now or kept.ends + _FORGOTTEN_SECONDS < now:
                    path.unlink(missing_ok=True)

    def keep(self, mark: str, kept: Kept) -> None:
        """Keeps what is known of the command with ``mark``."""
        path = self._path(mark)
        draft = path.with_suffix(".draft")
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_text(json.dumps(asdict(kept)))
            draft.replace(path)

    def find(self, mark: str) -> Kept | None:
        """Returns what is kept, ``None`` when nothing is."""
        return _read(self._path(mark))

    def end(self, mark: str, by: str) -> bool:
        """Notes that the command was ended; returns whether it had been alive."""
        kept = self.find(mark)
        if kept is None or not kept.alive:
            return False
        self.keep(mark, replace(kept, ended=by, ended_at=time.monotonic()))
        return True

    def forget(self, mark: str) -> None:
        """Removes what is kept."""
        with contextlib.suppress(OSError):
            self._path(mark).unlink(missing_ok=True)

    def _path(self, mark: str) -> Path:
        return self._folder / f"{hashlib.sha256(mark.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> Kept | None:
    try:
        return Kept(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
