"""What the package holds for a login shows no secret in a text."""

from pathlib import Path

from opsconsole.jobs.ports import Auth, Secret, Target
from opsconsole.ssh import ParamikoConnector
from opsconsole.ssh.keys import KeyRing


def test_a_password_is_in_no_representation(tmp_path: Path) -> None:
    auth = Auth("typed password", password=Secret("hunter2"))
    ring = KeyRing(tmp_path)
    proofs = ring.proofs(auth)
    connector = ParamikoConnector(allow_loopback=True, home=tmp_path)
    key = connector._pool_key(Target("web", "10.0.0.1", 22, "ops"), auth, proofs)
    assert "hunter2" not in f"{auth!r}{proofs!r}{proofs}{key!r}{vars(connector)!r}"
    assert proofs.proofs[0].password == Secret("hunter2")


def test_equal_passwords_of_two_connectors_have_unequal_keys(tmp_path: Path) -> None:
    auth = Auth("typed password", password=Secret("hunter2"))
    target = Target("web", "10.0.0.1", 22, "ops")
    keys = set()
    for _ in range(2):
        connector = ParamikoConnector(allow_loopback=True, home=tmp_path)
        keys.add(connector._pool_key(target, auth, KeyRing(tmp_path).proofs(auth)))
    assert len(keys) == 2
