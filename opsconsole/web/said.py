"""Refusals, reasons and findings in the language of their reader: the one place where a ``Sentence`` is translated."""

from collections.abc import Mapping
from string import Formatter
from typing import Any

from flask import Flask, has_request_context, request
from flask_babel import force_locale, gettext

from opsconsole.sentences import Sentence
from opsconsole.web import auth
from opsconsole.web.languages import ENGLISH, Language, chosen, language


def register(app: Flask) -> None:
    """Makes ``app`` able to say sentences in templates: ``{{ error.detail | said }}``."""
    app.jinja_env.filters["said"] = said


def reader() -> Language:
    """Returns the language of who is answered: that of the page, and for what a page asks of the API as well.

    A program that sends a token, or nothing at all, is answered in English.
    """
    if not has_request_context():
        return ENGLISH
    if request.headers.get("Authorization") or auth.cookie_name() not in request.cookies:
        return language()
    return chosen()


def said(text: str | None) -> str:
    """Returns ``text`` in the language of who is answered; what the catalogue does not know stays English."""
    spoken = reader()
    if spoken is ENGLISH:
        return str(text or "")
    with force_locale(spoken.locale):
        return _translated(text or "")


def said_of(told: Any) -> Any:
    """Returns what an answer holds, with each ``Sentence`` in it in the language of who is answered."""
    if reader() is ENGLISH:
        return told
    if isinstance(told, Sentence):
        return said(told)
    if isinstance(told, Mapping):
        return {key: said_of(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [said_of(value) for value in told]
    return told


def _translated(text: str) -> str:
    # The catalogue answers an empty text with its own head.
    if not text:
        return ""
    if not isinstance(text, Sentence):
        return str(gettext(text))
    if not text.values:
        return str(gettext(text.template))
    values = {name: _translated(one) if isinstance(one, Sentence) else one for name, one in text.values.items()}
    template = str(gettext(text.template))
    if placeholders(template) != placeholders(text.template):
        template = text.template
    return template.format_map(values)


def placeholders(template: str) -> set[tuple[str, str, str]]:
    """Returns what is put into ``template``: name, format and conversion of each."""
    parts = Formatter().parse(template)
    return {(name, form or "", conversion or "") for _text, name, form, conversion in parts if name is not None}
