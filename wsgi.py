"""The WSGI application of a checkout: ``gunicorn wsgi:app``. Installed copies use ``opsconsole web``."""

from opsconsole.bootstrap import build
from opsconsole.settings import Settings

app = build(Settings.load()).make_wsgi_app()
