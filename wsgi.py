"""The WSGI application of a checkout: ``gunicorn wsgi:app``. Installed copies use ``opsconsole web``."""

from opsconsole.launcher.web import application

app = application()
