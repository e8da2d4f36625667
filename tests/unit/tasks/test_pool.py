"""Which command lines are Celery's worker without a pool of its own."""

import pytest

from opsconsole.tasks.pool import runs_worker


@pytest.mark.parametrize(
    "line",
    [
        "celery -A worker worker",
        "/opt/venv/bin/celery --app worker worker --loglevel INFO",
        "/usr/lib/python3/celery/__main__.py -A worker worker",
    ],
)
def test_a_worker_without_a_pool_is_started_again(line: str) -> None:
    assert runs_worker(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "celery -A worker worker -P gevent",
        "celery -A worker worker -Psolo",
        "celery -A worker worker --pool=threads",
        "celery -A worker beat",
        "celery -A jobs inspect ping",
        "gunicorn wsgi:app",
        "opsconsole worker",
        "",
    ],
)
def test_anything_else_is_left_alone(line: str) -> None:
    assert not runs_worker(line.split())
