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


def _rank(column: InstrumentedAttribute[str], wanted: str) -> ColumnElement[int]:
    return case((column == wanted, 0), (column.istartswith(wanted, autoescape=True), 1), else_=2)
