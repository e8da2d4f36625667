"""The JSON API under ``/api/v1`` and the probes."""

from flask import Flask

from opsconsole.web.api import health


def register(app: Flask) -> None:
    """Puts the API's routes into ``app``."""
    app.register_blueprint(health.blueprint)
