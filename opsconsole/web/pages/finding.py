"""The global search, and the list of keys: pages by themselves, dialogs where there is script."""

from collections import Counter

from flask import render_template, request

from opsconsole.accounts.permissions import Permission
from opsconsole.web import finding
from opsconsole.web.auth import actor, requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import read

_ON_PAGE = 50


@pages.get("/search")
@requires(Permission.VIEW)
def search() -> str:
    """Shows the search as a page."""
    return _found("search/page.html", _ON_PAGE)


@pages.get("/search/found")
@requires(Permission.VIEW)
def found() -> str:
    """Shows what was found alone, for the dialog."""
    return _found("search/_found.html", finding.PER_KIND)


@pages.get("/keyboard")
@requires(Permission.VIEW)
def keyboard() -> str:
    """Lists the keys of all pages."""
    return render_template("search/keyboard.html")


def _found(template: str, limit: int) -> str:
    q = request.args.get("q", "")
    with read() as database:
        items = finding.find(database, actor(), q, limit=limit + 1)
    shown: list[finding.Found] = []
    of_kind: Counter[str] = Counter()
    for item in items:
        of_kind[item.kind] += 1
        # With nothing to look for, all pages are told.
        if of_kind[item.kind] <= limit or (item.kind == "page" and not q.strip()):
            shown.append(item)
    more = bool(q.strip()) and len(shown) < len(items)
    return render_template(template, q=q[: finding.MAX_CHARS], found=shown, more=more)
