"""What people choose for their pages: closed sets of words, and what older or newer versions have stored."""

from typing import get_args

import pytest

from opsconsole.accounts.preferences import CHOICES, UNCHOSEN, Preferences
from opsconsole.errors import Invalid
from opsconsole.web.api import questions


def test_what_was_never_chosen_is_the_first_of_each_choice() -> None:
    assert {name: getattr(UNCHOSEN, name) for name in CHOICES} == {name: words[0] for name, words in CHOICES.items()}
    assert Preferences.stored(None) == UNCHOSEN


def test_words_of_another_version_count_as_not_chosen() -> None:
    kept = {"theme": "dark", "contrast": "extreme", "density": "compact"}
    assert Preferences.stored(kept) == Preferences(theme="dark")


@pytest.mark.parametrize("said", [{"theme": "pink"}, {"density": "compact"}, {"theme": "dark", "keys": ""}])
def test_what_is_no_choice_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        UNCHOSEN.changed(said)


def test_a_change_leaves_the_other_choices() -> None:
    assert Preferences(theme="dark").changed({"keys": "off"}) == Preferences(theme="dark", keys="off")


def test_the_api_takes_the_same_words() -> None:
    fields = questions.Preferences.model_fields
    assert {name: get_args(field.annotation) for name, field in fields.items()} == CHOICES
