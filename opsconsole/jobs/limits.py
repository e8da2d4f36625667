"""What a console allows at once over all jobs: per value of a tag, inventory group, jump host and person. Pure."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from opsconsole.jobs.waves import GROUP, JUMP


@dataclass(frozen=True, slots=True)
class Caps:
    """``per_tag``: hosts in flight per value of a tag; ``per_group``: of an inventory group; ``per_jump``: behind a
    jump host, named in lower case; ``user``: per person."""

    per_tag: Mapping[str, int] = field(default_factory=dict)
    per_group: Mapping[str, int] = field(default_factory=dict)
    per_jump: Mapping[str, int] = field(default_factory=dict)
    user: int | None = None

    @classmethod
    def parse(cls, parts: Sequence[str]) -> "Caps":
        """Returns the meaning of parts such as ``tag dc=20``, ``group db=2``, ``jump bastion=50`` and ``user=500``,
        which the settings have checked."""
        numbers = {words: int(number) for words, _, number in (part.partition("=") for part in parts)}
        named: dict[str, dict[str, int]] = {kind: {} for kind in ("tag", "group", "jump")}
        for words, number in numbers.items():
            kind, _, name = words.partition(" ")
            if name:
                named[kind][name.lower() if kind == "jump" else name] = number
        return cls(named["tag"], named["group"], named["jump"], numbers.get("user"))

    @property
    def of_hosts(self) -> bool:
        """Whether hosts are limited by their tags, groups or jump hosts."""
        return bool(self.per_tag or self.per_group or self.per_jump)

    @property
    def limiting(self) -> bool:
        """Whether anything is limited over all jobs."""
        return self.of_hosts or self.user is not None

    def user_room(self, in_flight: int) -> int:
        """Returns how many more hosts a person with so many in flight may have."""
        return sys.maxsize if self.user is None else max(self.user - in_flight, 0)

    @property
    def names(self) -> frozenset[str]:
        """The tags that matter, ``group`` when groups do, and ``jump`` when jump hosts do."""
        others = {GROUP: self.per_group, JUMP: self.per_jump}
        return frozenset(self.per_tag) | {name for name, limits in others.items() if limits}

    def of(self, key: str) -> int | None:
        """Returns how many hosts with the limit key ``dc=eu``, ``group=db`` or ``jump=bastion`` may be in flight,
        ``None`` for any."""
        name, _, value = key.partition("=")
        if name == JUMP:
            return self.per_jump.get(value)
        return self.per_group.get(value) if name == GROUP else self.per_tag.get(name)


NO_CAPS = Caps()


class Room:
    """How many more hosts of each limit key fit: in the job, by its ``limits``, and over all jobs, by ``caps``."""

    def __init__(
        self, limits: Mapping[str, int], caps: Caps, *, own: Iterable[Sequence[str]], everyones: Iterable[Sequence[str]]
    ) -> None:
        """Takes the limit keys of the job's own hosts in flight, and of those of all jobs."""
        self._limits = limits
        self._caps = caps
        self._own = Counter(key for keys in own for key in keys)
        self._everyones = Counter(key for keys in everyones for key in keys)

    def full(self) -> set[str]:
        """Returns the keys of which no further host may start."""
        return {key for key in {*self._own, *self._everyones} if not self._fits(key)}

    def take(self, keys: Sequence[str]) -> bool:
        """Takes a host with these keys if it fits, and returns whether it did."""
        if not all(self._fits(key) for key in keys):
            return False
        self._own.update(keys)
        self._everyones.update(keys)
        return True

    def _fits(self, key: str) -> bool:
        limit, cap = self._limits.get(key.partition("=")[0]), self._caps.of(key)
        return (limit is None or self._own[key] < limit) and (cap is None or self._everyones[key] < cap)
