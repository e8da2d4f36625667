"""What an order says of files: which go where, and which are brought back. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opsconsole.errors import FieldError
from opsconsole.sentences import Sentence

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODE = re.compile(r"0?[0-7]{3}|[0-7]{4}|0[0-7]{4}")
_NAME = r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\$?)"
_OWNER = re.compile(f"{_NAME}|{_NAME}?:{_NAME}")
_MOST_PATH_CHARS = 4096
MOST_PUSHED = 2000
MOST_PULLED = 200
_SHOWN = 50
# What an item of ``push`` holds: what a person says, and what is known of the file by then.
_SAID = ("file", "to", "mode", "owner")
_KNOWN = ("name", "size")


def pushed(items: Sequence[Mapping[str, Any]] | None) -> tuple[dict[str, Any], ...]:
    """Returns the files to push as they are kept: their digests in lower case, without what is not said."""
    found = []
    for item in items or ():
        said = {name: item.get(name) for name in (*_SAID, *_KNOWN) if item.get(name) not in (None, "")}
        said["file"] = str(said.get("file") or "").strip().lower()
        said["to"] = str(said.get("to") or "")
        found.append(said)
    return tuple(found)


def faults(push: Sequence[Mapping[str, Any]], pull: Sequence[str]) -> Iterator[FieldError]:
    """Yields what is wrong with the files of an order."""
    if push and pull:
        yield FieldError("pull", "A job carries files to its hosts or back from them, not both.")
    if len(push) > MOST_PUSHED:
        yield FieldError(
            "push",
            Sentence("At most {limit} files in one job; put more into an archive.", limit=MOST_PUSHED),
        )
    if len(pull) > MOST_PULLED:
        yield FieldError("pull", Sentence("At most {limit} paths in one job; name their folder.", limit=MOST_PULLED))
    # Two files without a path are one thing to tell.
    yield from dict.fromkeys(fault for item in push for fault in _push_faults(item))
    targets = [item["to"] for item in push if item["to"] and not item["to"].endswith("/")]
    if len(set(targets)) < len(targets):
        twice = next(path for path in targets if targets.count(path) > 1)
        yield FieldError("push", Sentence("Two files would go to {path}.", path=twice[:100]))
    for path in pull:
        if fault := _path_fault("pull", path):
            yield fault
        elif ".." in path.split("/"):
            yield FieldError("pull", Sentence("{path}: write the path without any '..'.", path=path[:100]))


def _push_faults(item: Mapping[str, Any]) -> Iterator[FieldError]:
    if not _SHA256.fullmatch(item["file"]):
        yield FieldError("push", "Name each file by its SHA-256, as its upload was answered (64 hexadecimal digits).")
    if fault := _path_fault("push", item["to"]):
        yield fault
    if item.get("mode") is not None and not _MODE.fullmatch(str(item["mode"])):
        yield FieldError(
            "push", Sentence("The mode {mode!r} is not octal digits such as 0644.", mode=str(item["mode"])[:20])
        )
    if item.get("owner") is not None and not _OWNER.fullmatch(str(item["owner"])):
        yield FieldError(
            "push", Sentence("The owner {owner!r} is not user, user:group or :group.", owner=str(item["owner"])[:80])
        )


def _path_fault(field: str, path: str) -> FieldError | None:
    if not path:
        return FieldError(field, "Write a path on the hosts.")
    if path.startswith("~"):
        return FieldError(field, "Leave the ~ out: a path without a slash in front begins in the login's own folder.")
    if len(path) > _MOST_PATH_CHARS or not path.isprintable():
        return FieldError(field, "The path is too long, or holds a control character.")
    return None


def completed(item: Mapping[str, Any], name: str, size: int) -> dict[str, Any]:
    """Returns an item of ``push`` with what is known of its file; a path that ends in a slash gets its name."""
    to = str(item["to"])
    return {**item, "to": to + name if to.endswith("/") else to, "name": name, "size": size}


def summary(push: Sequence[Mapping[str, Any]], pull: Sequence[str]) -> str:
    """Returns the order's files as lines for a person, where a job otherwise has its command."""
    lines = [_push_line(item) for item in push[:_SHOWN]] or [f"pull {path}" for path in pull[:_SHOWN]]
    more = len(push or pull) - _SHOWN
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def _push_line(item: Mapping[str, Any]) -> str:
    how = [f"{word} {item[word]}" for word in ("mode", "owner") if item.get(word)]
    return f"push {item.get('name') or item['file'][:16]} to {item['to']}" + (f" ({', '.join(how)})" if how else "")


def path_of_host(value: str) -> bool:
    """Returns whether a host's value of a variable may stand in a path: it must be a part of one name, and no more."""
    return bool(re.fullmatch(r"[A-Za-z0-9_@:+-][A-Za-z0-9._@:+-]*", value))
