# ruff: noqa: E501  The table is read best with one danger a line.
"""What an order's texts say that a person hardly ever means on several hosts. Pure.

Advice on typing mistakes, not a boundary: nothing here understands a script, it is only looked through for texts like
those of the table. ``tests/unit/jobs/test_danger.py`` has an example of each side for every line of it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

# Where a program's name stands: at the start of a command, behind sudo and its like, in a list or call of a script.
_AT = (
    r"(?:^|[\n;&|(){}`!]|-c\s{1,5}[\"']|[(\[]\s{0,5}[\"']"
    r"|\b(?:sudo|doas|exec|nohup|setsid|then|do|else|time|env|xargs)\s(?:\s{0,5}-\S{1,30}\s{1,5}(?:[a-z_][\w-]{0,31}\s{1,5})?){0,4})"
    r"\s{0,20}(?:/[\w./-]{0,60}/)?"
)
_REST = r"[^\n;|&]{0,200}"
_DISK = r"/dev/(?:sd|hd|vd|xvd|nvme|mmcblk|md|dm-|mapper/|disk/)"
_ACCOUNTS = r"/etc/(?:passwd|shadow|group|gshadow|sudoers|fstab|ssh/sshd_config)\b"
# Below these no person deletes a whole folder by hand; one that lies directly below / is always one of them.
_SYSTEM = re.compile(
    r"/+(?!(?:tmp|mnt|media)(?:/|$))[^/]*/*\*?|/(?:usr|var)/(?:bin|sbin|lib\w*|share|local|include|log|spool)/*\*?"
    r"|/home/[^/]+/*\*?|(?:~|\$HOME|\$\{HOME\})/*\*?|\$\{?\w+\}?/+\*?"
)
_TREE = r"[\"'](/+[^/\"'\s]*/*|/(?:usr|var)/(?:bin|sbin|lib\w*|log|local)/*|~/?)[\"']"
_BREAKS = re.compile(r"[\s\"',()\[\]]+")


@dataclass(frozen=True, slots=True)
class _Danger:
    """What is found, and how: by a pattern, or by a look at the words that follow a program's name.

    The pattern is only tried around the ``signs``, which are fast to find.
    """

    what: str
    signs: re.Pattern[str]
    pattern: re.Pattern[str]
    words: Callable[[Sequence[str]], bool] | None = None


def _by(message: str, signs: str, pattern: str, words: Callable[[Sequence[str]], bool] | None = None) -> _Danger:
    return _Danger(message, re.compile(signs), re.compile(pattern), words)


def _whole_tree(words: Sequence[str]) -> bool:
    """Returns whether ``words`` of rm, chmod or chown name a folder of the system with all that is in it."""
    options = [word for word in words if word.startswith("-")]
    recursive = any(word == "--recursive" or re.fullmatch(r"-[A-Za-z]*[rR][A-Za-z]*", word) for word in options)
    return recursive and any(_SYSTEM.fullmatch(word) for word in words)


def _all_of_a_tree(words: Sequence[str]) -> bool:
    """Returns whether ``words`` of find delete all that they find in a folder of the system."""
    deletes = "-delete" in words or any(a.startswith("-exec") and b.endswith("rm") for a, b in pairwise(words))
    return deletes and any(_SYSTEM.fullmatch(word) for word in words)


_TABLE = (
    _by("deletes the root or a folder of the system", r"rm", r"\brm\b([^\n;|&]{1,400})", _whole_tree),
    _by("deletes the root or a folder of the system", r"find", r"\bfind\b([^\n;|&]{1,400})", _all_of_a_tree),
    _by("deletes the root or a folder of the system", r"rmtree|remove_tree|rm_r", r"\b(?:rmtree|remove_tree|rm_rf|rm_r)\s{0,5}\(?\s{0,5}" + _TREE),
    _by("deletes the root or a folder of the system", r"cd", r"\bcd\s{1,5}/+[a-z]{0,10}/?\s{0,5}(?:&&|;|\n)\s{0,5}(?:sudo\s{1,5})?rm\s[^\n;|&]{0,60}[\s]\.?/?\*"),
    _by("moves files into nowhere", r"mv", r"\bmv\s[^\n;|&]{1,200}\s/dev/null\b"),
    _by("changes the rights of a whole folder of the system", r"chmod|chown|chgrp", r"\b(?:chmod|chown|chgrp)\b([^\n;|&]{1,400})", _whole_tree),
    _by("formats a file system", r"mkfs|mke2fs|mkswap|blkdiscard|pvremove|vgremove|lvremove", _AT + r"(?:mkfs(?:\.\w{1,10})?|mke2fs|mkswap|blkdiscard|pvremove|vgremove|lvremove)\b(?![-=\w])"),
    _by("formats a file system", r"wipefs|sgdisk|cryptsetup|zpool", _AT + r"(?:wipefs" + _REST + r"\s(?:-a|--all)\b|sgdisk" + _REST + r"\s(?:-Z|-o|--zap)|cryptsetup" + _REST + r"\s(?:luksFormat|erase)\b|zpool\s{1,5}destroy\b)"),
    _by("writes to a device", r"dd", r"\bdd\b" + _REST + r"\bof=[\"']?/dev/(?!null\b|stdout\b|zero\b)"),
    _by("writes to a device", r"/dev/", r"(?:>|\btee\s|\bshred\s)" + r"[^\n;|&>]{0,60}?" + _DISK),
    _by("overwrites a file that logins need", r"/etc/", r"(?<![>\w])\d?>\|?\s{0,5}[\"']?" + _ACCOUNTS),
    _by("overwrites a file that logins need", r"/etc/", r"\b(?:rm|truncate|shred|unlink|tee(?!\s{1,5}-a))\s[^\n;|&]{0,100}" + _ACCOUNTS),
    _by("stops or restarts the host", r"reboot|shutdown|halt|poweroff|init", _AT + r"(?:reboot|shutdown|halt|poweroff|(?:tel)?init\s{1,5}[06])\b(?![-=./\w])"),
    _by("stops or restarts the host", r"systemctl", r"\bsystemctl\s{1,5}(?:-\S{1,30}\s{1,5}){0,4}(?:reboot|poweroff|halt|kexec|rescue|emergency|isolate|suspend|hibernate|default)\b"),
    _by("stops or restarts the host", r"sysrq", r"/proc/sysrq-trigger\b"),
    _by("ends all processes", r"kill", r"\bkill\s{1,5}(?:-s\s{1,5}\w{1,10}|-n\s{1,5}\d{1,2}|-\w{1,10}|--)\s{1,5}(?:--\s{1,5})?-1(?![\d\w])|\bkillall5\b|\bos\.kill\(\s{0,3}-1\b"),
    _by("multiplies until the host is full", r"\|", r"([\w:]{1,20})\s{0,3}\(\s{0,3}\)\s{0,3}\{\s{0,5}\1\s{0,3}\|\s{0,3}\1\s{0,3}&"),
    _by("flushes the firewall", r"tables|nft|ufw|firewall-cmd", r"\b(?:ip6?tables(?:-legacy|-nft)?\s(?:[^\n;|&]{0,60}\s)?(?:-F|--flush|-P\s{1,5}INPUT\s{1,5}DROP)\b|nft\s{1,5}flush\b|ufw\s{1,5}(?:--force\s{1,5})?(?:reset|disable)\b|firewall-cmd\s{1,5}--panic-on\b)"),
    _by("stops the SSH service", r"systemctl", r"\bsystemctl\s{1,5}(?:-\S{1,30}\s{1,5}){0,4}(?:stop|disable|mask|kill)\s(?:[^\n;|&]{0,100}\s)?sshd?(?:\.service|\.socket)?(?![\w.-])"),
    _by("stops the SSH service", r"sshd?", r"\bservice\s{1,5}sshd?\s{1,5}stop\b|/etc/init\.d/sshd?\s{1,5}stop\b|\b(?:pkill|killall)\s(?:[^\n;|&]{0,60}\s)?sshd\b"),
    _by("takes the network down", r"ip|ifdown|ifconfig|nmcli", r"\bip\s{1,5}(?:link|l)\s{1,5}set\s[^\n;|&]{1,60}\sdown\b|" + _AT + r"(?:ifdown\s|ifconfig\s[^\n;|&]{1,40}\sdown\b|nmcli\s[^\n;|&]{0,20}networking\s{1,5}off)"),
    _by("takes the network down", r"systemctl", r"\bsystemctl\s{1,5}(?:stop|disable|mask)\s{1,5}(?:networking|NetworkManager|systemd-networkd|network)(?![\w-])"),
    _by("deletes accounts", r"userdel|deluser|groupdel|delgroup", _AT + r"(?:userdel|deluser|groupdel|delgroup)\b(?![-=./\w])"),
    _by("deletes a crontab", r"crontab", _AT + r"crontab\s[^\n;|&]{0,40}-r\b"),
)  # fmt: skip
LOOK_AT_CHARS = 256 * 1024
_BEFORE, _AFTER = 300, 500


def found_in(texts: str) -> tuple[str, ...]:
    """Returns what ``texts`` (all that an order runs, one below the other) seem to do, each once, in few words.

    What lies beyond ``LOOK_AT_CHARS`` is not looked at.
    """
    seen = texts[:LOOK_AT_CHARS].replace("\\\n", " ")
    return tuple(dict.fromkeys(danger.what for danger in _TABLE if any(_hits(danger, seen))))


def _hits(danger: _Danger, texts: str) -> Iterator[bool]:
    for start, end in _around(danger.signs, texts):
        for match in danger.pattern.finditer(texts, start, end):
            yield danger.words is None or danger.words([word for word in _BREAKS.split(match[1]) if word])


def _around(signs: re.Pattern[str], texts: str) -> Iterator[tuple[int, int]]:
    """Yields where ``signs`` stand, with what is near them; what overlaps is one."""
    start, end = 0, -1
    for sign in signs.finditer(texts):
        if sign.start() - _BEFORE > end:
            if end > 0:
                yield start, end
            start = max(sign.start() - _BEFORE, 0)
        end = sign.end() + _AFTER
    if end > 0:
        yield start, end
