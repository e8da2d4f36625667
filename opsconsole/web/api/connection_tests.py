"""Tests of connections."""

from typing import Literal

from flask import Blueprint, Response, jsonify
from pydantic import Field

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import conntest
from opsconsole.jobs.conntest import ConnectionTests
from opsconsole.jobs.order import Order
from opsconsole.web.api import console_replies
from opsconsole.web.api.fields import Body, Text
from opsconsole.web.api.launching import seconds
from opsconsole.web.api.openapi import answers, spec
from opsconsole.web.auth import actor, requires
from opsconsole.web.unit_of_work import now, read, runtime, transaction

blueprint = Blueprint("connection_tests", __name__)
_TAGS = ("connections",)
_SAME = ("targets", "exclude", "skip_unknown", "user", "credential", "jump", "run_as", "run_as_method")


class NewConnectionTest(Body):
    """The hosts whose connections are to be tested, and as whom; fields as in an order."""

    targets: Text = Field(description="A target expression.", max_length=262_144)
    exclude: Text = ""
    skip_unknown: bool = Field(default=False, description="Leave out what the inventory does not know.")
    user: Text | None = Field(None, max_length=64)
    credential: Text = Field("auto", description="As in an order, but no password that is typed.", max_length=80)
    jump: Text | None = Field(None, max_length=1000)
    run_as: Text | None = Field(None, description="Account to become as the last step.", max_length=64)
    run_as_method: Literal["sudo", "su"] | None = None
    run_as_credential: Text | None = Field(None, description="`none`, `login` or `cred:<name>`.", max_length=80)
    connect_ms: int | None = Field(None, ge=1, le=600_000, description="For each part of the way.")


@blueprint.post("/tests")
@requires(Permission.RUN)
@spec.validate(
    resp=answers(HTTP_202=console_replies.ConnectionTest, also=(413,)), tags=_TAGS, operation_id="test_connections"
)
def test_connections(json: NewConnectionTest) -> Response:
    """Have connections tested, step by step: name, network, jump hosts, TCP, key exchange, host key, login, shell.

    Workers do it, on the way that a run would take. With `run_as` the last step is to become that account. Nothing is
    run but a look at who and what answers, and nothing is trusted; a key that nobody knows awaits a decision then.
    """
    order = Order(
        command="true",
        connect_timeout=seconds(json.connect_ms),
        run_as_credential=json.run_as_credential,
        **{name: getattr(json, name) for name in _SAME},
    )
    with transaction() as session:
        batch = ConnectionTests(runtime().settings).ask(session, order, actor(), now=now())
        answer = jsonify(conntest.told(session, batch))
    runtime().dispatcher.nudge()
    answer.status_code = 202
    return answer


@blueprint.get("/tests/<test>")
@requires(Permission.VIEW)
@spec.validate(
    resp=answers(HTTP_200=console_replies.ConnectionTest, also=(404,)), tags=_TAGS, operation_id="connection_test"
)
def connection_test(test: str) -> Response:
    """How far a test is and what it found; it is kept for 30 days."""
    with read() as session:
        return jsonify(conntest.told(session, test))
