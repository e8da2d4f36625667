"""What a simulated host says to a command that it knows. Pure, but for the time of day."""

import json
import time
from functools import lru_cache

from opsconsole.executors.fake_host import FakeHost
from opsconsole.jobs.simulation import Said

_PACKAGES = 2000
_FLOOD_LINES = 20_000
_FLOOD_BATCH = 500
_OS = {
    "debian": ("Debian GNU/Linux", "12", "bookworm", "6.1.0-{}-amd64"),
    "ubuntu": ("Ubuntu", "22.04", "jammy", "5.15.0-{}-generic"),
    "rocky": ("Rocky Linux", "9.4", "Blue Onyx", "5.14.0-{}.el9.x86_64"),
}
_FIRST = ("lib", "python3-", "golang-", "perl-", "systemd-", "gir1.2-", "fonts-", "node-", "linux-", "ruby-")
_SECOND = ("ssl", "curl", "json", "http", "xml", "yaml", "crypt", "event", "async", "image", "audio", "net", "disk")
_THIRD = ("", "-dev", "-common", "-data", "-utils", "-doc", "-bin", "-core", "2", "3", "-tools", "-runtime", "-test")
_FAILURES = (
    "cannot write /var/lib/simulated/state: No space left on device\n",
    "cannot connect to 10.0.0.53:5432: Connection timed out\n",
    "permission denied: /etc/simulated.conf\n",
)


def of_kind(said: Said, host: FakeHost) -> str:
    """Returns what ``host`` says of a kind."""
    return {
        Said.UPTIME: uptime,
        Said.OS_RELEASE: os_release,
        Said.DF: df,
        Said.PACKAGES: packages,
        Said.APT_FAILURE: apt_failure,
        Said.JSON: as_json,
        Said.FLOOD: _numbered,
    }[said](host)


def uptime(host: FakeHost) -> str:
    """Returns what ``uptime`` prints: different on each host, alike in shape."""
    days, minutes = host.number("up", 1, 400), host.number("minutes", 0, 1439)
    users, load = host.number("users", 0, 3), host.number("load", 0, 400) / 100
    up = f"{days} day{'s' if days > 1 else ''}, {minutes // 60:2d}:{minutes % 60:02d}"
    loads = ", ".join(f"{load * part:.2f}" for part in (1.0, 0.9, 0.7))
    clock = time.strftime("%H:%M:%S", time.gmtime())
    return f" {clock} up {up},  {users} user{'' if users == 1 else 's'},  load average: {loads}\n"


def os_release(host: FakeHost) -> str:
    """Returns the file ``/etc/os-release``: one of three."""
    name, version, code, _ = _OS[host.os]
    pretty = f"{name} {version} ({code})"
    return (
        f'PRETTY_NAME="{pretty}"\nNAME="{name}"\nVERSION_ID="{version}"\nVERSION="{version} ({code})"\nID={host.os}\n'
    )


def kernel(host: FakeHost) -> str:
    """Returns the release of its kernel."""
    return _OS[host.os][3].format(18 + host.patch)


def uname(host: FakeHost, words: list[str]) -> str:
    """Returns what ``uname`` prints for its options."""
    options = "".join(words)
    if "a" in options:
        return f"Linux {host.name} {kernel(host)} #1 SMP x86_64 GNU/Linux\n"
    return {"-r": kernel(host), "-n": host.name, "-m": "x86_64"}.get(options, "Linux") + "\n"


def df(host: FakeHost) -> str:
    """Returns what ``df -h`` prints."""
    rows = [("Filesystem", "Size", "Used", "Avail", "Use%", "Mounted on")]
    for device, size, mount in (("/dev/vda1", 40, "/"), ("/dev/vdb1", 200, "/var"), ("tmpfs", 8, "/run")):
        used = host.number(f"df {mount}", 2, 99)
        taken = size * used / 100
        rows.append((device, f"{size}G", f"{taken:.1f}G", f"{size - taken:.1f}G", f"{used}%", mount))
    return "".join(f"{row[0]:<12}{row[1]:>6}{row[2]:>7}{row[3]:>7}{row[4]:>6} {row[5]}\n" for row in rows)


def free(host: FakeHost) -> str:
    """Returns what ``free -m`` prints."""
    total = 2 ** host.number("memory", 11, 15)
    used = total * host.number("memory used", 10, 90) // 100
    head = "               total        used        free\n"
    return f"{head}Mem:     {total:>11} {used:>11} {total - used:>11}\nSwap:    {0:>11} {0:>11} {0:>11}\n"


def packages(host: FakeHost) -> str:
    """Returns a list of 2,000 packages. All hosts of one system and patch level have the same."""
    return _packages(host.os, host.patch)


@lru_cache(maxsize=16)
def _packages(system: str, patch: int) -> str:
    lines = []
    for number in range(_PACKAGES):
        first, rest = _FIRST[number % len(_FIRST)], number // len(_FIRST)
        name = (
            f"{first}{_SECOND[rest % len(_SECOND)]}{_THIRD[rest // len(_SECOND) % len(_THIRD)]}{number // 1690 or ''}"
        )
        # A few packages are newer with each patch level.
        newer = patch if number % 331 == 0 else 0
        version = f"{number * 7 % 11}.{number * 13 % 17}.{number * 5 % 23 + newer}"
        lines.append(f"{name}-{version}.el9.x86_64" if system == "rocky" else f"ii  {name:<40} {version:<14} amd64")
    return "\n".join(sorted(lines)) + "\n"


def apt(host: FakeHost) -> str:
    """Returns what an ``apt-get`` that works prints."""
    count = host.number("upgrades", 0, 4)
    return (
        "Reading package lists... Done\nBuilding dependency tree... Done\nReading state information... Done\n"
        f"{count} upgraded, 0 newly installed, 0 to remove and {host.patch} not upgraded.\n"
    )


def apt_failure(host: FakeHost) -> str:
    """Returns what an ``apt-get`` that finds its lock taken prints."""
    holder = host.number("holder", 300, 32_000)
    return (
        f"E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process {holder} (unattended-upgr)\n"
        "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n"
    )


def failure(host: FakeHost, word: str) -> str:
    """Returns what a command ``word`` that fails says: one of three things."""
    return f"{word}: {_FAILURES[host.number('failure', 0, len(_FAILURES) - 1)]}"


def as_json(host: FakeHost) -> str:
    """Returns one line of JSON about the host."""
    facts = {
        "host": host.name,
        "os": host.os,
        "kernel": kernel(host),
        "uptime_s": host.number("up", 1, 400) * 86_400,
        "load": host.number("load", 0, 400) / 100,
        "disk_used_percent": host.number("df /", 2, 99),
    }
    return json.dumps(facts) + "\n"


def _numbered(host: FakeHost) -> str:
    return "".join(flood(host))


def flood(host: FakeHost) -> list[str]:
    """Returns 20,000 numbered lines, in pieces."""
    return [
        "".join(f"{number:06d} {host.name} one of many lines\n" for number in range(start, start + _FLOOD_BATCH))
        for start in range(1, _FLOOD_LINES + 1, _FLOOD_BATCH)
    ]
