"""What the supervisor decides without touching a process."""

import pytest

from opsconsole.launcher.child import AlarmFilter, how_it_ended, printable, restart_delay


def test_delays_double_up_to_a_limit() -> None:
    assert [restart_delay(failures, 10.0) for failures in range(1, 9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert restart_delay(10_000, 0.5) == 0.5


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("[2026-11-22 13:27:06 +0000] [317] [ERROR] Exception in worker process", True),
        ("2026-11-22T13:27:06Z [error    ] the database does not answer", True),
        ('{"level": "error", "event": "x"}', True),
        ("CRITICAL Unrecoverable error", True),
        ("[INFO] errors: 0", False),
        ("an ERRORLESS line", False),
    ],
)
def test_errors_are_shown_and_the_rest_is_not(line: str, shown: bool) -> None:
    assert AlarmFilter().picks(line) is shown


def test_of_a_traceback_the_line_that_says_what_happened_is_shown() -> None:
    log = """\
Traceback (most recent call last):
  File "x.py", line 1, in <module>
    raise ValueError("ERROR inside")
ValueError: first

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "x.py", line 3, in <module>
RuntimeError: second
all is well again""".splitlines()
    alarms = AlarmFilter()
    assert [line for line in log if alarms.picks(line)] == ["ValueError: first", "RuntimeError: second"]


def test_what_hosts_say_cannot_steer_the_terminal() -> None:
    hostile = "a\x1b]52;c;Zm9v\x07b\x9bc\rd\u202ee"
    shown = printable(hostile)
    assert shown.isprintable()
    assert printable("x" * 1000).startswith("x" * 300)
    assert len(printable("x" * 1000)) < 310


def test_ends_are_told_in_words() -> None:
    assert how_it_ended(-9) == "was killed by SIGKILL"
    assert how_it_ended(3) == "ended with status 3"
    assert how_it_ended(-200) == "was killed by signal 200"
