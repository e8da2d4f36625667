"""The languages of the pages: which one a request is answered in, and the texts of each.

English stands in the code. Every other language has one catalogue, ``translations/<locale>/LC_MESSAGES/messages.po``,
which is read when somebody first asks for that language. Nothing is compiled: a checkout, a wheel and an image all hold
what they need, and no stale copy of a text can lie beside its source.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from flask import Flask, Response, g, has_request_context, request
from flask_babel import Babel

FOLDER = Path(__file__).parent / "translations"
# In a catalogue: this text is one of the page's scripts. The command that extracts the texts writes it.
SCRIPT_MARK = "script"
# And this one is kept in the database, in English.
KEPT_MARK = "kept"
COOKIE = "opsconsole_lang"
_YEAR_SECONDS = 365 * 24 * 3600
# Counts that between them fall into every plural category of a language.
_COUNTS = range(201)
_MACHINE_PATHS = ("/api/", "/healthz", "/readyz")


@dataclass(frozen=True, slots=True)
class Language:
    """A language to read the pages in. ``code`` is what ``?lang=`` takes, ``tag`` what HTML calls it (BCP 47), ``name``
    what it calls itself; ``locale`` names its catalogue and rules its dates, numbers and plurals."""

    code: str
    tag: str
    locale: str
    name: str


ENGLISH = Language("en", "en", "en", "English")
LANGUAGES = (ENGLISH, Language("zh", "zh-CN", "zh_Hans_CN", "简体中文"))


class _Catalogues(dict[tuple[str, str], Translations]):
    """The texts by locale, read when first wanted; what Flask-Babel keeps its own in is a mapping like this."""

    def __missing__(self, key: tuple[str, str]) -> Translations:
        self[key] = found = translations(key[0])
        return found


def register(app: Flask) -> None:
    """Makes ``app`` answer in the language its reader wants."""
    babel = Babel(app, default_locale=ENGLISH.locale, default_timezone="UTC", locale_selector=lambda: language().locale)
    with app.app_context():
        babel.domain_instance.cache = _Catalogues()


def language() -> Language:
    """Returns the language of the request: what its reader has chosen, else ``?lang=``, else what the browser accepts.

    Before anybody has signed in, ``?lang=`` is the choice, then what was last chosen in this browser. Programs are
    answered in English.
    """
    if not has_request_context() or request.path.startswith(_MACHINE_PATHS):
        return ENGLISH
    return chosen()


def chosen() -> Language:
    """Returns the language that the browser of this request reads, whatever it asks for."""
    reader, asked = g.get("actor"), of_code(request.args.get("lang"))
    own = of_code(reader.preferences.language) or asked if reader else asked or of_code(request.cookies.get(COOKIE))
    return own or of_code(request.accept_languages.best_match([one.code for one in LANGUAGES])) or ENGLISH


def of_code(text: str | None) -> Language | None:
    """Returns the language that ``zh``, ``zh-CN`` or ``zh_CN`` means; ``None`` for what is none of ours."""
    code = re.split("[-_]", text or "", maxsplit=1)[0].lower()
    return next((one for one in LANGUAGES if one.code == code), None)


def keep(response: Response, chosen: Language) -> None:
    """Keeps the choice in the reader's browser, for pages that it asks for before somebody signs in."""
    response.set_cookie(
        COOKIE, chosen.code, max_age=_YEAR_SECONDS, secure=request.is_secure, httponly=True, samesite="Lax"
    )


def catalogue(locale: str) -> Catalog:
    """Returns the catalogue of ``locale``; an empty one for English."""
    path = FOLDER / locale / "LC_MESSAGES" / "messages.po"
    if not path.is_file():
        return Catalog(locale=locale)
    with path.open(encoding="utf-8") as source:
        return read_po(source, locale=locale)


def translations(locale: str) -> Translations:
    """Returns the texts of ``locale`` in the form that gettext reads."""
    compiled = BytesIO()
    write_mo(compiled, catalogue(locale))
    compiled.seek(0)
    return Translations(compiled)


@lru_cache
def script_texts(locale: str) -> dict[str, str | dict[str, str]]:
    """Returns the texts of the page's scripts, English to ``locale``; one with plurals by its CLDR categories."""
    if locale == ENGLISH.locale:
        return {}
    told, rule = translations(locale), Locale.parse(locale).plural_form
    texts: dict[str, str | dict[str, str]] = {}
    for message in catalogue(locale):
        if SCRIPT_MARK not in message.auto_comments or not message.id:
            continue
        if isinstance(message.id, str):
            texts[message.id] = told.gettext(message.id)
            continue
        one, many = message.id
        texts[one] = {rule(count): told.ngettext(one, many, count) for count in reversed(_COUNTS)}
    return texts


def kept_texts(locale: str) -> list[tuple[str, str]]:
    """Returns the templates of what the database keeps, English and in the language of ``locale``."""
    found = []
    for message in catalogue(locale):
        if KEPT_MARK in message.auto_comments and isinstance(message.id, str) and isinstance(message.string, str):
            found.append((message.id, message.string))
    return found


def shared() -> dict[str, Any]:
    """Returns what every template may ask of the language."""
    now = language()
    return {"language": now, "languages": LANGUAGES, "script_texts": lambda: script_texts(now.locale)}
