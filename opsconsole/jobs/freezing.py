"""Hosts that were frozen between the launch of a job and the start on them."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from opsconsole.hostset import parse_host
from opsconsole.inventory.service import frozen_hosts


def frozen_since(session: Session, runs: Mapping[int, str]) -> dict[int, str]:
    """Returns what is told of those ``runs`` (id to host) whose hosts are frozen now: they were not at the launch."""
    names = {run_id: parse_host(host).name for run_id, host in runs.items()}
    frozen = frozen_hosts(session, names.values())
    return {run_id: _told(frozen[name.lower()]) for run_id, name in names.items() if name.lower() in frozen}


def _told(reason: str | None) -> str:
    return "Not started: the host was frozen after the job was launched" + (f" ({reason})." if reason else ".")
