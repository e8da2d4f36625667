"""From the JSON of an order to the order, and from the job it made to the answer."""

from typing import Any

from flask import Response, jsonify, request, url_for
from pydantic import SecretStr

from opsconsole.jobs.launch import LaunchType, Order
from opsconsole.jobs.models import Job
from opsconsole.secret import Secret
from opsconsole.web.api import order_models
from opsconsole.web.auth import actor

# Fields that mean the same, under the same name, in the JSON and in an order: how the job goes over its hosts, ...
_HOW = tuple(name for name in order_models.How.model_fields if name != "timeouts")
# ... how the command is run there, ...
_WHAT = tuple(name for name in order_models.What.model_fields if name not in order_models.How.model_fields)
# ... and what it is.
_ORDER = (
    "targets",
    "exclude",
    "skip_unknown",
    "command",
    "title",
    "user",
    "credential",
    "priority",
)


def order_of(json: order_models.NewJob) -> Order:
    """Returns the order that the request means; it is not checked yet."""
    return Order(
        **{name: getattr(json, name) for name in _ORDER},
        **_what_of(json),
        **how_of(json),
        **this_time(json),
        launch_type=launch_type(),
    )


def this_time(json: order_models.NewJob | order_models.RunSaved | order_models.Rerun) -> dict[str, Any]:
    """Returns what is said anew with every launch, by the names of an order: secrets, and how sure the person is."""
    return {
        "password": secret(json.password),
        "run_as_password": secret(json.run_as_password),
        "confirm": json.confirm,
        "reason": json.reason,
        "expect_count": json.expect.count,
        "expect_digest": json.expect.digest,
        "expect_hosts": json.expect.hosts,
        "idempotency_key": request.headers.get("Idempotency-Key"),
    }


def launch_type() -> LaunchType:
    """Returns whether a program or a person gives the order."""
    return LaunchType.API if actor().token_id else LaunchType.MANUAL


def how_of(json: order_models.How) -> dict[str, Any]:
    """Returns how the job is to go over its hosts, by the names of an order."""
    times = json.timeouts
    return {name: getattr(json, name) for name in _HOW} | {
        "connect_timeout": seconds(times.connect_ms),
        "command_timeout": seconds(times.command_ms),
        "idle_timeout": seconds(times.idle_ms),
        "job_timeout": seconds(times.job_ms),
    }


def question_of(json: order_models.Resolve) -> Order:
    """Returns the order that is looked at before it is given."""
    said = {name: getattr(json, name) for name in ("targets", "exclude", "skip_unknown", "command")}
    return Order(**said, **_what_of(json), **how_of(json))


def _what_of(json: order_models.What) -> dict[str, Any]:
    pushed = [item.model_dump(exclude_none=True) for item in json.push or ()]
    return {name: getattr(json, name) for name in _WHAT} | {"push": pushed or None}


def json_of(order: Order) -> dict[str, Any]:
    """Returns the JSON that means ``order``: what it says, without what it leaves to the console."""
    plain = Order(targets=order.targets, command=order.command)
    names = [name for name in (*_ORDER, *_WHAT, *_HOW) if name not in {"targets", "command"}]
    said = {name: getattr(order, name) for name in names if getattr(order, name) != getattr(plain, name)}
    times = {name: getattr(order, f"{name}_timeout") for name in ("connect", "command", "idle", "job")}
    timeouts = {f"{name}_ms": round(value * 1000) for name, value in times.items() if value is not None}
    return {"targets": order.targets, "command": order.command, **said} | ({"timeouts": timeouts} if timeouts else {})


def made(job: Job, body: dict[str, Any], created: bool) -> tuple[Response, int]:
    """Returns the answer to an order: 201 for a new job, 200 for one that the same order made before."""
    response = jsonify(body)
    response.headers["Location"] = url_for("api.jobs.status", job_id=job.id)
    return response, 201 if created else 200


def page_of(job: Job) -> str:
    """Returns the address of the job's page."""
    return url_for("api.jobs.status", job_id=job.id).replace("/api/v1", "")


def secret(value: SecretStr | None) -> Secret | None:
    """Returns a typed secret as one that no text shows."""
    return Secret(value.get_secret_value()) if value is not None else None


def seconds(milliseconds: int | None) -> float | None:
    """Returns a duration of the contract in seconds."""
    return milliseconds / 1000 if milliseconds is not None else None
