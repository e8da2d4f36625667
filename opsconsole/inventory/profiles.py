"""Which algorithms are spoken with a host: its own word, else its nearest group's, else the modern ones."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.inventory.inherited import inherited
from opsconsole.inventory.models import Host
from opsconsole.inventory.profile import Profile
from opsconsole.inventory.service import in_parts


def profiles_of(session: Session, names: Collection[str]) -> dict[str, Profile]:
    """Returns the profiles of those hosts for which the inventory says one, by their lower-case name.

    Asked at every claim: two queries by key for those that are in the inventory.
    """
    keys = list({name.lower() for name in names})
    found: dict[str, Profile] = {}
    for part in in_parts(keys):
        rows = session.execute(select(Host.id, Host.key, Host.profile).where(Host.key.in_(part))).all()
        groups = inherited(session, [row.id for row in rows if row.profile is None], "profile")
        for host_id, key, profile in rows:
            said = profile or (groups[host_id].value if host_id in groups else None)
            if said is not None:
                found[key] = Profile(said)
    return found
