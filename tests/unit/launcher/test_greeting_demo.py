"""What is said where the demo hosts could not be kept apart from the machine."""

import os
from pathlib import Path

import pytest

from opsconsole.errors import Unavailable
from opsconsole.launcher import confinement, demo, greeting
from opsconsole.launcher.demo import Announcement
from opsconsole.settings import Settings


@pytest.mark.parametrize(("why", "warned"), [("", False), ("as --demo-unconfined asks", True)])
def test_the_greeting_warns_of_hosts_that_are_the_machine(tmp_path: Path, why: str, warned: bool) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.run_dir.mkdir()
    demo.announce(settings, Announcement(pid=1, port=2222, count=3, unconfined=why))
    said = "\n".join(greeting.try_lines(settings, 3, 0))
    assert ("ARE this machine" in said) is warned
    assert why in said


def test_root_gets_no_demo_without_a_world_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Unavailable, match="--demo-unconfined"):
        confinement.confine(settings, demo.fleet(1))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    world, why = confinement.confine(settings, demo.fleet(1))
    assert world is None
    assert "no unshare" in why
