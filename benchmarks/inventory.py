"""How long an inventory of 5,000 hosts in 200 nested groups takes to import and to resolve.

Run it with the project's Python: ``.venv/bin/python benchmarks/inventory.py``. It makes a SQLite database in a folder
of its own, or uses the migrated PostgreSQL database of ``--url``, which must be empty.
"""

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.db.database import Database
from opsconsole.db.schema import upgrade
from opsconsole.hostset import evaluate
from opsconsole.inventory import importing
from opsconsole.inventory.importers.reading import Format
from opsconsole.inventory.importing import Import
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.jobs.order import Order
from opsconsole.jobs.survey import Survey
from opsconsole.settings import Settings

HOSTS = 5_000
GROUPS = 200
ROUNDS = 20
RESOLVED = "(@web & @dc:eu) ! @frozen"
EXPRESSIONS = ("@all_of_them", RESOLVED, "web*", "~web.*[02468]", "@g5 ^ @g17, web[0001-0500]")
_ACTOR = Actor(1, "benchmark", Role.ADMIN)


def inventory() -> str:
    """Returns an Ansible inventory: a tree of groups five deep, each host in two of them, with variables."""
    lines = ["[all:vars]", "ansible_user=deploy"]
    for group in range(GROUPS - 2):
        lines += ["", f"[g{group}]"]
        lines += [
            f"web{host:04d} ansible_host=10.{host // 250}.{host % 250}.7 ansible_port=2222 dc={('eu', 'us')[host % 2]}"
            for host in range(1, HOSTS + 1)
            if group in {host % (GROUPS - 2), host * 7 % (GROUPS - 2)}
        ]
        children = [child for child in range(group * 3 + 1, group * 3 + 4) if child < GROUPS - 2]
        if children:
            lines += ["", f"[g{group}:children]", *(f"g{child}" for child in children)]
    return "\n".join([*lines, "", "[all_of_them:children]", "g0", "", "[web:children]", "g1", "g2", "g3", ""])


def seconds(work: Callable[[], object]) -> str:
    """Returns how long one call takes, and how much of that the processor worked on it: a machine may be busy."""
    started, busy = time.perf_counter(), time.process_time()
    work()
    return f"{time.perf_counter() - started:8.2f} s, {time.process_time() - busy:6.2f} s of processor time"


def measure(database: Database) -> None:
    """Imports, imports the same again, resolves; prints one line for each."""
    wanted = Import(Format.ANSIBLE_INI, inventory().encode())

    def look() -> str:
        with database.read() as session:
            return importing.look(session, wanted, _ACTOR).digest

    def write() -> None:
        digest = look()
        with database.transaction() as session:
            importing.run(session, wanted, expect=digest, skip_faulty=False, actor=_ACTOR, now=datetime.now(UTC))

    print(f"{HOSTS:,} hosts, {GROUPS} groups, {len(wanted.content):,} bytes")
    print(f"dry run                        {seconds(look)}")
    print(f"dry run and import             {seconds(write)}")
    print(f"dry run when nothing changes   {seconds(look)}")
    for expression in EXPRESSIONS:
        took, busy, count = [], time.process_time(), 0
        for _ in range(ROUNDS):
            started = time.perf_counter()
            with database.read() as session:
                count = evaluate(expression, groups=InventoryResolver(session)).count
            took.append(1000 * (time.perf_counter() - started))
        tell(expression, took, time.process_time() - busy, count)
    # As the web server does once it has started.
    gc.collect()
    gc.freeze()
    survey, order = Survey(Settings.load()), Order(targets=RESOLVED, command="uptime")
    took, busy, count = [], time.process_time(), 0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with database.read() as session:
            count = survey.resolve(session, order, _ACTOR)["count"]
        took.append(1000 * (time.perf_counter() - started))
    tell(f"/resolve {RESOLVED}", took, time.process_time() - busy, count)


def tell(what: str, took: list[float], busy: float, count: int) -> None:
    """Prints what was measured in ``ROUNDS`` rounds: milliseconds each, seconds of the processor together."""
    print(
        f"{what:<36} {statistics.median(took):6.1f} ms, best {min(took):6.1f}, worst {max(took):6.1f}, "
        f"{1000 * busy / ROUNDS:6.1f} ms of processor time, {count:,} hosts"
    )


def main() -> None:
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="SQLAlchemy URL of an empty database")
    url = parser.parse_args().url
    with tempfile.TemporaryDirectory() as folder:
        database = Database(url or f"sqlite:///{folder}/inventory.db")
        try:
            upgrade(url or f"sqlite:///{folder}/inventory.db")
            measure(database)
        finally:
            database.close()


if __name__ == "__main__":
    main()
