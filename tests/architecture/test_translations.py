"""Every text has its translation, and no text a person reads is written past the catalogues."""

import ast
import importlib.util
import re
import sys
from html.parser import HTMLParser

import pytest
from jinja2 import Environment, nodes

from opsconsole.web.languages import ENGLISH, FOLDER, LANGUAGES
from tests.architecture.project import ROOT, files, relative

# The command finds its own modules beside it.
sys.path.insert(0, str(ROOT / "bin"))
_SPEC = importlib.util.spec_from_file_location("opsconsole_bin_catalogue", ROOT / "bin" / "catalogue.py")
assert _SPEC is not None
assert _SPEC.loader is not None
catalogue = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = catalogue
_SPEC.loader.exec_module(catalogue)


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one is not ENGLISH], ids=lambda one: one.code)
def test_each_catalogue_is_complete_and_up_to_date(language: object) -> None:
    """New text: run ``bin/i18n`` and translate what it lists, in the same commit."""
    filled = catalogue.brought_up_to_date(language, catalogue.template_of(catalogue.texts()))
    assert catalogue.faults(filled) == []
    path = FOLDER / language.locale / "LC_MESSAGES" / "messages.po"  # type: ignore[attr-defined]
    assert path.read_text(encoding="utf-8") == catalogue.written(language, filled)


def test_texts_of_scripts_are_found_where_calls_stand_in_calls_and_in_templates() -> None:
    script = """
      t("one"); show(t("two", { n: number(3) }), x.t("not ours"));
      plural(text.split("\\n").length, "{n} line", "{n} lines");
      const said = `${t("three")} and ${row({ a: t("four") })}`; t(name); mark("five");
      // t("a comment")
    """
    assert list(catalogue.said_by(script)) == ["one", "two", ("{n} line", "{n} lines"), "three", "four", "five"]


def test_a_translation_keeps_its_placeholders() -> None:
    language = next(one for one in LANGUAGES if one is not ENGLISH)
    filled = catalogue.brought_up_to_date(language, catalogue.template_of([catalogue.Text("{n} of {all}", True)]))
    assert catalogue.faults(filled) == []
    next(one for one in filled if one.id).string = "{n}"
    assert catalogue.faults(filled) == ["other placeholders: {n} of {all} -> {n}"]
    for english, told in (("{n:,} bytes", "{n} 字节"), ("No {name!r}.", "没有 {name}。"), ("{{{n}}} is", "{{n}} 是")):
        filled = catalogue.brought_up_to_date(language, catalogue.template_of([catalogue.Text(english, False)]))
        next(one for one in filled if one.id).string = told
        assert catalogue.faults(filled) == [f"other placeholders: {english} -> {told}"]


def test_every_refusal_is_a_template_that_a_catalogue_can_hold() -> None:
    """An f-string cannot be translated: ``raise Invalid("No group {name}.", name=name)`` (docs/patterns.md)."""
    assert catalogue.refusals().faults == []


TREE = """
from sentences import Sentence
class OpsconsoleError(Exception): ...
class Invalid(OpsconsoleError): ...
class FieldError:
    field: str
    message: str
    hint: str
"""


def read(source: str) -> catalogue.Refusals:  # type: ignore[name-defined]
    made = "class Sentence(str):\n    template: str"
    return catalogue.Refusals({"some": ast.parse(TREE + source), "sentences": ast.parse(made)})


def test_a_refusal_is_found_through_variables_tables_and_helpers() -> None:
    found = read(
        """
WORDS = {"a": "one", "b": "two"}
def _fault(name: str, message: str) -> Invalid:
    return Invalid(message, errors=[FieldError(name, message, hint=HINT)])
HINT = "three"
def check(text, kind):
    message = "four" if text else Sentence("five {text}", text=text)
    raise Invalid(message)
    raise _fault("field", "six")
    raise Invalid(WORDS[kind])
    raise Invalid(_words())
    raise Invalid("seven {n}", n=1, code="code")
def _words() -> str:
    return "eight"
"""
    )
    texts = {"one", "two", "three", "four", "five {text}", "six", "seven {n}", "eight"}
    assert ({text for _module, text in found.found}, found.faults) == (texts, [])


@pytest.mark.parametrize(
    "raised",
    [
        'Invalid(f"No {text}.")',
        'Invalid("No " + text)',
        'Invalid("No {name}.", text=text)',
        'Invalid("No {name}.", name=text, other=text)',
        'FieldError("field", f"No {text}.")',
        'FieldError("field", "No.", hint=f"Write {text}.")',
        'Sentence("No {}.".format(text), text=text)',
        'Invalid(" ".join(text))',
    ],
)
def test_a_refusal_put_together_in_the_code_is_found(raised: str) -> None:
    assert read(f"def check(text):\n    raise {raised}").faults


