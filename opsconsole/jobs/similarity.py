"""What outputs of different hosts have in common: what a line says without its colours, and without what is only this
host's or this moment's. Pure.

The rule for figures: one that carries its unit (``12 ms``, ``3.4G``, ``52%``), or stands in a place that is known to
hold a reading, is a reading and is masked. A bare number is a statement (``3 errors``) and stays, and so do versions,
dates without a clock time, and the end of a scale, ``100%``.
"""

import ipaddress
import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache

from opsconsole.jobs.output import without_escapes

_LINES_REMEMBERED = 16_384
_REMEMBERED_CHARS = 400


class Mode(StrEnum):
    """How alike outputs must be to stand in one group: to the byte, but for looks, or but for readings."""

    EXACT = "exact"
    CLEAN = "clean"
    SIMILAR = "similar"


# A figure or a word begins and ends where no word, version or range goes on.
_B = r"(?<![\w.+~-])"
_E = r"(?![\w+~-]|[.:]\d)"
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:day|sday|nesday|rsday|urday)?,? )"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# Named one by one: any three capitals would take the GET behind the time in a log for a zone.
_ZONE = (
    r"(?: ?(?:Z|[+-]\d\d:?\d\d)\b| (?:UTC|GMT|WES?T|CES?T|EES?T|BST|IST|MSK|[ECMP][SD]T|JST|KST|HKT|SGT|AE[SD]T"
    r"|NZ[SD]T)\b)"
)
_CLOCK = r"\d\d?:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?[AP]M)?"
_ISO = rf"\d{{4}}[-/]\d\d[-/]\d\d[T ]{_CLOCK}{_ZONE}?"
_MAIL = rf"\d{{1,2}} {_MONTH} \d{{4}} {_CLOCK}{_ZONE}?"
_AMOUNT = r"\d{1,12}(?:\.\d{1,9})?"
_SPAN = (
    rf"{_AMOUNT}(?:/{_AMOUNT}){{0,3}}"
    r"(?: ?(?:ns|us|µs|ms|s|secs?|seconds?|mins?|minutes?|hrs?|hours?|days?|weeks?|months?|years?)|[mhd])"
)
_UPTIME = r"(?:\d+ (?:min|days?|weeks?|months?|years?|hours?|minutes?)|\d+:\d\d)"
_SIZE = r"(?:\d{1,3}(?:,\d{3}){1,5}|\d{1,18}(?:[.,]\d{1,3})?)(?: ?(?:[kKMGTPE]i?B|[kKMGT]bit|[Bb]ytes?|B)|[kKMGTPE]i?)"
_CELL = r"\d+(?:\.\d+)?[KMGTPE]?i?"
_ID = r"(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]"
_MAC = r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:-])"
_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![\w-])"

