"""A small inventory in memory for the tests of target expressions; docs/host-lists.md describes the same one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from opsconsole.hostset import TooMuchOutput


@dataclass
class Inventory:
    names: Sequence[str] = ("web1", "web2", "web3", "web4", "db1", "db2")
    groups: dict[str, Sequence[str]] = field(
        default_factory=lambda: {
            "web": ("web1", "web2", "web3", "web4"),
            "prod": ("web1", "web2", "db1"),
            "spare": (),
            "rack1": ("web1",),
            "rack2": ("web2", "db2"),
            "数据库": ("db1", "db2"),
        }
    )
    tags: dict[tuple[str, str], Sequence[str]] = field(default_factory=lambda: {("dc", "eu-west"): ("web1", "db1")})
    jobs: dict[tuple[int, str], str] = field(
        default_factory=lambda: {(1041, "web1"): "o", (1041, "web2"): "f", (1041, "web3"): "u", (1041, "web4"): "o"}
    )
    said: dict[str, bytes] = field(
        default_factory=lambda: {"web1": b"ok 1.2\n", "web2": b"disk full, 3 of 4\n", "web4": b"ok 1.2\n"}
    )
    questions: list[str] = field(default_factory=list)

    def group(self, name: str) -> Sequence[str] | None:
        self.questions.append(f"group {name}")
        return self.groups.get(name)

    def tagged(self, key: str, value: str) -> Sequence[str]:
        return self.tags.get((key, value), ())

    def has_tag_key(self, key: str) -> bool:
        return any(key == known for known, _ in self.tags)

    def all_names(self) -> Sequence[str]:
        self.questions.append("all names")
        return self.names

    def job_hosts(self, job_id: int, letters: str) -> Sequence[str] | None:
        if job_id not in {job for job, _ in self.jobs}:
            return None
        return [host for (job, host), letter in self.jobs.items() if job == job_id and letter in letters]

    def last_job(self, targets: str) -> int | None:
        return {"@web": 1041}.get(targets)

    def job_hosts_where(self, job_id: int, found_in: Callable[[bytes], bool]) -> Sequence[str] | None:
        if job_id == 7:
            raise TooMuchOutput
        if job_id != 1041:
            return None
        return [host for host, said in self.said.items() if found_in(said)]

    def job_hosts_like(self, job_id: int, host: str) -> Sequence[str] | None:
        if job_id != 1041:
            return None
        return [other for other, said in self.said.items() if said == self.said.get(host)]
