"""The pages for people, rendered on the server; scripts make them live but nothing useful needs them."""

import shlex
from typing import Any

from flask import Flask, g

from opsconsole.accounts.permissions import Permission
from opsconsole.jobs import queries
from opsconsole.jobs.notices import Notice, notices
from opsconsole.settings import usual_data_dir
from opsconsole.web import languages, view_models, words
from opsconsole.web.pages import (
    audit,
    connection_tests,
    control,
    credentials,
    files,
    finding,
    groups,
    host_keys,
    host_run,
    hosts,
    imports,
    jobs,
    keys,
    me,
    output_groups,
    picking,
    routes,
    run,
    saved,
    session,
    settings,
    users,
    workers,
)
from opsconsole.web.unit_of_work import read, runtime

__all__ = [
    "audit",
    "connection_tests",
    "control",
    "credentials",
    "files",
    "finding",
    "groups",
    "host_keys",
    "host_run",
    "hosts",
    "imports",
    "jobs",
    "keys",
    "me",
    "output_groups",
    "picking",
    "register",
    "run",
    "saved",
    "session",
    "settings",
    "users",
    "workers",
]


def register(app: Flask) -> None:
    """Puts the pages, their texts and their template helpers into ``app``."""
    languages.register(app)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    for helper in (
        view_models.duration,
        view_models.number,
        view_models.size,
        view_models.visible,
        view_models.reason_text,
    ):
        app.add_template_filter(helper)
    app.context_processor(_shared)
    app.register_blueprint(routes.pages)


def _shared() -> dict[str, Any]:
    return {
        **languages.shared(),
        "actor": g.get("actor"),
        "Permission": Permission,
        "view": view_models,
        "words": words,
        "fleet": _fleet,
        "worker_line": _worker_line,
        "notices": _notices,
        "request_id": g.get("request_id", ""),
    }


def _worker_line() -> str:
    """The command that starts a worker of this console, to be pasted on its machine."""
    folder = runtime().settings.data_dir
    chosen = f"OPSCONSOLE_DATA_DIR={shlex.quote(str(folder))} " if folder != usual_data_dir() else ""
    return f"{chosen}opsconsole worker"


def _fleet() -> dict[str, Any]:
    """The workers for the top bar; asked for by pages that show it, once each."""
    with read() as database:
        return queries.workers(database)


def _notices() -> list[Notice]:
    """What everybody should know, for the banner of each page; that no worker is there stands in the top bar."""
    with read() as database:
        found = notices(database, dead_seconds=runtime().settings.worker_dead_seconds)
    return [one for one in found if one["code"] != "no_workers"]
