"""Every text has its translation, and no text a person reads is written past the catalogues."""

import importlib.util
import sys

import pytest

from opsconsole.web.languages import ENGLISH, FOLDER, LANGUAGES
from tests.architecture.project import ROOT

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
