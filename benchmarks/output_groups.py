"""What output groups cost: in the worker that reads each output, and on the server that groups a job's hosts.

Run it with the project's Python: ``.venv/bin/python benchmarks/output_groups.py``. It makes a SQLite database in a
folder of its own. Each row: how many groups each mode finds; the processor time of the worker for all hosts and for
one, of the server for all groups with their first lines and differences, for the first time and again, and of the
spread.
"""

import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from opsconsole.accounts.models import User
from opsconsole.db.database import Database
from opsconsole.db.schema import upgrade
from opsconsole.jobs import grouping
from opsconsole.jobs.alike import ComparedOutput
from opsconsole.jobs.models import HostRun, Job, OutputChunk
from opsconsole.jobs.similarity import Mode, Own

_KEPT = 1024 * 1024
_DICE = random.Random(7)
_NOW = datetime.now(UTC)
Said = tuple[str, str, int]


def uptime(host: int) -> Said:
    load = f"{_DICE.random():.2f}, {_DICE.random():.2f}, {_DICE.random():.2f}"
    return (
        f" 10:42:{host % 60:02} up {host % 90} days,  2:{host % 60:02},  {host % 3} users,  load average: {load}\n",
        "",
        0,
    )


def os_release(host: int) -> Said:
    version = "11" if host % 40 == 0 else "12"
    return (
        f'PRETTY_NAME="Debian GNU/Linux {version}"\nNAME="Debian GNU/Linux"\nVERSION_ID="{version}"\nID=debian\n',
        "",
        0,
    )


def df(host: int) -> Said:
    share = 100 if host == 77 else _DICE.randint(5, 95)
    lines = [
        "Filesystem      Size  Used Avail Use% Mounted on",
        f"udev            {host % 7 + 1}.9G     0  3.9G   0% /dev",
    ]
    lines.append(f"/dev/sda1        {40 + host % 3}G   {share * 0.4:.1f}G   {26 - host % 9}G  {share}% /")
    return "\n".join([*lines, ""]), "", 0


def packages(host: int) -> Said:
    names = [f"package{n}-{n % 7}.{n % 13}.{n % 5}-{n % 9}.el9.x86_64" for n in range(2000)]
    if host % 20 == 0:
        names[1000] = "openssl-3.0.11-1.el9.x86_64"
    return "\n".join([*names, ""]), "", 0


def log(host: int) -> Said:
    lines = [
        f"Nov 22 23:{n % 60:02}:{host % 60:02} web{host} sshd[{host * 9 + n}]: session {n} took {_DICE.random():.3f} ms"
        for n in range(2000)
    ]
    return "\n".join([*lines, ""]), "", 0


def apt(host: int) -> Said:
    if host % 3 == 0:
        return "Reading package lists...\n", "E: You don't have enough free space in /var/cache/apt/archives/.\n", 100
    lock = "E: Could not get lock /var/lib/dpkg/lock-frontend."
    return "Reading package lists...\n", f"{lock} It is held by process {host * 31} (unattended-upgr)\n", 100


CASES: list[tuple[str, Callable[[int], Said], int]] = [
    ("uptime", uptime, 200),
    ("cat /etc/os-release", os_release, 200),
    ("df -h", df, 200),
    ("rpm -qa, 2,000 lines", packages, 200),
    ("a log, 2,000 lines, none alike", log, 200),
    ("apt-get, failing", apt, 200),
    ("uptime", uptime, 5000),
]


def job_of(session: Session, user: User, hosts: int) -> Job:
    """Returns a job that has ended."""
    fields = {"expression": "web", "folded": "web", "digest": "", "options": {}, "auth": {}, "launch_type": "api"}
    job = Job(
        title="x", command="x", target_count=hosts, created_by_id=user.id, created_by="x", created_at=_NOW, **fields
    )
    job.state = "partial"
    session.add(job)
    session.flush()
    return job


def fill(session: Session, job: Job, said: list[Said]) -> float:
    """Stores what the hosts said and returns the seconds of processor time that the reading of it took."""
    busy = 0.0
    for i, (out, err, status) in enumerate(said):
        started = time.process_time()
        output = ComparedOutput(_KEPT, _KEPT, Own((f"web{i}", f"10.0.{i // 250}.{i % 250}")))
        for fd, text in ((1, out), (2, err)):
            if text:
                output.add(fd, text.encode(), 0)
        digests = output.digests(f"{status}/None")
        busy += time.process_time() - started
        run = HostRun(job_id=job.id, i=i, host=f"web{i}", address="10.0.0.1", port=22, user="x", lines=output.lines)
        run.state, run.exit_status, run.stdout_bytes, run.stderr_bytes = (
            "failed" if status else "succeeded",
            status,
            output.stdout_bytes,
            output.stderr_bytes,
        )
        run.output_digest, run.digest_clean, run.digest_similar = digests.exact, digests.clean, digests.similar
        session.add(run)
        session.flush()
        for chunk in output.flush(tail=True).chunks:
            session.add(OutputChunk(host_run_id=run.id, offset=chunk.offset, fd=chunk.fd, at_ms=0, data=chunk.data))
    return busy


def measure(database: Database) -> None:
    """Prints one row a case."""
    with database.transaction() as session:
        user = User(name="bench", role="admin", created_at=_NOW)
        session.add(user)
        session.flush()
        for name, say, hosts in CASES:
            said = [say(host) for host in range(hosts)]
            job = job_of(session, user, hosts)
            busy = fill(session, job, said)
            found, times = {}, []
            for mode in Mode:
                found[mode] = grouping.groups(session, job, mode)["n"]
            shorts: grouping.Shorts = {}
            for _ in range(2):
                started = time.process_time()
                told = grouping.groups(session, job, shorts=shorts)
                times.append(time.process_time() - started)
            started = time.process_time()
            spread = grouping.varying(session, job, told["groups"][0]["g"], Mode.SIMILAR)
            times.append(time.process_time() - started)
            counts = " / ".join(str(found[mode]) for mode in Mode)
            print(
                f"| {name} | {hosts} | {counts} | {busy * 1000:.0f} ms, {busy / hosts * 1000:.2f} ms a host | "
                f"{times[0] * 1000:.0f} ms, {times[1] * 1000:.0f} ms | {times[2] * 1000:.0f} ms ({spread['read']}) |"
            )


def main() -> None:
    """Measures in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        upgrade(url)
        database = Database(url)
        measure(database)
        database.close()


if __name__ == "__main__":
    main()