# Readings, each by the name of what it is; of two that would fit the first counts. Those that begin with a figure:
_FIGURES = (
    rf"(?<!:)(?P<mac>{_MAC})",
    rf"(?P<id>{_UUID})",
    rf"(?P<time>{_ISO}){_E}",
    rf"(?P<time_1>{_MAIL}){_E}",
    rf"(?P<time_2>\d\d/{_MONTH}/\d{{4}}:\d\d:\d\d:\d\d(?: [+-]\d{{4}})?){_E}",
    rf"(?<!:)(?P<time_3>(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{{1,9}})?)?(?: ?[AP]M)?{_ZONE}?){_E}",
    rf"(?P<time_4>1[4-9]\d{{8}}(?:\d{{3}})?(?:\.\d{{1,9}})?){_E}",
    r"(?:(?<=\[)|(?<=\[ ))(?P<time_5>\d{1,9}\.\d{6})(?=\])",
    r"(?<=[\w)-]\[)(?P<pid>\d{1,7})(?=\]:)",
    r"(?:(?<=[├└]─)|(?<=[├└]─ ))(?P<pid_1>\d{1,7})(?= )",
    r"(?P<address>0x[0-9a-fA-F]{9,16})\b",
    r"(?<=, )(?P<users>\d+ users?)(?=, load average)",
    r"(?<=^)(?P<load>\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+/\d+ \d+)$",
    r"(?<=\(Reading database \.\.\. )(?P<count>\d+)(?= files)",
    rf"(?P<bytes>{_CELL} {_CELL} {_CELL})(?= (?:\d{{1,3}}%|-) /)",
)
# Those that begin with a word:
_WORDS = (
    rf"(?P<time_6>{_WEEKDAY}?{_MONTH} \d{{1,2}} {_CLOCK}{_ZONE}?(?: \d{{4}})?){_E}",
    rf"(?P<time_7>{_WEEKDAY}(?:{_ISO}|{_MAIL})){_E}",
    r"load averages?: (?P<load_1>\d+[.,]\d\d,? \d+[.,]\d\d,? \d+[.,]\d\d)",
    rf"up (?P<duration>{_UPTIME}(?:,? {_UPTIME}){{0,4}})(?=,)",
    r"(?:[A-Za-z]{0,8}PID|p?pid|P?Pid|by process|[Pp]rocess id)[ =:#]{1,3}(?P<pid_2>\d{1,7})\b",
    r"process (?P<pid_3>\d{1,7})(?= \()",
    rf"(?:Mem|Swap):(?P<bytes_1>(?: {_CELL}){{3,6}})$",
    rf"(?P<mac_1>{_MAC})",
    rf"(?P<id_1>{_UUID})",
)
# Readings that are settings where the line is one: ``TimeoutStopSec=90s`` differs because somebody meant it to.
_FIGURES_OUTSIDE_SETTINGS = (
    rf"(?P<duration_1>{_SPAN}(?:(?:,| and)? ?{_SPAN}){{0,5}}){_E}",
    rf"(?P<bytes_2>{_SIZE}){_E}",
    r"(?!100(?:\.0+)?%)(?P<percent>\d{1,3}(?:\.\d{1,3})?%)(?!\w)",
)
# Long ids, but for digests and commits, which are what somebody asked for: their length and place tell them.
_IDS_OUTSIDE_SETTINGS = (
    rf"^(?P<id_2>{_ID}{{12}})(?= )",
    rf"(?<=[ =\"'(\[/,<])(?<!= )(?<!commit )(?P<id_3>{_ID}{{12,64}}){_E}",
)


def _either(figures: Iterable[str], words: Iterable[str], both: Iterable[str]) -> re.Pattern[str]:
    """Returns one pattern that looks at each place only where a figure or a word begins."""
    ways = (r"(?=\d)(?:" + "|".join(figures) + ")", r"(?=[A-Za-z])(?:" + "|".join(words) + ")", *both)
    return re.compile(_B + "(?:" + "|".join(ways) + ")")


_IN_SETTINGS = _either(_FIGURES, _WORDS, ())
_READINGS = _either((*_FIGURES, *_FIGURES_OUTSIDE_SETTINGS), _WORDS, _IDS_OUTSIDE_SETTINGS)
_SETTING = re.compile(r"\s*[\w.-]+\s*=")
# Most lines hold no figure that begins anywhere but in a word or a version, and no long id: those need no closer look.
_WORTH_A_LOOK = re.compile(r"(?<![\w.+~-])\d|[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]|[0-9A-Fa-f]{8}-|[0-9a-f]{12}|0x")
_GOES_ON_BEFORE = re.compile(r"(?:[\w-]|\d\.)\Z")
_GOES_ON = re.compile(r"[\w-]|\.\d")
_BLANKS = re.compile(r"(?<=\S)[ \t]{2,}|(?<=\S)\t")


