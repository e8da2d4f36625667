"""What hosts get from their groups: the value of the nearest group that says anything.

A group that a host is in itself is nearer than the groups which that one is in. Of equally near ones the first by name
counts, so that the answer does not depend on the order in which groups were made.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.inventory.models import GroupLink, GroupMember, HostGroup
from opsconsole.inventory.service import in_parts

GroupField = Literal["credential", "jump", "profile", "host_key_policy"]


@dataclass(frozen=True, slots=True)
class Inherited:
    """A value and the name of the group it comes from."""

    value: str
    group: str


def inherited(session: Session, host_ids: Sequence[int], field: GroupField) -> dict[int, Inherited]:
    """Returns what the nearest group says of ``field``, by the host's number; hosts whose groups say nothing are
    left out. One query when no group says anything."""
    saying = {
        row.id: Inherited(row.value, row.name)
        for row in session.execute(
            select(HostGroup.id, HostGroup.name, getattr(HostGroup, field).label("value")).where(
                getattr(HostGroup, field).is_not(None)
            )
        )
    }
    if not saying:
        return {}
    parents: dict[int, list[int]] = defaultdict(list)
    for parent, child in session.execute(select(GroupLink.parent_id, GroupLink.child_id)):
        parents[child].append(parent)
    own: dict[int, list[int]] = defaultdict(list)
    for part in in_parts(host_ids):
        members = select(GroupMember.host_id, GroupMember.group_id).where(GroupMember.host_id.in_(part))
        for host_id, group_id in session.execute(members):
            own[host_id].append(group_id)
    # Most hosts share their groups with many others.
    answers: dict[frozenset[int], Inherited | None] = {}
    found: dict[int, Inherited] = {}
    for host_id, groups in own.items():
        key = frozenset(groups)
        if key not in answers:
            answers[key] = nearest(key, parents, saying)
        answer = answers[key]
        if answer is not None:
            found[host_id] = answer
    return found


def nearest(
    start: Iterable[int], parents: Mapping[int, Sequence[int]], saying: Mapping[int, Inherited]
) -> Inherited | None:
    """Returns what the nearest of the groups from ``start`` upwards says, ``None`` when none says anything."""
    level, seen = set(start), set()
    while level:
        answers = [saying[group] for group in level if group in saying]
        if answers:
            return min(answers, key=lambda answer: answer.group)
        seen |= level
        level = {parent for group in level for parent in parents.get(group, ())} - seen
    return None
