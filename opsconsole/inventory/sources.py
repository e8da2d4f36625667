"""Sources that hosts are fetched from."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.inventory.models import InventorySource


def names(session: Session) -> dict[int, str]:
    """Returns the names of all sources by number."""
    return {row.id: row.name for row in session.execute(select(InventorySource.id, InventorySource.name))}
