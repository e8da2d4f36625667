"""A small inventory in memory for the tests of target expressions; docs/host-lists.md describes the same one."""

from collections.abc import Sequence
from dataclasses import dataclass, field


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
    jobs: dict[tuple[int, str], str] = field(default_factory=lambda: {(1041, "web2"): "f", (1041, "web3"): "u"})
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
