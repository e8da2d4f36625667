"""The demo fleet as data: which hosts there are, how they differ, and what lies in their folders."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from opsconsole.errors import Invalid
from opsconsole.launcher.folder import write_private
from opsconsole.settings import Settings

CREDENTIAL = "demo"
GROUP = "demo"
FIRST_COMMAND = "cat os-release"
SLOW_SECONDS = 3.0
_MOST = 1000
_PER_NETWORK = 250
_REGIONS = ("eu", "us", "ap")
_ROLES = ("web", "web", "db", "cache")
_OS_RELEASE = """\
NAME="Demo Linux"
VERSION="{version} ({name})"
VERSION_ID="{version}"
PRETTY_NAME="Demo Linux {version} ({name})"
"""


class Kind(StrEnum):
    """How a demo host behaves."""

    PLAIN = "plain"
    OTHER_OS = "another OS version"
    REFUSES = "refuses the key"
    DOWN = "is down"
    SLOW = "is slow"


_KINDS = {5: Kind.OTHER_OS, 11: Kind.REFUSES, 13: Kind.DOWN, 17: Kind.SLOW}


@dataclass(frozen=True, slots=True)
class DemoHost:
    """One demo host: its name, the loopback address it listens on, and how it behaves."""

    name: str
    address: str
    kind: Kind
    tags: dict[str, str]


def fleet(count: int) -> list[DemoHost]:
    """Returns ``count`` hosts ``demo01`` and on, each with an address of its own. Raises ``Invalid`` beyond 1,000."""
    if not 1 <= count <= _MOST:
        raise Invalid(f"A demo fleet has 1 to {_MOST} hosts.", code="demo")
    width = max(2, len(str(count)))
    return [_host(number, width) for number in range(1, count + 1)]


def unlike_the_rest(hosts: list[DemoHost]) -> str:
    """Returns one phrase that names the hosts that behave differently, or an empty string."""
    return ", ".join(_phrase(host) for host in hosts if host.kind is not Kind.PLAIN)


def folder(settings: Settings) -> Path:
    """Where keys and home folders of the demo hosts lie."""
    return settings.data_dir / "demo"


def key_file(settings: Settings) -> Path:
    """The private key that opens the demo hosts."""
    return folder(settings) / "id_ed25519"


def homes(settings: Settings) -> Path:
    """Where the home folders of the demo hosts lie. Confined hosts work on copies of them."""
    return folder(settings) / "hosts"


def home(settings: Settings, host: DemoHost) -> Path:
    """Makes and returns the folder in which a host's commands start."""
    path = homes(settings) / host.name
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    version, name = ("11", "amber") if host.kind is Kind.OTHER_OS else ("12", "birch")
    (path / "os-release").write_text(_OS_RELEASE.format(version=version, name=name))
    return path


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a running fleet says of itself: the process that serves it and the port all hosts share.

    ``unconfined`` says why commands run with all rights of who started it; empty where they run in a world apart.
    """

    pid: int
    port: int
    count: int
    unconfined: str = ""


def announce(settings: Settings, announcement: Announcement) -> None:
    """Tells the launcher that the fleet serves and is in the inventory."""
    write_private(settings.run_dir / "demo.json", json.dumps(asdict(announcement)))


def announced(settings: Settings) -> Announcement | None:
    """Returns what the fleet said last, or ``None``."""
    try:
        facts = json.loads((settings.run_dir / "demo.json").read_text())
        numbers = {name: int(facts[name]) for name in ("pid", "port", "count")}
        return Announcement(**numbers, unconfined=str(facts.get("unconfined", "")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _host(number: int, width: int) -> DemoHost:
    network, last = divmod(number - 1, _PER_NETWORK)
    tags = {
        "env": "demo",
        "region": _REGIONS[number % len(_REGIONS)],
        "role": _ROLES[number % len(_ROLES)],
    }
    kind = _KINDS.get(number, Kind.PLAIN)
    return DemoHost(f"demo{number:0{width}d}", f"127.0.{network + 1}.{last + 1}", kind, tags)


def _phrase(host: DemoHost) -> str:
    return f"{host.name} has {host.kind}" if host.kind is Kind.OTHER_OS else f"{host.name} {host.kind}"
