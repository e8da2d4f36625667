"""No secret that a process holds comes into its logs, whatever writes the line."""

import base64
import json
import logging
import sys
import threading

import pytest

from opsconsole.secret import Secret, known_secrets
from opsconsole.settings import Settings
from opsconsole.tasks.logs import _Escaping
from opsconsole.web.request_log import make_logger

_CANARY = "Canary+42/ö"


def test_a_workers_line_and_its_traceback() -> None:
    held = Secret(_CANARY)
    try:
        raise ValueError(f"cannot use {held.reveal()}")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "with %s", (held.reveal(),), sys.exc_info())
    line = _Escaping("%(message)s").format(record)
    assert line.startswith("with ***\n")
    assert "ValueError: cannot use ***" in line
    assert _CANARY not in line


@pytest.mark.parametrize("log_json", [True, False])
def test_a_web_servers_line(settings: Settings, capsys: pytest.CaptureFixture[str], log_json: bool) -> None:
    held = Secret(_CANARY)
    encoded = base64.b64encode(b"ops:" + _CANARY.encode()).decode()
    make_logger(settings.model_copy(update={"log_json": log_json})).error("refused", detail=f"Basic {encoded}", n=1)
    line = capsys.readouterr().err
    assert "refused" in line
    assert encoded[8:-4] not in line
    assert "***" in (json.loads(line)["detail"] if log_json else line)
    assert held in known_secrets()


def test_of_two_that_are_equal_one_may_go() -> None:
    pair = [Secret("twice the same"), Secret("twice the same")]
    pair.pop(0)
    assert pair[0] in known_secrets()
    pair.clear()
    assert "twice the same" not in {secret.reveal() for secret in known_secrets()}


def test_threads_make_secrets_while_they_are_listed() -> None:
    stop = threading.Event()

    def make() -> None:
        kept: list[Secret] = []
        while not stop.is_set():
            kept = [*kept[-50:], Secret("made meanwhile")]

    makers = [threading.Thread(target=make) for _ in range(4)]
    for maker in makers:
        maker.start()
    try:
        for _ in range(300):
            known_secrets()
    finally:
        stop.set()
        for maker in makers:
            maker.join()
