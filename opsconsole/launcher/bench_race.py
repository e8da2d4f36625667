"""Runs the racers of ``bench fanout`` and takes their time: wall clock and CPU."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opsconsole.errors import Invalid
from opsconsole.launcher.bench_fleet import FleetFacts
from opsconsole.settings import child_environment

_PEER_FANOUT = 64
_SCRIPT_SLOTS = 100
_LIMIT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Course:
    """What is raced over: the hosts, how to get in, what to run. The files hold hosts and the one host key."""

    fleet: FleetFacts
    hosts_file: Path
    known_hosts: Path
    command: str

    @classmethod
    def lay(cls, folder: Path, fleet: FleetFacts, command: str) -> "Course":
        """Writes the files that racers read into ``folder``."""
        hosts_file, known_hosts = folder / "hosts", folder / "known_hosts"
        hosts_file.write_text("\n".join(fleet.addresses) + "\n")
        known_hosts.write_text(f"[*]:{fleet.port} {fleet.host_key[0]} {fleet.host_key[1]}\n")
        return cls(fleet, hosts_file, known_hosts, command)


@dataclass(frozen=True, slots=True)
class Racer:
    """A program that runs the command on all hosts and prints a line for each."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lap:
    """One run over the course: seconds by the clock, and seconds of CPU of everything the racer started.

    ``parts`` splits the CPU where a racer has several kinds of processes.
    """

    wall: float
    cpu: float
    parts: Mapping[str, float] = field(default_factory=dict)


def racers(course: Course, more: Sequence[str] = ()) -> list[Racer]:
    """Returns the yardstick and the peers that this machine has.

    ``more`` are further ones as ``NAME=COMMAND`` where ``{hosts_file}``, ``{port}``, ``{user}``, ``{key}``,
    ``{known_hosts}`` and ``{command}`` are filled in.
    """
    found = [
        Racer(f"raw paramiko+gevent x{_SCRIPT_SLOTS}", _script("opsconsole.ssh.yardstick", course), {}),
        Racer(f"asyncssh x{_SCRIPT_SLOTS}", _script("opsconsole.launcher.bench_asyncssh", course), {}),
    ]
    if shutil.which("pdsh"):
        found.append(_pdsh(course))
    if shutil.which("clush"):
        found.append(_clush(course))
    return found + [_other(text, course) for text in more]


def race(racer: Racer, expected: int) -> Lap:
    """Returns the racer's lap. Its start is part of it. Raises ``Invalid`` when a host's line is missing."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            racer.command,
            env={**child_environment({}), **racer.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        limit = threading.Timer(_LIMIT_SECONDS, process.kill)
        limit.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            limit.cancel()
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        lines = output.read().splitlines()
    answered = sum(line.endswith(b"ok") for line in lines)
    if answered != expected:
        last = lines[-1].decode(errors="replace") if lines else ""
        raise Invalid(f"{racer.name}: {answered} of {expected} hosts answered (status {process.returncode}): {last}")
    return Lap(wall, usage.ru_utime + usage.ru_stime)


def _script(module: str, course: Course) -> tuple[str, ...]:
    fleet = course.fleet
    facts = (course.hosts_file, fleet.port, fleet.user, fleet.key, course.known_hosts, _SCRIPT_SLOTS, course.command)
    return (sys.executable, "-P", "-m", module, *map(str, facts))


def _ssh_options(course: Course) -> str:
    """The same for all that start OpenSSH's client; Debian's default key exchange would cost it four times as much."""
    fleet = course.fleet
    return (
        f"-F none -i {fleet.key} -p {fleet.port} -oIdentitiesOnly=yes -oBatchMode=yes -oStrictHostKeyChecking=yes"
        f" -oUserKnownHostsFile={course.known_hosts} -oGlobalKnownHostsFile=/dev/null"
        " -oKexAlgorithms=curve25519-sha256 -oLogLevel=ERROR"
    )


def _pdsh(course: Course) -> Racer:
    user = course.fleet.user
    command = ("pdsh", "-R", "ssh", "-f", str(_PEER_FANOUT), "-l", user, "-w", f"^{course.hosts_file}", course.command)
    return Racer(f"pdsh -f {_PEER_FANOUT}", command, {"PDSH_SSH_ARGS_APPEND": _ssh_options(course)})


def _clush(course: Course) -> Racer:
    options = ("-f", str(_PEER_FANOUT), "-l", course.fleet.user, "-o", _ssh_options(course))
    command = ("clush", *options, f"--hostfile={course.hosts_file}", course.command)
    return Racer(f"clush -f {_PEER_FANOUT}", command, {})


def _other(text: str, course: Course) -> Racer:
    name, separator, command = text.partition("=")
    if not separator:
        raise Invalid("--peer: write NAME=COMMAND.")
    fleet = course.fleet
    facts = {
        "hosts_file": course.hosts_file,
        "port": fleet.port,
        "user": fleet.user,
        "key": fleet.key,
        "known_hosts": course.known_hosts,
        "command": course.command,
    }
    return Racer(name, tuple(word.format(**facts) for word in shlex.split(command)), {})
