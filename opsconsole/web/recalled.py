"""Sentences out of the database in the language of their reader.

Why a host failed and what a test of its connection found is kept in English, as programs are told it. What was kept is
recognised by the templates that the catalogue marks for that; what none of them fits is shown as it is.
"""

import re
from functools import lru_cache
from string import Formatter
from typing import Any

import re2  # type: ignore[import-untyped]  # it has no types
from flask import Flask

from opsconsole.web.languages import ENGLISH, kept_texts
from opsconsole.web.said import reader

_DEEPEST = 3
_ENDS = re.compile(r"[.?] ")
# After these stands no space.
_WIDE_ENDS = "。？"
_SPECS = re.compile(r"(?<!\{)(\{\w+)(?:![rsa])?(?::[^{}]*)?\}")
# What such a value looks like.
_SHAPES = {"addresses": r"[0-9A-Fa-f:%]*[:.][0-9A-Fa-f:.%, ]+", "address": r"\S+", "port": r"\d+", "count": r"[\d,]+"}
# A template with fewer fits almost anything: it counts only with a value that tells what it is.
_FEW_LETTERS = 4


def register(app: Flask) -> None:
    """Makes ``app`` able to say kept sentences in templates: ``{{ row.detail | recalled }}``."""
    app.jinja_env.filters["recalled"] = recalled


def recalled(text: str | None) -> str:
    """Returns what the database keeps as an English sentence, or several, in the language of who is answered."""
    spoken = reader()
    return str(text or "") if spoken is ENGLISH else _all_of(text or "", spoken.locale)


@lru_cache(maxsize=4096)
def _all_of(text: str, locale: str) -> str:
    # One that ends early goes first: what follows it would else be taken for a part of its last value.
    for end in [found.start() + 1 for found in _ENDS.finditer(text)]:
        first = _one(text[:end], locale)
        if first is not None:
            return first + ("" if first[-1] in _WIDE_ENDS else " ") + _all_of(text[end + 1 :], locale)
    return _one(text, locale) or text


def _one(text: str, locale: str, depth: int = 0) -> str | None:
    """Returns the one sentence, ``None`` for one that is not known."""
    fixed, made = _templates(locale)
    if text in fixed:
        return fixed[text]
    for pattern, names, told, speaks in made:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        values = {name: match.group(at) for at, name in enumerate(names, 1)}
        inner = {name: _one(value, locale, depth + 1) for name, value in values.items()} if depth < _DEEPEST else {}
        if speaks or any(inner.values()):
            return told.format_map({name: inner.get(name) or value for name, value in values.items()})
    return None


@lru_cache
def _templates(locale: str) -> tuple[dict[str, str], list[tuple[Any, tuple[str, ...], str, bool]]]:
    """Returns the texts without values, and those with: the most telling first."""
    fixed: dict[str, str] = {}
    made = []
    for english, told in sorted(kept_texts(locale), key=lambda pair: -len(_SPECS.sub("", pair[0]))):
        parts = list(Formatter().parse(english))
        names = tuple(name for _text, name, _form, _conversion in parts if name is not None)
        if not names:
            fixed[english] = told
            continue
        pattern = "".join(re.escape(text) + _group(name) for text, name, _form, _conversion in parts)
        letters = sum(map(str.isalpha, "".join(text for text, *_others in parts)))
        speaks = letters >= _FEW_LETTERS or "addresses" in names
        made.append((re2.compile(f"(?s){pattern}"), names, _SPECS.sub(r"\1}", told), speaks))
    return fixed, made


def _group(name: str | None) -> str:
    return f"({_SHAPES.get(name, '.+?')})" if name is not None else ""
