"""Which language a request is answered in, and the texts of each."""

import pytest
from flask import Flask, g
from flask_babel import gettext, ngettext

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.accounts.preferences import CHOICES, Preferences
from opsconsole.web import languages


@pytest.fixture
def app() -> Flask:
    made = Flask("languages")
    languages.register(made)
    return made


@pytest.mark.parametrize(
    ("path", "kept", "accepts", "signed_in", "said"),
    [
        ("/jobs", None, None, True, "en"),
        ("/jobs", None, "zh-CN,zh;q=0.9,en;q=0.8", True, "zh"),
        ("/jobs", None, "de,en;q=0.5", True, "en"),
        ("/jobs?lang=zh", None, "en", True, "zh"),
        ("/jobs?lang=zh-CN", None, "en", True, "zh"),
        ("/jobs?lang=en", None, "zh", True, "en"),
        ("/jobs?lang=zh", "en", "zh", True, "en"),
        ("/jobs?lang=tlh", None, "zh", True, "zh"),
        ("/jobs", "nonsense", "zh", True, "zh"),
        ("/jobs", "browser", "zh", True, "zh"),
        ("/login?lang=zh", "en", "en", False, "zh"),
        ("/login", "zh", "en", False, "zh"),
        ("/api/v1/jobs?lang=zh", "zh", "zh", True, "en"),
    ],
)
def test_own_choice_goes_before_the_address_and_that_before_the_browser(
    app: Flask, path: str, kept: str | None, accepts: str | None, signed_in: bool, said: str
) -> None:
    headers = {"Accept-Language": accepts} if accepts else {}
    if kept:
        # What is kept in the browser counts until somebody has signed in, then what is kept with the person.
        headers["Cookie"] = f"{languages.COOKIE}={'en' if kept == 'zh' and signed_in else kept}"
    with app.test_request_context(path, headers=headers):
        own = Preferences(language=kept) if kept else Preferences()
        g.actor = Actor(1, "li.wei", Role.OPERATOR, preferences=own) if signed_in else None
        assert languages.language().code == said


def test_texts_are_read_from_the_catalogue_and_english_needs_none(app: Flask) -> None:
    with app.test_request_context("/jobs?lang=zh"):
        assert gettext("Unreachable") == "不可达"
        assert [ngettext("%(n)s host", "%(n)s hosts", count, n=count) for count in (1, 2)] == ["1 台主机", "2 台主机"]
        assert gettext("No such text") == "No such text"
    with app.test_request_context("/jobs"):
        assert [ngettext("%(n)s host", "%(n)s hosts", count, n=count) for count in (1, 2)] == ["1 host", "2 hosts"]
    with app.app_context():
        assert gettext("Unreachable") == "Unreachable"


def test_scripts_get_their_own_texts_with_plurals_by_category() -> None:
    texts = languages.script_texts("zh_Hans_CN")
    assert texts["Sending…"] == "正在发送…"
    assert texts["{n} wave"] == {"other": "{n} 批"}
    assert "Sign out" not in texts
    assert languages.script_texts("en") == {}


def test_the_languages_that_can_be_chosen_are_those_of_the_pages() -> None:
    assert set(CHOICES["language"]) == {"browser", *(one.code for one in languages.LANGUAGES)}
