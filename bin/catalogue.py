"""The texts of pages and scripts, and the catalogues of their translations. Run by bin/i18n; the tests read it too."""

import argparse
import ast
import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.jslexer import Token, tokenize
from babel.messages.pofile import write_po
from refusals import Refusals

from opsconsole.web.languages import ENGLISH, FOLDER, KEPT_MARK, LANGUAGES, SCRIPT_MARK, Language, catalogue

ROOT = Path(__file__).resolve().parents[1]
_TEMPLATE = {"extensions": "jinja2.ext.do", "silent": "false", "encoding": "utf-8"}
# The functions of texts.js, and which of their arguments are texts.
_SCRIPT_FUNCTIONS = {"t": (0,), "mark": (0,), "plural": (1, 2)}
_PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\{|\}\}|\{\w+(?:![rsa])?(?::[^{}]*)?\}")
# What nobody meets on a page: the command line, and what is refused before there are pages.
_OFF_PAGES = ("opsconsole/cli/", "opsconsole/launcher/", "opsconsole/settings.py", "opsconsole/db/schema.py")
# Of which the page's scripts say the texts, too, by codes that the server tells.
_SCRIPTS_TOO = "reasons.py"
# Where sentences are made that go into the database: they are recognised there (opsconsole/web/recalled.py).
_KEPT = (
    "opsconsole.ssh",
    "opsconsole.executors",
    *(f"opsconsole.jobs.{name}" for name in ("claims", "conntest", "fetching", "follow", "look", "orders")),
    *(f"opsconsole.inventory.{name}" for name in ("draft", "fetching", "formats", "importers", "plan", "sources")),
    *(f"opsconsole.jobs.{name}" for name in ("perform", "probe", "reattach", "sight", "trust")),
)
# Nothing here changes by itself: a date in it would be a conflict in every merge.
_HEADER = """\
# {name}. The words to use are in docs/translating.md; bin/i18n brings this file up to date.
msgid ""
msgstr ""
"Language: {locale}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plurals}\\n"

"""

Id = str | tuple[str, str]


class Text(NamedTuple):
    """A text of the sources: its English, a pair when it counts something, whether a script says it, and whether the
    database keeps it."""

    id: Id
    script: bool
    kept: bool = False


def texts() -> list[Text]:
    """Returns every text of the sources."""
    found = [
        Text(one, script=path.name == _SCRIPTS_TOO)
        for path in _files("opsconsole/web", ".py")
        for one in _read(path, "python")
    ]
    for path in _files("templates", ".html", ".txt"):
        found += [Text(one, script=False) for one in _read(path, "jinja2.ext:babel_extract")]
    for path in _files("opsconsole/web/static/js", ".js"):
        found += [Text(one, script=True) for one in said_by(path.read_text(encoding="utf-8"))]
    return found + [Text(one, script=False, kept=module.startswith(_KEPT)) for module, one in refusals().found]


def refusals() -> Refusals:
    """Returns the sentences that the console refuses with, and which of them no catalogue can hold."""
    paths = {path.relative_to(ROOT): path for path in _files("opsconsole", ".py")}
    return Refusals(
        {
            ".".join(name.with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text(encoding="utf-8"))
            for name, path in paths.items()
            if not name.as_posix().startswith(_OFF_PAGES)
        }
    )


def _files(folder: str, *suffixes: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)


def _read(path: Path, method: str) -> Iterator[Id]:
    with path.open("rb") as source:
        for _line, ids, _comments, _context in extract(method, source, options=_TEMPLATE):
            yield ids if isinstance(ids, str) else (ids[0], ids[1])


def said_by(script: str) -> Iterator[Id]:
    """Yields the texts of a script. Babel's own reader of scripts passes over calls within calls."""
    tokens = list(tokenize(script))
    for at, token in enumerate(tokens):
        if token.type == "template_string":
            for inner in filled_in(token.value):
                yield from said_by(inner)
        elif token.type == "name" and token.value in _SCRIPT_FUNCTIONS and _is_call(tokens, at):
            arguments = list(_arguments(tokens, at + 2))
            ids = [_literal(arguments[place]) for place in _SCRIPT_FUNCTIONS[token.value] if place < len(arguments)]
            if ids and all(one is not None for one in ids):
                yield ids[0] if len(ids) == 1 else (ids[0], ids[1])


def _is_call(tokens: Sequence[Token], at: int) -> bool:
    before = tokens[at - 1].value if at else ""
    return at + 1 < len(tokens) and tokens[at + 1].value == "(" and before not in {".", "function"}


