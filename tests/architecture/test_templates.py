"""Templates and scripts keep the strict content security policy and never trust what a host printed."""

import re

import pytest
from jinja2 import Environment

from tests.architecture.project import ROOT, files, relative

TEMPLATES = [relative(path) for path in files("templates") if path.suffix in {".html", ".txt"}]
SCRIPTS = [relative(path) for path in files("opsconsole/web/static", suffix=".js")]
STYLES = [relative(path) for path in files("opsconsole/web/static", suffix=".css")]

# What may not stand in a page: the pattern, and why.
PAGE_RULES = {
    "unmerged": (r"<{7} |>{7} ", "a merge was left unfinished"),
    "unescaped": (r"\|\s*safe\b|autoescape\s+false", "a value would reach the page unescaped"),
    "inline script": (
        r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")",
        "the content security policy refuses inline script",
    ),
    "inline style": (r"<style\b|\sstyle\s*=", "the content security policy refuses inline style"),
    "handler": (r"<[^>]*\son[a-z]+\s*=", "the content security policy refuses inline handlers"),
    "script url": (r"javascript:", "the content security policy refuses script URLs"),
    "foreign": (
        r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)\s*=\s*[\"']?(?:https?:)?//",
        "loads from afar",
    ),
}
SCRIPT_RULES = {
    "html from text": (
        r"\.(?:innerHTML|outerHTML)\b|insertAdjacentHTML|document\.write|createContextualFragment|unsafeHTML|setHTML",
        "host output could become markup",
    ),
    "code from text": (r"\beval\s*\(|new\s+Function\b|set(?:Timeout|Interval)\s*\(\s*[\"'`]", "text would be run"),
    "foreign": (r"(?:from|import)\s*\(?\s*[\"']https?:", "loads from afar"),
}


def found(rules: dict[str, tuple[str, str]], text: str) -> list[str]:
    """Returns the broken ``rules`` with the line each stands in."""
    broken = []
    for pattern, why in rules.values():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            broken.append(f"line {text.count(chr(10), 0, match.start()) + 1}: {match.group()!r}: {why}")
    return broken


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_parses_and_keeps_the_policy(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    Environment(autoescape=True, extensions=["jinja2.ext.i18n", "jinja2.ext.do"]).parse(text, name=name)
    without_comments = re.sub(r"\{#.*?#\}", lambda match: "\n" * match.group().count("\n"), text, flags=re.DOTALL)
    assert found(PAGE_RULES, without_comments) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_makes_no_markup_from_text(name: str) -> None:
    assert found(SCRIPT_RULES, (ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", STYLES)
def test_style_loads_nothing_from_afar(name: str) -> None:
    assert not re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", (ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("rules", "planted"),
    [
        (PAGE_RULES, "<<<<<<< HEAD"),
        (PAGE_RULES, "{{ output|safe }}"),
        (PAGE_RULES, "{{ output | safe }}"),
        (PAGE_RULES, "{% autoescape false %}"),
        (PAGE_RULES, "<script>go()</script>"),
        (PAGE_RULES, '<p style="color: red">'),
        (PAGE_RULES, "<button class='x' onclick='go()'>"),
        (PAGE_RULES, '<a href="javascript:go()">'),
        (PAGE_RULES, '<script src="https://cdn.example/x.js"></script>'),
        (SCRIPT_RULES, "row.innerHTML = text"),
        (SCRIPT_RULES, "setTimeout('go()', 1)"),
        (SCRIPT_RULES, "import('https://cdn.example/x.js')"),
    ],
)
def test_the_rules_catch_what_they_are_for(rules: dict[str, tuple[str, str]], planted: str) -> None:
    assert found(rules, planted)


@pytest.mark.parametrize(
    "harmless",
    [
        '<script type="module" src="/static/job.js"></script>',
        '<script id="roster" type="application/json">{{ roster|tojson }}</script>',
        '<option value="on">',
        '<a href="https://example.org/docs">',
    ],
)
def test_the_rules_let_honest_markup_be(harmless: str) -> None:
    assert found(PAGE_RULES, harmless) == []
