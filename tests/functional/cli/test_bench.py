"""``opsconsole bench fanout``: it measures what it says, through a console of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from opsconsole.cli.bench_product import default_slots
from opsconsole.errors import Invalid
from opsconsole.launcher.bench_fleet import FleetFacts, addresses
from opsconsole.launcher.bench_race import Course, Racer, race, racers
from opsconsole.launcher.process_tree import cpu_by_part


@pytest.fixture
def course(tmp_path: Path) -> Course:
    fleet = FleetFacts(addresses(2), 2222, "ops", tmp_path / "key", ("ssh-ed25519", "AAAA"))
    return Course.lay(tmp_path, fleet, "echo ok")


def test_addresses_are_all_on_loopback_and_none_is_an_edge_of_its_network() -> None:
    found = addresses(1000)
    assert len(set(found)) == 1000
    assert (found[0], found[249], found[250], found[-1]) == ("127.0.0.1", "127.0.0.250", "127.0.1.1", "127.0.3.250")


def test_a_peer_of_ones_own_is_told_the_course(course: Course) -> None:
    racer = racers(course, ["mine=prog -p {port} -l {user} '{command}' {hosts_file}"])[-1]
    assert racer.name == "mine"
    assert racer.command == ("prog", "-p", "2222", "-l", "ops", "echo ok", str(course.hosts_file))


def test_a_peer_without_a_name_is_refused(course: Course) -> None:
    with pytest.raises(Invalid, match="NAME=COMMAND"):
        racers(course, ["prog"])


def test_a_racer_that_leaves_hosts_out_has_not_finished() -> None:
    racer = Racer("half", (sys.executable, "-c", "print('a: ok')"), {})
    assert race(racer, 1).wall > 0
    with pytest.raises(Invalid, match="1 of 2 hosts answered"):
        race(racer, 2)


def test_cpu_of_a_racer_counts_its_children() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print('ok')"
    assert race(Racer("parent", (sys.executable, "-c", program), {}), 1).cpu >= 0.3


def test_cpu_is_split_by_kind_of_process() -> None:
    program = "import sys, time\nwhile time.process_time() < 0.2: pass\nprint('go', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", program, "worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        parts = cpu_by_part(process.pid)
        assert parts["supervisor"] >= 0.15
        assert "worker" not in parts
        process.communicate()


def test_slots_are_enough_and_never_fewer_than_the_products_own() -> None:
    assert (default_slots(100, 2), default_slots(500, 2), default_slots(501, 2)) == (100, 250, 251)


@pytest.mark.slow
def test_the_whole_race(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "opsconsole", "bench", "fanout"]
    options = ["--hosts", "8", "--rounds", "1", "--workers", "1", "-f", "4", "--no-peers", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    racing = {racer["name"]: racer for racer in json.loads(done.stdout)["racers"]}
    assert set(racing) == {"opsconsole -f 4", "raw paramiko+gevent x100"}
    assert all(racer["wall_s"] > 0 and racer["cpu_ms_per_host"] > 0 for racer in racing.values())


@pytest.mark.slow
def test_the_load_on_simulated_hosts() -> None:
    command = [sys.executable, "-m", "opsconsole", "bench", "load"]
    options = ["--hosts", "40", "--rounds", "1", "--workers", "1", "-f", "20", "--json"]
    behave = ["--simulation", "connect_seconds=0 median_seconds=0 failures=20% unreachable=10%", "--command", "uptime"]
    done = subprocess.run([*command, *options, *behave], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    (lap,) = json.loads(done.stdout)["rounds"]
    # By the seed, so that these are the same hosts every time.
    assert 20 <= lap["ok"] < 40
    assert lap["most_in_flight"] <= 20
    assert lap["cpu_ms"] > 0
