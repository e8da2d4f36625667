"""The Celery application of a checkout: ``celery -A worker worker``. Installed copies use ``opsconsole worker``.

The pool is the product's choice (``OPSCONSOLE_WORKER_POOL``), not Celery's. Celery patches for gevent only when its own
command line names that pool: a worker started without it is started once more with it, before anything else happens.
"""

from opsconsole.settings import Settings
from opsconsole.tasks.pool import patch_if_gevent

settings = Settings.load()
patch_if_gevent(settings)

from opsconsole.bootstrap import build  # noqa: E402

app = build(settings).make_celery_app()
