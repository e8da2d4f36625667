"""OpenSSH's ``ssh_config``: every name that a ``Host`` line spells out becomes a host, with the first value found.

Nothing of it is carried out: ``Match exec`` and the like are refused. ``Include`` sees only the files handed over.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from posixpath import normpath

from opsconsole.inventory.draft import Draft, HostDraft, shown
from opsconsole.sentences import Sentence

_MAX_INCLUDES = 16
_MAX_OPTIONS = 200_000
_WORDS = re.compile(r'"([^"]*)"|(\S+)')
_KEYWORD = re.compile(r'\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+|(?="))(.*)', re.DOTALL)
_THROUGH = re.compile(r"(?:\S*/)?ssh\s+(?:-q\s+)?-W\s+\[?%h\]?:%p\s+(\S+)")
_WANTED = frozenset({"hostname", "port", "user", "identityfile", "certificatefile", "proxyjump", "proxycommand"})


@dataclass(frozen=True, slots=True)
class _Condition:
    """When a block holds: the patterns of a ``Host`` line, or what a ``Match`` line asks; of both names, as given."""

    patterns: tuple[str, ...]
    criterion: str = "originalhost"

    def holds(self, name: str, dialled: str) -> bool:
        subject = dialled if self.criterion == "host" else name
        found = False
        for pattern in self.patterns:
            if fnmatchcase(subject.lower(), _glob(pattern.removeprefix("!").lower())):
                if pattern.startswith("!"):
                    return False
                found = True
        return found


@dataclass(frozen=True, slots=True)
class _Option:
    keyword: str
    value: str
    line: int
    file: str | None
    conditions: tuple[_Condition, ...]


@dataclass(slots=True)
class _Config:
    options: list[_Option] = field(default_factory=list)
    # The names that Host lines spell out, with line and file.
    names: dict[str, tuple[int, str | None]] = field(default_factory=dict)


def read_ssh_config(text: str, draft: Draft, files: Mapping[str, str] | None = None) -> None:
    """Reads the text into ``draft``. ``files`` are those that Include may mean, by path below the file's folder."""
    reader = _Reader(draft, files or {})
    reader.read(text, None, (), 0)
    # What stands under "Host *" holds for all names: looking it through once for each is what OpenSSH does too.
    for name, (line, file) in reader.config.names.items():
        draft.file = file
        host = draft.host(name, line)
        if host is not None:
            _fill(host, name, reader.config, draft)
    draft.file = None


