"""The demo fleet as data."""

from pathlib import Path

import pytest

from opsconsole.errors import Invalid
from opsconsole.launcher import demo
from opsconsole.launcher.demo import Kind
from opsconsole.settings import Settings


def test_twenty_hosts_have_names_addresses_and_four_that_differ() -> None:
    hosts = demo.fleet(20)
    assert [host.name for host in hosts] == [f"demo{number:02d}" for number in range(1, 21)]
    assert len({host.address for host in hosts}) == 20
    assert hosts[0].address == "127.0.1.1"
    unlike = {host.name: host.kind for host in hosts if host.kind is not Kind.PLAIN}
    assert unlike == {
        "demo05": Kind.OTHER_OS, "demo11": Kind.REFUSES, "demo13": Kind.DOWN, "demo17": Kind.SLOW,
    }  # fmt: skip
    phrase = demo.unlike_the_rest(hosts)
    assert phrase == "demo05 has another OS version, demo11 refuses the key, demo13 is down, demo17 is slow"


def test_a_large_fleet_stays_within_loopback_and_pads_alike() -> None:
    hosts = demo.fleet(1000)
    assert len({host.address for host in hosts}) == 1000
    assert all(host.address.startswith("127.0.") and host.address.split(".")[3] != "0" for host in hosts)
    assert hosts[0].name == "demo0001"


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_other_sizes_are_refused(count: int) -> None:
    with pytest.raises(Invalid):
        demo.fleet(count)


def test_one_host_has_another_os_version_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    versions = {host.name: (demo.home(settings, host) / "os-release").read_text() for host in demo.fleet(6)}
    assert len(set(versions.values())) == 2
    assert 'VERSION_ID="11"' in versions["demo05"]
