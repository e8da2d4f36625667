"""The blueprint of all pages. Pages are for people at a browser: an API token opens none of them."""

from flask import Blueprint, g

from opsconsole.errors import Forbidden

pages = Blueprint("pages", __name__)


@pages.before_request
def _no_tokens() -> None:
    actor = g.get("actor")
    if actor is not None and actor.token_id is not None:
        raise Forbidden("Pages take no API token. The API is under /api/v1.", code="token_on_page")
