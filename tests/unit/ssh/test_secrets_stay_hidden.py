"""What the package holds for a login shows no secret in a text."""

from pathlib import Path

from opsconsole.jobs.ports import Auth, PrivateKey, Secret, Target
from opsconsole.ssh import ParamikoConnector
from opsconsole.ssh.keys import KeyRing
from tests.support.sshd import make_key


def test_a_password_is_in_no_representation(tmp_path: Path) -> None:
    auth = Auth("typed password", password=Secret("hunter2"))
    ring = KeyRing(tmp_path)
    proofs = ring.proofs(auth)
    connector = ParamikoConnector(allow_loopback=True, home=tmp_path)
    key = connector._identity(Target("web", "10.0.0.1", 22, "ops"), auth, proofs)
    assert "hunter2" not in f"{auth!r}{proofs!r}{proofs}{key!r}{vars(connector)!r}"
    assert proofs.proofs[0].password == Secret("hunter2")


def test_nor_is_a_key_or_a_passphrase_or_an_answer(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    pem = (tmp_path / "key").read_text()
    auth = Auth("x", private_keys=(PrivateKey("x", Secret(pem), Secret("hunter2")),), answers=(Secret("hunter3"),))
    key = Auth("x", private_keys=auth.private_keys)
    answers = Auth("x", answers=auth.answers)
    ring = KeyRing(tmp_path)
    shown = f"{auth!r}{ring.proofs(key)!r}{ring.proofs(answers)!r}{vars(ring)!r}"
    assert not [secret for secret in ("hunter", *pem.splitlines()) if secret in shown]
    assert {secret.reveal() for secret in auth.secrets} == {"hunter2", "hunter3", pem}


def test_equal_passwords_of_two_connectors_have_unequal_keys(tmp_path: Path) -> None:
    auth = Auth("typed password", password=Secret("hunter2"))
    target = Target("web", "10.0.0.1", 22, "ops")
    keys = set()
    for _ in range(2):
        connector = ParamikoConnector(allow_loopback=True, home=tmp_path)
        keys.add(connector._identity(target, auth, KeyRing(tmp_path).proofs(auth)))
    assert len(keys) == 2
