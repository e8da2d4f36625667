"""Through a jump host by real workers: its first contact, a fleet behind it, and how often it is logged in to."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from opsconsole.inventory import hostkey_desk, hostkeys
from opsconsole.inventory.hostkey_desk import KeyRef
from opsconsole.inventory.service import upsert_host
from opsconsole.jobs import look, queries
from opsconsole.settings import Settings
from tests.integration.jobs.conftest import options
from tests.support.clock import START
from tests.support.console import Console, embedded_broker, processes_of_runs, running_console, until
from tests.support.sshd import Sshd, running_sshd

BASTION = "127.0.9.1"


@pytest.fixture(scope="module")
def bastion() -> Iterator[Sshd]:
    with running_sshd(prefix="opsconsole-bastion-") as server:
        yield server


@pytest.fixture(scope="module")
def guarded(sshd: Sshd, bastion: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A strict console that knows the hosts but not yet their bastion, which has a key of its own."""
    keys = {"test": sshd.client_key, "gate": bastion.client_key}
    settings = Settings.load(
        data_dir=tmp_path_factory.mktemp("console"), **options(sshd, host_key_policy="strict", key_files=keys)
    )
    with embedded_broker(settings), running_console(settings) as running:
        with running.database.transaction() as session:
            upsert_host(session, "gate", address=BASTION, port=bastion.port, credential="gate", now=START)
            for number in range(1, 61):
                hosts = sshd.known_hosts(f"127.0.5.{number}")
                hostkeys.seed_known_hosts(session, hosts, now=START)
        running.start_workers(1)
        yield running


def logins(server: Sshd) -> int:
    return len(re.findall("Accepted publickey", server.log_text()))


def test_a_fleet_behind_a_bastion(guarded: Console, sshd: Sshd, bastion: Sshd) -> None:
    # A bastion that nobody has met is refused, and its key waits for a person as a host's does.
    body, (run,) = guarded.run("127.0.5.1", "true", credential="key:test", jump="gate")
    assert (body["state"], run.reason, run.jump) == ("failed", "jump", "gate")
    assert (run.detail or "").startswith("Jump host gate: The host key is not known yet")
    assert logins(bastion) == 0
    with guarded.database.transaction() as session:
        job = queries.get_job(session, body["id"], guarded.actor)
        (offered,) = queries.offered_keys(session, job)
        place = (offered["host"], offered["address"], offered["port"])
        assert place == ("gate", BASTION, bastion.port)
        assert queries.refused_by_key(session, run) == ["127.0.5.1"]
        key = KeyRef(BASTION, bastion.port, offered["fingerprint"])
        hostkey_desk.trust(session, [key], actor=guarded.actor, now=START)
    # Sixty hosts, two waves of connections, one login on it.
    body, runs = guarded.run(
        "127.0.5.[1-60]",
        'echo "$SSH_CONNECTION"',
        credential="key:test",
        jump="gate",
        concurrency=40,
        limit_per="jump=30",
    )
    assert body["counts"]["o"] == 60, body
    assert {run.jump for run in runs} == {"gate"}
    assert logins(bastion) == 1
    # What runs in durable mode is reached again the same way, and a cancelled command is searched for there.
    body, (run,) = guarded.run("127.0.5.2", "echo again", credential="key:test", jump="gate", durable=True)
    assert (body["state"], run.exit_status) == ("succeeded", 0)
    _, (run,) = guarded.run("127.0.5.3", "sleep 600", credential="key:test", jump="gate", command_timeout=1.0)
    assert run.reason == "command_timeout"
    assert "confirmed" in (run.detail or "")
    assert logins(bastion) == 1


def test_a_bastion_that_dies_under_its_runs(guarded: Console, bastion: Sshd) -> None:
    with guarded.database.transaction() as session:
        key = bastion.known_key()
        hostkeys.seed_known_hosts(session, f"[{BASTION}]:{bastion.port} {key.algorithm} {key.key}\n", now=START)
    order: dict[str, Any] = {"credential": "key:test", "jump": "gate"}
    durable = guarded.launch("127.0.5.4", "echo one; sleep 4; echo two", durable=True, **order)
    plain = guarded.launch("127.0.5.5", "exec sleep 600", **order)
    for job_id in (durable, plain):
        guarded.until_counts(job_id, r=1)
    for process in bastion.servers():
        process.kill()
    # The one is lost, and a look at its host through the bastion ends what is left there.
    assert guarded.follow(plain)["counts"]["l"] == 1
    (run,) = guarded.runs(plain)
    assert run.reason == "connection_lost"
    with guarded.database.transaction() as session:
        look.ask(session, queries.get_job(session, plain, guarded.actor), guarded.actor, now=START, kill=True)
    guarded.dispatcher.nudge()
    told = until(lambda: _looked(guarded, plain), 60, "a look at the host")
    assert told == look.Look.GONE
    assert processes_of_runs([run]) == []
    # The other went on, and is followed to its end.
    body = guarded.follow(durable)
    assert (body["state"], guarded.runs(durable)[0].lines) == ("succeeded", 2)


def _looked(console: Console, job_id: int) -> str | None:
    (run,) = console.runs(job_id)
    return run.look if run.look != look.Look.ASKED else None
