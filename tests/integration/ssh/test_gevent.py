"""The connector under gevent's patches, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import faulty_tcp
from tests.support.faulty_tcp import faulty_server
from tests.support.sshd import Sshd

_PROGRAM = Path(__file__).with_name("gevent_fleet.py")


@pytest.fixture(scope="module")
def seen(sshd: Sshd) -> dict[str, object]:
    """What the program saw; its standard error must be empty."""
    key = sshd.known_key()
    with faulty_server(faulty_tcp.no_key_exchange) as faulty:
        words = [sys.executable, "-W", "error::ResourceWarning", "-m", "tests.integration.ssh.gevent_fleet"]
        words += [str(sshd.port), f"{key.algorithm} {key.key}", str(sshd.client_key), str(faulty)]
        root = Path(__file__).parents[3]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_every_host_answers(seen: dict[str, dict[str, float]]) -> None:
    assert seen["cold"]["ok"] == seen["warm"]["ok"] == 60


def test_many_hosts_wait_at_once(seen: dict[str, dict[str, float]]) -> None:
    assert seen["sleepers"]["ok"] == 40
    assert seen["sleepers"]["seconds"] < 10


def test_faulty_hosts_wait_together(seen: dict[str, dict[str, float]]) -> None:
    assert seen["faulty"]["ok"] == 40
    assert seen["faulty"]["seconds"] < 4


def test_waiting_costs_nothing(seen: dict[str, float]) -> None:
    assert seen["idle_cpu"] < 0.05


def test_a_flood_leaves_the_others_their_turn(seen: dict[str, float]) -> None:
    assert seen["flood_gap"] < 0.25


def test_orders_reach_the_host(seen: dict[str, object]) -> None:
    assert seen["ordered"] is True


def test_nothing_is_left(seen: dict[str, object]) -> None:
    assert seen["readers"] == 0
