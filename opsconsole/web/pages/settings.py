"""What the console is set to, for those who answer for it."""

from flask import render_template

from opsconsole.accounts.permissions import Permission
from opsconsole.web import rules
from opsconsole.web.auth import requires
from opsconsole.web.pages.routes import pages
from opsconsole.web.unit_of_work import runtime


@pages.get("/settings")
@requires(Permission.VIEW_SETTINGS)
def settings() -> str:
    """Shows each setting with its value and where that comes from."""
    return render_template("settings/list.html", sections=rules.shown(runtime().settings))
