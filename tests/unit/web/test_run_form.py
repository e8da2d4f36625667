"""The Run form: what was typed stays as typed, and means one order."""

from dataclasses import replace
from pathlib import Path

import pytest

from opsconsole.errors import Invalid
from opsconsole.jobs.launch import LaunchType, Order
from opsconsole.settings import Settings
from opsconsole.web.pages.run_form import RunForm

FORM = RunForm(targets="web[1-3]", command="uptime")


def test_a_blank_form_shows_the_consoles_own_values(tmp_path: Path) -> None:
    form = RunForm.blank(Settings.load(data_dir=tmp_path, concurrency=7, connect_timeout=2.5))
    assert (form.concurrency, form.connect_timeout, form.command_timeout) == ("7", "2.5", "300")
    assert form.idempotency_key != RunForm.blank(Settings.load(data_dir=tmp_path)).idempotency_key


def test_empty_fields_mean_the_setting() -> None:
    order = FORM.to_order("")
    assert order == Order(targets="web[1-3]", command="uptime")


def test_every_number_that_is_none_is_named_at_once() -> None:
    form = replace(FORM, concurrency="x", connect_timeout="-1", command_timeout="1.5.2", expect_count="²")
    with pytest.raises(Invalid) as raised:
        form.to_order("")
    assert {fault.field for fault in raised.value.errors} == {
        "concurrency", "connect_timeout", "command_timeout", "expect_count",
    }  # fmt: skip


def test_a_password_goes_only_with_its_choice() -> None:
    assert FORM.to_order("secret").password is None
    chosen = replace(FORM, credential="password").to_order("secret")
    assert chosen.password is not None
    assert chosen.password.reveal() == "secret"


def test_an_address_cannot_prefill_a_confirmation() -> None:
    form = FORM.prefilled({"targets": "db1", "confirm": "RUN 5000", "expect_count": "1", "reason": "x"})
    assert (form.targets, form.confirm, form.expect_count, form.reason) == ("db1", "", "", "")


def test_repeating_waves_gives_the_same_waves() -> None:
    order = Order(
        targets="web2", command="date", concurrency=5, canary="random 2", canary_match="up", canary_gate="manual",
        waves="1 *2", wave_pause=1.5, wave_jitter=2, wave_gate="on_failure", order="spread dc", retries=2,
        job_timeout=3600, count_unreachable=False, at_stop="kill", priority="low", durable=True, rerun_of=1234567,
        launch_type=LaunchType.RELAUNCH,
    )  # fmt: skip
    assert RunForm().repeating(order).to_order("") == order


def test_repeating_an_order_gives_the_same_order() -> None:
    order = Order(
        targets="web2\nweb3", command="date", title="date", user="deploy", credential="key:site", concurrency=5,
        connect_timeout=2.5, command_timeout=0, max_failures="5%", launch_type=LaunchType.RELAUNCH, rerun_of=7,
    )  # fmt: skip
    assert RunForm().repeating(order).to_order("") == order


def test_repeating_a_raw_order_gives_the_same_order() -> None:
    order = Order(targets="sw1", command="show version", raw=True, raw_typed=True)
    form = RunForm().repeating(order)
    assert (form.raw, form.raw_typed) == ("yes", "yes")
    assert form.to_order("") == order
    assert RunForm().prefilled({"targets": "sw1", "raw": "yes"}).raw == "yes"


def test_repeating_steps_gives_the_same_steps() -> None:
    order = Order(targets="web2", command="x", check="a\nb", verify="c", step_barrier="host")
    assert RunForm().repeating(order).to_order("") == order
    assert RunForm.read({"command": "x", "step_barrier": "host", "check": " \r\n"}).to_order("").step_barrier is None


def test_repeating_a_script_gives_the_same_script() -> None:
    order = Order(
        targets="web2", command="print(1)", interpreter="python3 -u", args=("a b", "", "it's"), stdin="x\ny",
        cwd="/srv/a b", umask="027", env={"A": "x y", "B": "two\nlines", "C": "", "D": "'q'"},
    )  # fmt: skip
    form = RunForm().repeating(order)
    assert form.surrounded
    assert form.to_order("") == replace(order, idempotency_key=None)
    assert not RunForm().repeating(Order(targets="web2", command="x")).surrounded


def test_a_command_tab_has_no_interpreter_whatever_the_field_says() -> None:
    assert replace(FORM, kind="command", interpreter="python3").to_order("").interpreter is None
    assert FORM.prefilled({"interpreter": "perl"}).to_order("").interpreter == "perl"


@pytest.mark.parametrize(("field", "text"), [("args", "'a"), ("env", "A"), ("env", "A='b"), ("env", "=x\nB")])
def test_words_and_variables_that_cannot_be_read_are_named(field: str, text: str) -> None:
    with pytest.raises(Invalid) as raised:
        replace(FORM, **{field: text}).to_order("")
    assert [fault.field for fault in raised.value.errors] == [field]
