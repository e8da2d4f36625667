"""The values of a target expression: one named host, the finished set, and what the inventory has to answer."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from opsconsole.hostset.folding import fold


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One target as a person named it: ``name`` is a host name or an address, IPv6 without brackets."""

    name: str
    user: str | None = None
    port: int | None = None

    @property
    def label(self) -> str:
        """The canonical text, such as ``root@web01:2222`` or ``[fe80::1]:22``; reading it gives this value again."""
        if self.user is None and self.port is None:
            return self.name
        name = f"[{self.name}]" if ":" in self.name and self.port is not None else self.name
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        return f"{user}{name}{port}"

    @property
    def key(self) -> str:
        """What two ways of writing the same target have in common: the label without regard to case."""
        return self.label.lower()


class TooMuchOutput(Exception):
    """A job wrote more than can be searched while somebody waits."""


class GroupResolver(Protocol):
    """What the grammar asks of an inventory and of earlier jobs; members are host names or labels."""

    def group(self, name: str) -> Sequence[str] | None:
        """Returns the members of ``@name``, or None when there is no such group."""

    def tagged(self, key: str, value: str) -> Sequence[str]:
        """Returns the hosts whose tag ``key`` is ``value``, for ``@key:value``."""

    def has_tag_key(self, key: str) -> bool:
        """Says whether any host has a tag ``key``."""

    def all_names(self) -> Sequence[str]:
        """Returns every inventory name, for wildcards and regular expressions."""

    def job_hosts(self, job_id: int, letters: str) -> Sequence[str] | None:
        """Returns the hosts of a job whose run is in one of the states ``letters``, or None for an unknown job."""

    def last_job(self, targets: str) -> int | None:
        """Returns the newest job that has ended and whose targets were written just so, or None."""

    def job_hosts_where(self, job_id: int, found_in: Callable[[bytes], bool]) -> Sequence[str] | None:
        """Returns the hosts of a job with a stream of output that ``found_in`` says yes to, or None for an unknown job.

        Raises TooMuchOutput.
        """

    def job_hosts_like(self, job_id: int, host: str) -> Sequence[str] | None:
        """Returns the hosts of a job that ended and wrote the same as ``host``, none when that is not in it or has not
        ended, or None for an unknown job."""


class EmptyInventory:
    """An inventory with nothing in it: plain names and addresses work, groups and patterns are refused."""

    def group(self, name: str) -> Sequence[str] | None:
        """Knows no group."""
        return None

    def tagged(self, key: str, value: str) -> Sequence[str]:
        """Knows no tag."""
        return ()

    def has_tag_key(self, key: str) -> bool:
        """Knows no tag."""
        return False

    def all_names(self) -> Sequence[str]:
        """Knows no host."""
        return ()

    def job_hosts(self, job_id: int, letters: str) -> Sequence[str] | None:
        """Knows no job."""
        return None

    def last_job(self, targets: str) -> int | None:
        """Knows no job."""
        return None

    def job_hosts_where(self, job_id: int, found_in: Callable[[bytes], bool]) -> Sequence[str] | None:
        """Knows no job."""
        return None

    def job_hosts_like(self, job_id: int, host: str) -> Sequence[str] | None:
        """Knows no job."""
        return None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an expression names: ``hosts`` in the order written and each once, ``excluded`` taken out again.

    ``duplicates`` counts how many times a host was named again after the first time. ``frozen`` are hosts that whoever
    knows the inventory left out, for nothing may be run on them.
    """

    hosts: tuple[HostSpec, ...]
    excluded: tuple[HostSpec, ...] = ()
    duplicates: int = 0
    frozen: tuple[HostSpec, ...] = ()

    @property
    def count(self) -> int:
        """The number of hosts."""
        return len(self.hosts)

    @property
    def labels(self) -> tuple[str, ...]:
        """The canonical texts of the hosts, in order."""
        return tuple(host.label for host in self.hosts)

    @property
    def digest(self) -> str:
        """``sha256:`` over the sorted keys: equal sets have equal digests, however they were written."""
        keys = "\n".join(sorted(host.key for host in self.hosts))
        return "sha256:" + hashlib.sha256(keys.encode()).hexdigest()

    @property
    def folded(self) -> str:
        """The hosts folded back to ranges, such as ``web[01-20],db1``."""
        return fold(self.labels)
