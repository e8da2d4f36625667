"""Which passwords are taken, and that comparing gives nothing away."""

import ast
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from argon2.low_level import Type

import opsconsole.accounts
from opsconsole.accounts import passwords
from opsconsole.errors import Invalid
from opsconsole.secret import Secret

GOOD = Secret("violet engine tuesday 41")


def problem(password: str) -> str:
    with pytest.raises(Invalid) as caught:
        passwords.check_new(Secret(password), name="li.wei")
    [fault] = caught.value.errors
    assert fault.field == "password"
    assert not password or password not in str(caught.value)
    return fault.code


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "too_short"),
        ("short9!Word", "too_short"),
        ("x" * 1025, "too_long"),
        ("passwordpassword", "too_common"),
        ("Password2026!!", "too_common"),
        ("  ADMINISTRATOR  ", "too_common"),
        ("correcthorsebatterystaple", "too_common"),
        ("1234567890123", "too_common"),
        ("202603011200", "too_simple"),
        ("!!!!!!!!!!!!!!!", "too_simple"),
        ("abababababababab", "too_simple"),
        ("Li.Wei-20260101", "too_simple"),
    ],
)
def test_easy_passwords_are_refused(password: str, code: str) -> None:
    assert problem(password) == code


@pytest.mark.parametrize(
    "password",
    ["violet engine tuesday 41", "kT9#vQ2!mZ7$", "密码很长也很好记得住的一句话", "aB3$x" * 200, "monkey wrench gang!!"],
)
def test_good_passwords_are_taken(password: str) -> None:
    passwords.check_new(Secret(password), name="li.wei")


def test_a_hash_is_argon2id_and_matches_only_its_password() -> None:
    made = passwords.hash_password(GOOD)
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert made != passwords.hash_password(GOOD)
    assert passwords.matches(made, GOOD)
    assert not passwords.matches(made, Secret(GOOD.reveal() + " "))
    assert not passwords.needs_rehash(made)


def test_nothing_is_cut_off() -> None:
    made = passwords.hash_password(Secret("a" * 200 + "b"))
    assert not passwords.matches(made, Secret("a" * 200 + "c"))


def test_any_text_can_be_compared() -> None:
    assert not any(passwords.matches(None, Secret(odd)) for odd in ("", "\0", "\ud800", "x" * 100_000))


def test_two_spellings_of_one_letter_are_one_password() -> None:
    assert passwords.matches(passwords.hash_password(Secret("caf\u00e9 au lait 41")), Secret("cafe\u0301 au lait 41"))


def test_old_parameters_ask_for_a_new_hash() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=Type.ID).hash(GOOD.reveal())
    assert passwords.matches(weak, GOOD)
    assert passwords.needs_rehash(weak)


@pytest.mark.parametrize("stored", ["", "plain text", "$argon2id$v=19$broken"])
def test_a_broken_hash_matches_nothing(stored: str) -> None:
    assert not passwords.matches(stored, GOOD)


def test_nobody_takes_as_much_work_as_somebody() -> None:
    made = passwords.hash_password(GOOD)

    def least(stored: str | None) -> float:
        times = []
        for _ in range(3):
            # Work, not time on the clock: other processes must not decide this test.
            start = time.process_time()
            assert not passwords.matches(stored, Secret("not the password"))
            times.append(time.process_time() - start)
        return min(times)

    assert least(None) > least(made) / 2


def test_the_product_draws_no_secrets_from_a_predictable_source() -> None:
    for path in Path(opsconsole.accounts.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            module = node.module if isinstance(node, ast.ImportFrom) else None
            assert "random" not in {*names, module}, path.name