# Names, examples and units: what reads the same in every language.
NAMES = {
    "NDJSON", "Aa", "GBK",
    "opsconsole", "UTC", "cred:", "SHA-256", "live", "ms", "dc", "web prod", "web db", "dc=eu role=web", "dc=eu -old",
    "@web & @dc:eu", "web[01-20]", "web[01-20],db1", "*.example.com", "ssh-ed25519 AAAA…", "/etc/motd", "user:group",
    "/var/log/nginx/*.log", "--all 'two words'", "web[01-20] @web dc=eu\nroot@db1:2222 10.0.0.7",
}  # fmt: skip
SHOWN = {"title", "aria-label", "placeholder", "alt", "label", "data-label", "data-empty", "data-note"}
UNSAID = {"script", "style", "code", "kbd", "pre"}
VOID = {"br", "col", "hr", "img", "input", "link", "meta"}
WORD = re.compile(r"[A-Za-z]{2,}")


class Shown(HTMLParser):
    """Gathers what a page shows: texts, and the attributes that are read or read out."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.inside.append(tag)
        self.found += [value for name, value in attrs if name in SHOWN and value]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not UNSAID.intersection(self.inside):
            self.found.append(data)


def constants(node: nodes.Node) -> list[str]:
    """Returns the strings that an expression may come to; those given to a function or a filter are not among them."""
    if isinstance(node, nodes.Const):
        return [node.value] if isinstance(node.value, str) else []
    parts: list[nodes.Node | None] = []
    if isinstance(node, nodes.CondExpr):
        parts = [node.expr1, node.expr2]
    elif isinstance(node, nodes.BinExpr):
        parts = [node.left, node.right]
    elif isinstance(node, nodes.Concat):
        parts = list(node.nodes)
    return [text for part in parts if part is not None for text in constants(part)]


def unfolded(body: list[nodes.Node], holes: list[list[str]]) -> str:
    """Returns the markup of a template with every branch in it; an expression becomes a hole with its number."""
    text = ""
    for node in body:
        for branch in ("body", "elif_", "else_"):
            inner = getattr(node, branch, None)
            text += unfolded(inner, holes) if isinstance(inner, list) else ""
        for part in node.nodes if isinstance(node, nodes.Output) else []:
            if isinstance(part, nodes.TemplateData):
                text += part.data
            else:
                text += f"\ue000{len(holes)}\ue001"
                holes.append(constants(part))
    return text


def unsaid(template: str) -> list[str]:
    """Returns the texts that a template shows without asking the catalogue."""
    holes: list[list[str]] = []
    parsed = Environment(autoescape=True, extensions=["jinja2.ext.i18n", "jinja2.ext.do"]).parse(template)
    reader = Shown()
    reader.feed(unfolded(parsed.body, holes))
    texts: list[str] = []
    for shown in reader.found:
        texts += [text for hole in re.findall("\ue000(\\d+)\ue001", shown) for text in holes[int(hole)]]
        texts.append(re.sub("\ue000\\d+\ue001", " ", shown).strip(" \n·#"))
    return [text for text in texts if WORD.search(text) and text not in NAMES]


@pytest.mark.parametrize("name", [relative(path) for path in files("templates", suffix=".html")])
def test_a_template_shows_no_text_past_the_catalogue(name: str) -> None:
    assert unsaid((ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    [
        "<p>Nothing ran.</p>",
        '<button title="Stop it">x</button>',
        "<p>{% if a %}{{ b }} hosts{% endif %}</p>",
        '<p>{{ "yes" if a else _("no") }}</p>',
        '<p>{{ name or "nobody" }}</p>',
    ],
)
def test_text_past_the_catalogue_is_found(planted: str) -> None:
    assert unsaid(planted)


# What a script shows: the value of such a property or attribute, a label's default.
SHOWS = re.compile(
    r"(?:\btext|\btitle|\bplaceholder|\blabel|\"aria-label\"|\.textContent|\.title|\.ariaLabel)\s*[:=]\s*"
    r"(?:[^\"`',;{}()]*\?\s*)?(\"[^\"]*\"|`[^`]*`)"
)
CALL = re.compile(r"(?<![.\w])(?:t|mark)\(\s*(?:[^()\"`]*\?\s*)?\"((?:[^\"\\]|\\.)*)\"")


def without_values(template: str) -> str:
    """Returns the text of a template literal around its expressions; one that is cut off ends it."""
    for value in catalogue.filled_in(template):
        template = template.replace("${" + value + "}", " ")
    return template.partition("${")[0]


@pytest.mark.parametrize("name", [relative(path) for path in files("opsconsole/web/static", suffix=".js")])
def test_a_script_shows_no_text_past_the_catalogue(name: str) -> None:
    script = (ROOT / name).read_text(encoding="utf-8")
    shown = [without_values(text[1:-1]).strip() for text in SHOWS.findall(script)]
    assert [text for text in shown if WORD.search(text) and text not in NAMES] == []
    known = {one if isinstance(one, str) else one[0] for one in catalogue.said_by(script)}
    assert [text for text in CALL.findall(script) if text not in known] == [], "a text that bin/i18n does not find"
