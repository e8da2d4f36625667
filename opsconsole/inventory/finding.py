"""Finds hosts and groups by a part of their name, what fits best first: for search boxes, not for targets."""

from sqlalchemy import ColumnElement, case, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from opsconsole.inventory.models import Host, HostGroup
from opsconsole.inventory.service import like


def find_hosts(session: Session, q: str, *, limit: int) -> list[tuple[str, str | None]]:
    """Returns names and addresses of hosts with ``q`` in either: the one of that name, then those that begin so."""
    wanted = q.strip().lower()
    query = select(Host.name, Host.address).where(*like(q)).order_by(_rank(Host.key, wanted), Host.key).limit(limit)
    return [(name, address) for name, address in session.execute(query)]


def find_groups(session: Session, q: str, *, limit: int) -> list[str]:
    """Returns the names of groups with ``q`` in them, best first; an ``@`` before it may stand or not."""
    wanted = q.strip().removeprefix("@")
    query = select(HostGroup.name).where(HostGroup.name.icontains(wanted, autoescape=True))
    return list(session.scalars(query.order_by(_rank(HostGroup.name, wanted), HostGroup.name).limit(limit)))


def completions(session: Session, text: str, *, limit: int) -> list[tuple[str, str]]:
    """Returns what a name of a target expression that begins with ``text`` may become, with its kind: ``group`` and
    ``tag`` behind an ``@`` (``@dc:`` is followed by the tag's values), else ``host``."""
    wanted = text.strip()
    if not wanted.startswith("@"):
        hosts = select(Host.name).where(Host.key.startswith(wanted.lower(), autoescape=True)).order_by(Host.key)
        return [(name, "host") for name in session.scalars(hosts.limit(limit))] if wanted else []
    name = wanted.removeprefix("@")
    key, colon, value = name.partition(":")
    tags = _tags(session)
    if colon and key in tags:
        fitting = sorted(one for one in tags[key] if one.lower().startswith(value.lower()))
        return [(f"@{key}:{one}", "tag") for one in fitting[:limit]]
    keys = [(f"@{one}:", "tag") for one in sorted(tags) if one.lower().startswith(name.lower())]
    groups = [(f"@{one}", "group") for one in find_groups(session, name, limit=limit)]
    return (groups + keys)[:limit]


def _tags(session: Session) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for tags in session.scalars(select(Host.tags)):
        for key, value in (tags or {}).items():
            found.setdefault(key, set()).add(str(value))
    return found


def _rank(column: InstrumentedAttribute[str], wanted: str) -> ColumnElement[int]:
    return case((column == wanted, 0), (column.istartswith(wanted, autoescape=True), 1), else_=2)