def _arguments(tokens: Sequence[Token], at: int) -> Iterator[list[Token]]:
    """Yields the arguments of the call whose parenthesis is the token before place ``at``."""
    depth = 0
    argument: list[Token] = []
    for token in tokens[at:]:
        sign = token.value if token.type == "operator" else ""
        depth += (sign in {"(", "[", "{"}) - (sign in {")", "]", "}"})
        if depth < 0 or (depth == 0 and sign == ","):
            yield argument
            argument = []
            if depth < 0:
                return
        else:
            argument.append(token)


def _literal(argument: Sequence[Token]) -> str | None:
    if len(argument) != 1 or argument[0].type != "string":
        return None
    return str(ast.literal_eval(argument[0].value))


def filled_in(template: str) -> Iterator[str]:
    """Yields the expressions of a template literal, ``${...}``."""
    for start in re.finditer(r"\$\{", template):
        depth = 1
        for at in range(start.end(), len(template)):
            depth += {"{": 1, "}": -1}.get(template[at], 0)
            if depth == 0:
                yield template[start.end() : at]
                break


def template_of(found: Sequence[Text]) -> Catalog:
    """Returns the catalogue of the English texts, without translations."""
    fresh = Catalog(charset="utf-8")
    counted: dict[str, Id] = {}
    for text in found:
        if isinstance(text.id, tuple) and counted.setdefault(text.id[0], text.id) != text.id:
            raise SystemExit(f"bin/i18n: one singular with two plurals, which a catalogue cannot hold: {text.id[0]}")
        marks = [mark for mark, is_so in ((SCRIPT_MARK, text.script), (KEPT_MARK, text.kept)) if is_so]
        fresh.add(text.id, auto_comments=marks)
    return fresh


def brought_up_to_date(language: Language, fresh: Catalog) -> Catalog:
    """Returns the catalogue of ``language`` with the texts of ``fresh`` alone and the translations it had."""
    known = catalogue(language.locale)
    merged = Catalog(locale=language.locale, charset="utf-8")
    for message in fresh:
        if not message.id:
            continue
        before = known.get(message.id if isinstance(message.id, str) else message.id[0])
        merged.add(message.id, _kept(message, before, merged.num_plurals), auto_comments=message.auto_comments)
    return merged


def _kept(message: Message, before: Message | None, plurals: int) -> str | tuple[str, ...]:
    told = before.string if before is not None and not before.fuzzy else ""
    if isinstance(message.id, str):
        return told if isinstance(told, str) else told[-1]
    forms = told if isinstance(told, tuple) else (told,) * plurals
    return tuple(forms[:plurals]) + ("",) * (plurals - len(forms))


def written(language: Language, filled: Catalog) -> str:
    """Returns the catalogue as its file holds it: sorted, without places in the sources and without dates."""
    body = io.BytesIO()
    write_po(body, filled, width=0, no_location=True, omit_header=True, sort_output=True)
    head = _HEADER.format(name=language.name, locale=language.locale, plurals=filled.plural_forms)
    return head + body.getvalue().decode().lstrip("\n")


def faults(filled: Catalog) -> list[str]:
    """Returns what is wrong with a catalogue: no translation, one that is only guessed, other placeholders."""
    found = []
    for message in filled:
        if not message.id:
            continue
        english = message.id if isinstance(message.id, str) else message.id[-1]
        forms = [message.string] if isinstance(message.string, str) else list(message.string)
        if not all(forms):
            found.append(f"not translated: {english}")
        elif message.fuzzy:
            found.append(f"only guessed: {english}")
        elif any(set(_PLACEHOLDER.findall(form)) != set(_PLACEHOLDER.findall(english)) for form in forms):
            found.append(f"other placeholders: {english} -> {forms[0]}")
    return found


def main() -> int:
    """Brings the catalogues up to date, or with ``--check`` only says what is missing."""
    parser = argparse.ArgumentParser(prog="bin/i18n")
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args().check
    fresh, bad = template_of(texts()), False
    for language in LANGUAGES:
        if language is ENGLISH:
            continue
        path = FOLDER / language.locale / "LC_MESSAGES" / "messages.po"
        filled = brought_up_to_date(language, fresh)
        content = written(language, filled)
        stale = not path.is_file() or path.read_text(encoding="utf-8") != content
        if stale and not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        wrong = faults(filled) + (["not up to date: run bin/i18n"] if stale and check else [])
        print("\n".join([f"{language.locale}: {len(filled)} texts, {len(wrong)} to look at", *wrong]))
        bad = bad or bool(wrong)
    return int(bad and check)


if __name__ == "__main__":
    sys.exit(main())