class Own:
    """The names of one host, which its output may hold: the name in the inventory, its first label, its address."""

    def __init__(self, names: Iterable[str]) -> None:
        found: set[str] = set()
        for name in names:
            bare = name.rpartition("@")[2].strip("[]").lower()
            if bare.count(":") == 1:
                bare = bare.partition(":")[0]
            found.add(bare)
            if not _is_address(bare):
                found.add(bare.partition(".")[0])
        # A single letter, or a number, is more often something else than the host.
        self._names = sorted((name for name in found if len(name) > 1 and not name.isdigit()), key=len, reverse=True)

    def mask(self, text: str) -> str:
        """Returns ``text`` with ``‹host›`` and ``‹address›`` for the host's own."""
        for name in self._names:
            lower = text.lower()
            # Of a few letters the small ones are longer: then only the name as it is written is found.
            text = _replaced(text, lower if len(lower) == len(text) else text, name)
        return text


def _replaced(text: str, lower: str, name: str) -> str:
    """Returns ``text`` with the name masked wherever it is a word of its own; searched by hand, as in a long output a
    pattern would take most of the time of all masking."""
    at = lower.find(name)
    if at < 0:
        return text
    mask = "‹address›" if _is_address(name) else "‹host›"
    parts, done = [], 0
    while at >= 0:
        end = at + len(name)
        if not _GOES_ON_BEFORE.search(lower[max(at - 2, 0) : at]) and not _GOES_ON.match(lower[end : end + 2]):
            parts += [text[done:at], mask]
            done = end
        at = lower.find(name, end)
    return "".join([*parts, text[done:]])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


NOBODY = Own(())


def clean(line: str) -> str:
    """Returns what of ``line`` (without its end) is left to read: no colours, nothing behind the last character, and of
    what was overwritten by a return to the start of the line only the last."""
    if "\x1b" in line or "\x9b" in line:
        line = without_escapes(line)
    line = line.rstrip()
    return line.rpartition("\r")[2] if "\r" in line else line


def cleaned(text: str) -> str:
    """Returns the lines of ``text`` as ``clean`` leaves them."""
    if "\x1b" in text or "\x9b" in text or "\r" in text:
        return "\n".join([clean(line) for line in text.split("\n")])
    return "\n".join([line.rstrip() for line in text.split("\n")])


def masked(line: str, own: Own = NOBODY) -> str:
    """Returns a cleaned ``line`` with readings as ``‹time›``, ``‹pid›``, … and runs of blanks inside it as one."""
    line = own.mask(line)
    return _remembered(line) if len(line) <= _REMEMBERED_CHARS else _masked(line)


def _masked(line: str) -> str:
    if not _WORTH_A_LOOK.search(line):
        return _one_blank(line)
    return readings(line)[0]


def _one_blank(line: str) -> str:
    return _BLANKS.sub(" ", line) if "  " in line or "\t" in line else line


# Hosts of a fleet say much the same: what a line of one came to is known when the next one says it.
_remembered = lru_cache(maxsize=_LINES_REMEMBERED)(_masked)


def readings(line: str, own: Own = NOBODY) -> tuple[str, list[tuple[str, str]]]:
    """Returns a cleaned ``line`` as ``masked`` does, and what was masked in it as ``(kind, text)`` from left to right.

    The host's own names are not among them.
    """
    line = _one_blank(own.mask(line))
    found: list[tuple[str, str]] = []

    def hide(match: re.Match[str]) -> str:
        group = str(match.lastgroup)
        kind = group.partition("_")[0]
        start, end = match.span(group)
        found.append((kind, match.string[start:end].strip()))
        return f"{match.string[match.start() : start]}‹{kind}›{match.string[end : match.end()]}"

    pattern = _IN_SETTINGS if _SETTING.match(line) else _READINGS
    return pattern.sub(hide, line), found


def normalised(line: str, mode: Mode, own: Own) -> str:
    """Returns ``line`` as ``mode`` compares it."""
    if mode is Mode.EXACT:
        return line
    line = clean(line)
    return line if mode is Mode.CLEAN else masked(line, own)
