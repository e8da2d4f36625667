"""The command line of a network device that there is not: prompt, banner, pager, modes, and faults told in words.

As a program it speaks on its standard streams, as a forced command of an SSH server would; ``DeviceLine`` is the same
for a server that has no programs.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

_BANNER = "\r\nUnauthorised use is forbidden.\r\nUptime 3 days #\r\n\r\n"
_PAGE = 5
MORE = " --More-- "
_WIPE = "\b" * len(MORE) + " " * len(MORE) + "\b" * len(MORE)


class DeviceLine:
    """Takes lines and says what such a device says by ``say``.

    ``key`` waits for one key at a pager; without it there is no pager.
    """

    def __init__(
        self, name: str, say: Callable[[str], None], key: Callable[[], str] | None, log: Path | None = None
    ) -> None:
        self.name = name
        self._say = say
        self._key = key
        self._log = log
        self._paging = key is not None
        self._mode = ""

    @property
    def prompt(self) -> str:
        """What it shows when it waits."""
        return f"{self.name}{self._mode}#"

    def greet(self) -> None:
        """Shows the banner and the first prompt."""
        self._say(_BANNER + self.prompt)

    def obey(self, line: str) -> bool:
        """Carries out one line; returns whether the session goes on."""
        if self._log is not None:
            with self._log.open("a") as log:
                log.write(line + "\n")
        match line.split():
            case ["exit"]:
                left, self._mode = self._mode, ""
                return bool(left)
            case ["reload"]:
                return False
            case ["terminal", "length", "0"]:
                self._paging = False
            case ["configure"]:
                self._mode = "(config)"
            case ["interface", _]:
                self._mode = "(config-if)"
            case ["show", "version"]:
                self._say("Device OS 15.2\r\nserial 4711\r\n")
            case ["show", "log"]:
                self._pages([f"entry {number}" for number in range(1, 13)])
            case ["wait"]:
                self._say("waiting...")
                time.sleep(600)
            case []:
                pass
            case _:
                self._say("            ^\r\n% Invalid input detected at '^' marker.\r\n")
        return True

    def _pages(self, lines: list[str]) -> None:
        for at, line in enumerate(lines):
            if self._paging and self._key and at and at % _PAGE == 0:
                self._say(MORE)
                key = self._key()
                self._say(_WIPE)
                if key == "q":
                    return
            self._say(f"{line}\r\n")


def _main() -> None:
    import termios
    import tty

    def say(text: str) -> None:
        # The terminal makes CR LF of a newline by itself.
        sys.stdout.write(text.replace("\r\n", "\n"))
        sys.stdout.flush()

    def key() -> str:
        before = termios.tcgetattr(0)
        tty.setcbreak(0)
        mode = termios.tcgetattr(0)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(0, termios.TCSADRAIN, mode)
        try:
            return os.read(0, 1).decode()
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)

    line = DeviceLine("sw1", say, key, Path(sys.argv[1]))
    asked = os.environ.get("SSH_ORIGINAL_COMMAND")
    if asked is not None:
        line.obey(asked)
        return
    line.greet()
    while True:
        try:
            said = os.read(0, 1000).decode()
        except KeyboardInterrupt:
            say("\n" + line.prompt)
            continue
        if not said:
            return
        try:
            goes_on = line.obey(said.strip())
        except KeyboardInterrupt:
            say("\n")
            goes_on = True
        if not goes_on:
            return
        say(line.prompt)


if __name__ == "__main__":
    _main()
