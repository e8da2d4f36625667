"""The OpenAPI document, made from the code, and the check of what comes in. One voice for both: ``spec``."""

import json
from difflib import get_close_matches
from typing import Any, TypeGuard, get_type_hints

from flask import Response, current_app, make_response, request
from pydantic import BaseModel, ValidationError
from spectree import Response as Answers
from spectree import SecurityScheme, SpecTree
from spectree.models import SecureType, SecuritySchemeData
from spectree.plugins.flask_plugin import FlaskPlugin
from werkzeug.exceptions import BadRequest

from opsconsole import __version__
from opsconsole.errors import FieldError, Invalid, all_of
from opsconsole.sentences import Sentence
from opsconsole.web.api.replies import Problem

_USUAL = (401, 403, 422, 429, 503)
_MAX_FAULTS = 50
_MAX_NAME = 200


class _Plugin(FlaskPlugin):
    """Checks questions, and lets answers through: they are checked against the document by the tests."""

    def validate_response(
        self, resp: Any, resp_model: Any, skip_validation: bool, force_resp_serialize: bool
    ) -> tuple[Response, None]:
        return make_response(resp), None


def _on_invalid(_request: Any, _response: Any, error: Any, _instance: Any, _adapter: Any) -> None:
    if isinstance(error, ValidationError):
        items = error.errors(include_input=False, include_context=False, include_url=False)
        faults = [_fault(item) for item in items[:_MAX_FAULTS]]
        raise Invalid(all_of(faults[:5]), errors=faults)


def _fault(item: Any) -> FieldError:
    if item["type"] == "extra_forbidden":
        return _unknown(item["loc"])
    place = ".".join(str(part) for part in item["loc"]) or "body"
    words = str(item["msg"]).removeprefix("Value error, ")
    if words.startswith("Value should have"):
        # A secret, whose length the library counts in items.
        words = words.replace(" items", " characters")
    # The library's own words: what it finds wrong is for programs, and stays English.
    return FieldError(place, str(words), code=str(item["type"]))


def _unknown(loc: tuple[str | int, ...]) -> FieldError:
    """Returns the fault of a field that nobody knows, with the one that was probably meant."""
    near = get_close_matches(str(loc[-1]), _fields_at(loc[:-1]), n=1)
    message = (
        Sentence("there is no such field; did you mean {near}?", near=near[0]) if near else "there is no such field"
    )
    return FieldError(".".join(str(part) for part in loc)[:_MAX_NAME], message, code="unknown_field")


def _fields_at(loc: tuple[str | int, ...]) -> list[str]:
    """Returns the names of the fields at a place in the body of the route that is asked."""
    model: object = get_type_hints(current_app.view_functions[request.endpoint or ""]).get("json")
    for part in loc:
        fields = model.model_fields if _is_model(model) else {}
        model = fields[part].annotation if part in fields else None
    return list(model.model_fields) if _is_model(model) else []


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


spec = SpecTree(
    "flask",
    backend=_Plugin,
    before=_on_invalid,
    validation_error_model=Problem,
    naming_strategy=lambda model: model.__name__,
    nested_naming_strategy=lambda _parent, child: child,
    mode="strict",
    page_templates={},
    title="opsconsole",
    version=__version__,
    description="One command on many hosts over SSH, with a true result for each host.",
    security_schemes=[
        SecurityScheme(name="token", data=SecuritySchemeData(type=SecureType.HTTP, scheme="bearer")),
    ],
    security={"token": []},
)


def answers(
    *, also: tuple[int, ...] = (), **models: type[BaseModel] | tuple[type[BaseModel] | None, str] | None
) -> Answers:
    """Returns the answers of a route: its own (``HTTP_200=Model``), the usual problems, and those of ``also``."""
    problems = {f"HTTP_{status}": Problem for status in (*_USUAL, *also)}
    return Answers(**{**problems, **models})


def document() -> dict[str, Any]:
    """Returns the OpenAPI document of the running application."""
    made: dict[str, Any] = spec.spec
    for operations in made["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                # Ids are 64 bits wide; the library says 32.
                if parameter["schema"].get("format") == "int32":
                    parameter["schema"]["format"] = "int64"
            for status, answer in operation["responses"].items():
                if status >= "400" and "application/json" in answer.get("content", {}):
                    answer["content"] = {"application/problem+json": answer["content"]["application/json"]}
    return made


# What takes a file as it is, however large, and reads it piece by piece.
RAW_BODIES = frozenset({"api.files.upload"})


def require_json() -> None:
    """Refuses a body that is not a JSON object, before a view looks at it. An empty body is an empty object."""
    if request.endpoint in RAW_BODIES or request.method not in {"POST", "PUT", "PATCH", "DELETE"}:
        return
    if not request.get_data(cache=True):
        return
    if not request.is_json:
        raise _UnsupportedMediaType("Send the body as application/json.")
    try:
        body = request.get_json()
    except RecursionError:
        body = None
    except BadRequest:
        raise _not_json(request.get_data(cache=True)) from None
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.", code="not_an_object")


def _not_json(text: bytes) -> "_BadRequest":
    """Returns the refusal of a body that is no JSON, with the place of the first fault."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        fault = FieldError(
            "body", Sentence("{msg} at {place}", msg=error.msg, place=place), code="bad_json", column=error.colno
        )
        return _BadRequest("The body is no JSON: {msg} at {place}.", msg=error.msg, place=place, errors=[fault])
    except UnicodeDecodeError as error:
        return _BadRequest("The body is no JSON: byte {start} is not UTF-8.", start=error.start + 1)
    except ValueError:
        return _BadRequest("The body is no JSON that can be read: a number has too many digits.")
    return _BadRequest("The body is no JSON.")


class _BadRequest(Invalid):
    code = "bad_request"
    status = 400


class _UnsupportedMediaType(Invalid):
    code = "unsupported_media_type"
    status = 415
