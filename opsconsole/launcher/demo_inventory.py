"""The demo fleet in the inventory: entered when it serves, taken out when a console starts without it.

Jobs keep the names of their hosts, so the history stays as it is.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from opsconsole.inventory import groups, hostkeys, service
from opsconsole.inventory.known_hosts import KnownKey
from opsconsole.inventory.models import Host, HostGroup, HostKey, KeyStatus
from opsconsole.launcher import demo
from opsconsole.launcher.demo import DemoHost


def enter(
    session: Session, hosts: Collection[DemoHost], port: int, user: str, keys: Mapping[str, KnownKey], now: datetime
) -> None:
    """Puts ``hosts`` and their group into the inventory, their host ``keys`` (by name) trusted, and no former ones."""
    _remove(session, keep={host.name.lower() for host in hosts})
    for host in hosts:
        service.upsert_host(
            session,
            host.name,
            address=host.address,
            port=port,
            user=user,
            credential=demo.CREDENTIAL,
            tags=host.tags,
            now=now,
        )
        hostkeys.remember(session, host.address, port, keys[host.name], source=hostkeys.Source.DEMO, now=now)
    groups.set_group(session, demo.GROUP, [host.name for host in hosts])


def leave(session: Session) -> None:
    """Takes all demo hosts out of the inventory, their host keys and their group too unless others have joined it."""
    _remove(session, keep=())
    group = session.scalars(select(HostGroup).where(HostGroup.name == demo.GROUP)).one_or_none()
    if group is not None and not group.members:
        session.delete(group)
        session.flush()


def _remove(session: Session, keep: Collection[str]) -> None:
    # Only the fleet has hosts that its own key opens.
    mine = session.scalars(select(Host).where(Host.credential == demo.CREDENTIAL))
    for host in [host for host in mine if host.key not in keep]:
        session.delete(host)
    session.flush()
    # Another server may listen there one day, and must not be taken for a host whose key has changed.
    trusted = (HostKey.source == hostkeys.Source.DEMO, HostKey.status == KeyStatus.TRUSTED)
    session.execute(delete(HostKey).where(*trusted))