class _Reader:
    def __init__(self, draft: Draft, files: Mapping[str, str]) -> None:
        self.config = _Config()
        self._draft = draft
        self._files = {normpath(name): content for name, content in files.items()}

    def read(self, text: str, file: str | None, outer: tuple[_Condition, ...], depth: int) -> None:
        """Reads one file; ``outer`` are the conditions of the block that includes it."""
        inner: tuple[_Condition, ...] | None = outer
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
            self._draft.file = file
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            found = _KEYWORD.fullmatch(stripped)
            if found is None:
                self._draft.fault(number, Sentence("{stripped} has no value.", stripped=shown(stripped)))
                continue
            keyword, words = found[1].lower(), _split(found[2])
            if keyword == "host":
                inner = (*outer, _Condition(tuple(words)))
                self._note_names(words, number, file)
            elif keyword == "match":
                condition = self._match(words, number)
                inner = None if condition is None else (*outer, *condition)
            elif inner is not None and keyword == "include":
                self._include(words, number, file, inner, depth)
            elif inner is not None and keyword in _WANTED and words:
                self._keep(keyword, found[2] if keyword == "proxycommand" else words[0], number, file, inner)

    def _keep(self, keyword: str, value: str, line: int, file: str | None, conditions: tuple[_Condition, ...]) -> None:
        if len(self.config.options) >= _MAX_OPTIONS:
            self._draft.fault(line, "The files have far too many options.")
            return
        self.config.options.append(_Option(keyword, value, line, file, conditions))

    def _note_names(self, words: Iterable[str], line: int, file: str | None) -> None:
        for word in words:
            if not word.startswith("!") and not set("*?") & set(word):
                self.config.names.setdefault(word, (line, file))

    def _match(self, words: list[str], line: int) -> tuple[_Condition, ...] | None:
        """Returns the conditions of a Match line, or ``None``: then its block is passed over."""
        found: list[_Condition] = []
        rest = list(words)
        while rest:
            criterion, _, value = rest.pop(0).partition("=")
            criterion = criterion.lower()
            if criterion == "all":
                continue
            if criterion == "exec":
                message = "Match exec runs a program to decide, which an import never does. Write Host lines instead."
                self._draft.fault(line, message)
                return None
            if criterion not in {"host", "originalhost"}:
                message = Sentence(
                    "Match {criterion} depends on who connects; known are all, host and originalhost.",
                    criterion=shown(criterion),
                )
                self._draft.fault(line, message)
                return None
            value = value or (rest.pop(0) if rest else "")
            found.append(_Condition(tuple(value.split(",")), criterion))
        return tuple(found)

    def _include(
        self, words: list[str], line: int, file: str | None, inner: tuple[_Condition, ...], depth: int
    ) -> None:
        if depth >= _MAX_INCLUDES:
            self._draft.fault(line, "The files include each other too deep.")
            return
        for word in words:
            # As ssh does: a path that is not absolute is below the user's folder of ssh, wherever Include stands.
            pattern = normpath(word.removeprefix("~/.ssh/"))
            names = [name for name in sorted(self._files) if fnmatchcase(name, pattern)]
            if pattern.startswith(("/", "~", "..")) or (not names and not set("*?[") & set(pattern)):
                message = Sentence(
                    "Include {word}: this file was not handed over. Import it as well, or paste its text.",
                    word=shown(word),
                )
                self._draft.fault(line, message)
                continue
            for name in names:
                self.read(self._files[name], name, inner, depth + 1)
        self._draft.file = file


def _fill(host: HostDraft, name: str, config: _Config, draft: Draft) -> None:
    found: dict[str, _Option] = {}
    dialled = name
    for option in config.options:
        if option.keyword in found or not all(item.holds(name, dialled) for item in option.conditions):
            continue
        # One of ProxyJump and ProxyCommand: the first of either wins.
        if option.keyword in {"proxyjump", "proxycommand"} and {"proxyjump", "proxycommand"} & found.keys():
            continue
        found[option.keyword] = option
        if option.keyword == "hostname":
            dialled = option.value.replace("%%", "%").replace("%h", name)
    if "hostname" in found and dialled.lower() != name.lower():
        _put(host, "address", dialled, found["hostname"], draft)
    for keyword in ("port", "user"):
        if keyword in found:
            _put(host, keyword, found[keyword].value, found[keyword], draft)
    _jump(host, found, draft)
    identity = found.get("identityfile")
    if identity is not None and identity.value.lower() != "none":
        host.identity = identity.value
    if "certificatefile" in found:
        draft.notice("CertificateFile is not taken over: a certificate is part of a credential.")


def _jump(host: HostDraft, found: Mapping[str, _Option], draft: Draft) -> None:
    jump, command = found.get("proxyjump"), found.get("proxycommand")
    if jump is not None:
        # ``none`` is kept: it says that the ways of groups and of the console are not for this host.
        _put(host, "jump", jump.value.replace("ssh://", ""), jump, draft)
    elif command is not None and command.value.strip().lower() != "none":
        through = _THROUGH.fullmatch(command.value.strip())
        if through is not None:
            _put(host, "jump", through[1], command, draft)
        else:
            draft.notice("ProxyCommand runs a program and is not taken over; ProxyJump is.")


def _put(host: HostDraft, name: str, value: str, option: _Option, draft: Draft) -> None:
    draft.file = option.file
    draft.put(host, name, value, option.line)


def _split(text: str) -> list[str]:
    words = []
    for match in _WORDS.finditer(text):
        word = match[1] if match[1] is not None else match[2]
        if match[1] is None and word.startswith("#"):
            break
        words.append(word)
    return words


def _glob(pattern: str) -> str:
    """Only ``*`` and ``?`` are special to OpenSSH."""
    return pattern.replace("[", "[[]")
