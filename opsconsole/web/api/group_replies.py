"""What the API gives about output groups, field by field."""

from opsconsole.web.api.replies import Answer


class ShortDifference(Answer):
    """How a group departs from the reference: its first ``lines`` as ``[sign, text]``, and how many there are."""

    lines: list[tuple[str, str]]
    added: int
    removed: int


class OutputGroup(Answer):
    """Hosts that ended alike and said the same, as the mode sees it.

    ``g`` names the group and stays while hosts come in. ``variants`` counts what they said to the byte; ``head`` is the
    line that stands for it, its readings masked where they vary. ``reference`` is the group others are compared with.
    """

    g: str
    count: int
    variants: int
    reference: bool
    state: str
    reason: str | None
    exit: int | None
    signal: str | None
    folded: str
    hosts: list[str]
    i: int
    head: str
    difference: ShortDifference | None


class OutputGroups(Answer):
    """The groups of a job: trouble by size, the reference, the others by size; ``n`` counts all, ``hosts`` theirs."""

    ver: int
    mode: str
    n: int
    hosts: int
    groups: list[OutputGroup]


class Gap(Answer):
    """Bytes that were counted but not kept."""

    bytes: int


class OneGroup(OutputGroup):
    """A group with all its ``members`` as ``[index, host]``, and ``lines`` as ``[number, fd, text]`` of what they said;
    readings are masked where they vary."""

    ver: int
    mode: str
    members: list[tuple[int, str]]
    lines: list[tuple[int, int, str]]
    total_lines: int
    gap: Gap | None


class Hunk(Answer):
    """Lines that differ as ``[sign, text]`` with some around them; ``at`` is ``@@ -1,3 +1,4 @@``."""

    at: str
    lines: list[tuple[str, str]]


class Against(Answer):
    """What a group is compared with."""

    g: str | None
    job: int
    folded: str
    count: int
    state: str
    exit: int | None


class GroupDiff(Answer):
    """How a group departs from another. ``coarse``: the time was over before the smallest difference was found;
    ``cut``: not all of it is told; ``part``: not all of the output is kept or compared."""

    g: str
    mode: str
    host: str
    against: Against
    same: bool
    added: int
    removed: int
    coarse: bool
    cut: bool
    part: bool
    hunks: list[Hunk]


class ReadingValue(Answer):
    """A value and how many hosts had it."""

    value: str
    count: int


class Reading(Answer):
    """A reading that varies; ``min``, ``median`` and ``max`` where it has an order."""

    line: str
    kind: str
    distinct: int
    values: list[ReadingValue]
    min: str | None
    median: str | None
    max: str | None


class Spread(Answer):
    """How the hosts of a group vary; ``read`` of its ``count`` hosts were read for it."""

    g: str
    mode: str
    count: int
    read: int
    variants: int
    fields: list[Reading]
