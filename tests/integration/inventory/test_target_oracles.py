"""Set algebra over the inventory means what ClusterShell and Ansible mean by it, on fleets made by chance."""

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from ClusterShell.NodeSet import NodeSet
from ClusterShell.NodeUtils import GroupResolver, GroupSource

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.db.database import Database
from opsconsole.hostset import evaluate
from opsconsole.inventory import importing, service
from opsconsole.inventory.formats import Format
from opsconsole.inventory.importing import Import
from opsconsole.inventory.resolver import InventoryResolver
from tests.support.clock import START

ADMIN = Actor(1, "admin", Role.ADMIN)
HOSTS = [f"n{number:03}" for number in range(120)]
# What we are asked, what ClusterShell is asked, what Ansible is asked.
EXPRESSIONS = [
    ("(@web & @dc:eu) ! @frozen", "@web&@dc:eu!@frozen", "web:&dc_eu:!frozen"),
    ("@web & @dc:us ! @frozen, @db", "@web&@dc:us!@frozen,@db", None),
    ("@all_of_it ! @web", "@all_of_it!@web", "all_of_it:!web"),
    ("@web & @db", "@web&@db", "web:&db"),
    ("@web ^ @db", "@web^@db", None),
    ("n01* ! @frozen", "n[010-019]!@frozen", "n01*:!frozen"),
    ("~n.*7 & @web", None, "~n.*7$:&web"),
    ("@dc:eu, n[000-009]", "@dc:eu,n[000-009]", "dc_eu:n00*"),
]


class Fleet:
    """Who is in which group, drawn from ``seed``."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.groups = {
            name: sorted(chance.sample(HOSTS, size)) for name, size in (("web1", 30), ("web2", 30), ("db", 40))
        }
        self.frozen = sorted(chance.sample(HOSTS, 25))
        self.dc = {host: chance.choice(["eu", "us"]) for host in HOSTS}

    def ini(self) -> str:
        lines = [f"{host} dc={self.dc[host]}" for host in HOSTS]
        for name, members in self.groups.items():
            lines += [f"[{name}]", *members]
        return "\n".join([*lines, "[web:children]", "web1", "web2", "[all_of_it:children]", "web", "db", ""])

    def for_ansible(self) -> str:
        """Ansible has no groups of tags, so they are written out."""
        lines = [self.ini(), "[frozen]", *self.frozen]
        for value in ("eu", "us"):
            lines += [f"[dc_{value}]", *(host for host in HOSTS if self.dc[host] == value)]
        return "\n".join(lines) + "\n"

    def for_clustershell(self) -> GroupResolver:
        web = sorted({*self.groups["web1"], *self.groups["web2"]})
        named = {"web": web, "db": self.groups["db"], "frozen": self.frozen, "all_of_it": web + self.groups["db"]}
        by_dc = {value: [host for host in HOSTS if self.dc[host] == value] for value in ("eu", "us")}
        own = GroupSource("own", {name: ",".join(members) for name, members in named.items()})
        tags = GroupSource("dc", {name: ",".join(members) for name, members in by_dc.items()})
        resolver = GroupResolver(own)
        resolver.add_source(tags)
        return resolver


def ours(database: Database, expression: str) -> list[str]:
    with database.read() as session:
        return sorted(evaluate(expression, groups=InventoryResolver(session)).labels)


def ansible(folder: Path, patterns: Sequence[str]) -> list[list[str]]:
    """Returns the hosts of each pattern. Ansible is slow to start, so one start answers for all."""
    program = (
        "import sys\n"
        "from ansible.inventory.manager import InventoryManager\n"
        "from ansible.parsing.dataloader import DataLoader\n"
        "inventory = InventoryManager(DataLoader(), sources=[sys.argv[1]])\n"
        "for pattern in sys.argv[2:]:\n"
        "    print(' '.join(sorted(host.name for host in inventory.get_hosts(pattern))))\n"
    )
    environment = {**os.environ, "HOME": str(folder), "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-c", program, str(folder / "hosts.ini"), *patterns]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_set_algebra_is_that_of_clustershell_and_ansible(database: Database, tmp_path: Path, seed: int) -> None:
    fleet = Fleet(seed)
    wanted = Import(Format.ANSIBLE_INI, fleet.ini().encode())
    with database.read() as session:
        digest = importing.look(session, wanted, ADMIN).digest
    with database.transaction() as session:
        importing.run(session, wanted, expect=digest, skip_faulty=False, actor=ADMIN, now=START)
        service.freeze_hosts(session, fleet.frozen, frozen=True, reason="x", actor=ADMIN, now=START)
    (tmp_path / "hosts.ini").write_text(fleet.for_ansible())
    asked = [(mine, pattern) for mine, _, pattern in EXPRESSIONS if pattern]
    for (mine, pattern), found in zip(asked, ansible(tmp_path, [pattern for _, pattern in asked]), strict=True):
        assert ours(database, mine) == found, (mine, pattern)
    resolver = fleet.for_clustershell()
    for mine, theirs, _ in EXPRESSIONS:
        if theirs:
            assert ours(database, mine) == sorted(NodeSet(theirs, resolver=resolver)), (mine, theirs)
