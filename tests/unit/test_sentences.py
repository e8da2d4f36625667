"""A sentence is its English text to everybody, and remembers what it was made of."""

import copy
import json
import pickle

import pytest

from opsconsole.errors import FieldError, Invalid, all_of
from opsconsole.sentences import Sentence, joined

HOSTILE = ["<b>web1</b>", "{0}", "{name}", "%s %(name)s", "a} b{", "主机"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_value_is_put_in_and_never_read_as_a_template(name: str) -> None:
    error = Invalid("No group {name}.", name=name)
    assert error.detail == str(error) == f"No group {name}."
    assert joined("; ", [error.detail, Sentence("Again: {fault}", fault=error.detail)]) == (
        f"No group {name}.; Again: No group {name}."
    )


def test_braces_of_a_text_without_values_stay_as_they_are() -> None:
    assert Invalid("Write {{...}} or {0}.").detail == "Write {{...}} or {0}."
    assert Sentence("{{{name}}} has {size:,} bytes", name="n", size=1000) == "{n} has 1,000 bytes"


def test_a_sentence_is_a_string_and_survives_being_copied() -> None:
    made = Sentence("At most {limit} of {what}.", limit=3, what=Sentence("them"))
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made), Sentence(made)):
        assert (again, again.template, again.values) == (made, made.template, made.values)
    assert json.dumps({"text": made}) == '{"text": "At most 3 of them."}'


def test_several_faults_are_one_sentence() -> None:
    faults = [FieldError("a", "Too long."), FieldError("b", Sentence("Is {n}.", n=1))]
    assert Invalid(all_of(faults), errors=faults).detail == "a: Too long.; b: Is 1."
