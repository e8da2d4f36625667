"""Refusals in the language of who reads them: browsers in theirs, programs in English."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from opsconsole.accounts.permissions import Role
from opsconsole.db.console import Console
from opsconsole.db.database import Database
from opsconsole.errors import FieldError, Invalid
from opsconsole.sentences import Sentence, joined
from opsconsole.web import said
from opsconsole.web.errors import problem
from tests.functional.pages.people import Person, form_token
from tests.support.clock import START

CHINESE = {"Accept-Language": "zh-CN"}


def asked(person: Person, path: str, json: dict[str, Any], **headers: str) -> Any:
    """Returns what the API answers to a script of a page."""
    page = person.get("/run", headers=CHINESE).get_data(as_text=True)
    answer = person.client.post(f"/api/v1/{path}", json=json, headers={"X-CSRFToken": form_token(page), **headers})
    assert answer.json is not None
    return answer.json


def test_a_browser_is_refused_in_its_language_and_a_program_in_english(operator: Person) -> None:
    order = {"targets": "@nowhere", "command": "uptime"}
    told = asked(operator, "resolve", order, **CHINESE)
    assert told["detail"] == told["errors"][0]["message"] == '没有主机组 "@nowhere"。'
    assert (told["title"], told["code"], told["errors"][0]["code"]) == (
        "Unprocessable Entity",
        "invalid",
        "unknown_group",
    )
    assert told["errors"][0]["hint"] == "请检查拼写，或先创建该组。"
    assert asked(operator, "resolve", order)["detail"] == 'There is no group "@nowhere".'
    made = asked(operator, "tokens", {"name": "ci", "scope": "run"})
    program = operator.client.application.test_client()
    headers = {"Authorization": f"Bearer {made['token']}", **CHINESE}
    answer = program.post("/api/v1/resolve", json=order, headers=headers)
    assert answer.json is not None
    assert answer.json["detail"] == 'There is no group "@nowhere".'
    # A cookie beside the token changes nothing, and without a session nobody is a reader.
    answer = operator.client.post("/api/v1/resolve", json=order, headers=headers)
    assert answer.json is not None
    assert answer.json["detail"] == 'There is no group "@nowhere".'
    answer = program.get("/api/v1/jobs", headers=CHINESE)
    assert answer.json is not None
    assert answer.json["detail"].startswith("Sign in first")


def test_forms_say_what_is_wrong_in_the_readers_language(operator: Person, person: Callable[..., Person]) -> None:
    page = operator.send("/run?lang=zh", {"targets": "web1 <b>@", "command": ""}).get_data(as_text=True)
    assert "请写要执行的命令。" in page or "@ 后面没有组名" in page
    assert "There is no" not in page
    assert "<b>@" not in page
    admin = person(Role.ADMIN)
    page = admin.send("/users?lang=zh", {"name": "-", "role": "operator"}, to="/users?lang=zh").get_data(as_text=True)
    assert "名称以字母或数字开头" in page
    page = admin.get("/jobs/4711?lang=zh").get_data(as_text=True)
    assert "没有作业 4711。" in page


def test_reasons_to_confirm_are_told_in_the_readers_language(operator: Person) -> None:
    order = {"targets": "web[1-600]", "command": "systemctl stop sshd"}
    told = asked(operator, "resolve", order, **CHINESE)
    assert told["risk"]["reasons"] == ["600 台主机", "停止 SSH 服务"]
    assert asked(operator, "resolve", order)["risk"]["reasons"] == ["600 hosts", "stops the SSH service"]
    refused = asked(operator, "jobs", order, **CHINESE)
    assert (
        refused["detail"] == "这会在 600 台主机上执行（600 台主机, 停止 SSH 服务）。请输入 RUN 600 确认，并写明理由。"
    )
    assert refused["risk"]["reasons"] == told["risk"]["reasons"]
    english = asked(operator, "jobs", order)
    assert english["detail"] == (
        "This runs on 600 hosts (600 hosts, stops the SSH service). Confirm with: RUN 600 and a reason."
    )


def test_notices_are_told_in_the_readers_language_and_compared_in_english(operator: Person, database: Database) -> None:
    with database.transaction() as session:
        console = session.get_one(Console, 1)
        console.held_at, console.held_by, console.held_reason = START, "anna", "{0} %s <b>"
    english = "Nothing starts. anna stopped the console: {0} %s &lt;b&gt;"
    assert f'data-text="{english}"><span>{english}</span>' in operator.text("/jobs")
    page = operator.text("/jobs?lang=zh")
    assert f'data-text="{english}"><span>不会启动任何命令。anna 停止了控制台：{{0}} %s &lt;b&gt;</span>' in page


@pytest.mark.parametrize("name", ["<b>web1</b>", "{0} {name.__class__}", "%s %(name)s %", "没有 {name}"])
def test_a_hostile_value_stays_the_text_that_it_is(app: Flask, name: str) -> None:
    fault = FieldError("groups", Sentence("There is no group {name}.", name=name))
    error = Invalid(
        joined(" ", [fault.message, Sentence("Line {line}: {fault}", line=2, fault=fault.message)]), errors=[fault]
    )
    with app.test_request_context("/hosts", headers=CHINESE):
        told = problem(error)
    assert told["detail"] == f"没有主机组 {name}。 第 2 行：没有主机组 {name}。"
    assert told["errors"][0]["message"] == f"没有主机组 {name}。"
    with app.test_request_context("/api/v1/hosts", headers=CHINESE):
        assert problem(error)["detail"] == f"There is no group {name}. Line 2: There is no group {name}."


def test_a_translation_with_other_placeholders_falls_back_to_english(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(said, "gettext", lambda text: f"{text} {{request}}")
    with app.test_request_context("/hosts", headers=CHINESE):
        assert said.said(Sentence("No {name}.", name="web1")) == "No web1."


def test_of_an_empty_text_nothing_is_said(app: Flask) -> None:
    with app.test_request_context("/hosts", headers=CHINESE):
        assert said.said("") == said.said(None) == ""
        assert said.said(Sentence("{part}", part=joined(" ", []))) == ""
