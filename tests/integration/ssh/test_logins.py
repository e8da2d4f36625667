"""Every way to log in, against a real OpenSSH server: keys, certificates, the agent, passwords and prompts."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.jobs.ports import Auth, Exited, PrivateKey, Secret
from opsconsole.jobs.states import Reason
from opsconsole.ssh import ParamikoConnector
from tests.support.accounts import accounts, change_password
from tests.support.requirements import not_run
from tests.support.runs import connect, refused, run
from tests.support.ssh_agent import Agent
from tests.support.sshd import Sshd, make_key, running_sshd, sign_user_key

_KINDS = ("ed25519", "ecdsa", "rsa")
_PASSWORD = "correct hörse battery"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key of each kind, an authority, and certificates by it for the test's own user."""
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder / "authority")
    for kind in _KINDS:
        make_key(folder / kind, kind)
    return folder


@pytest.fixture(scope="module")
def server(keys: Path) -> Iterator[Sshd]:
    """A server that takes the keys, and whatever the authority has signed."""
    options = {"TrustedUserCAKeys": str((keys / "authority.pub").absolute())}
    with running_sshd(options=options) as started:
        started.authorized_keys.write_text("".join((keys / f"{kind}.pub").read_text() for kind in _KINDS))
        yield started


@pytest.fixture(scope="module")
def login() -> Iterator[str]:
    """An account with a password."""
    if os.geteuid() != 0:
        not_run("root, to make accounts", "run the tests as root")
    with accounts(("dash",)) as names:
        name = next(name for name in names if "-user-" in name)
        change_password(name, _PASSWORD)
        yield name


@pytest.fixture(scope="module")
def asking() -> Iterator[Sshd]:
    """A server that asks by prompts alone, as PAM has it."""
    options = {
        "UsePAM": "yes",
        "KbdInteractiveAuthentication": "yes",
        "AuthenticationMethods": "keyboard-interactive",
    }
    with running_sshd(options=options) as started:
        yield started


class TestKeys:
    @pytest.mark.parametrize("kind", _KINDS)
    @pytest.mark.parametrize("form", ["RFC4716", "PKCS8", "PEM"])
    def test_a_key_with_a_passphrase(
        self, connector: ParamikoConnector, server: Sshd, keys: Path, tmp_path: Path, kind: str, form: str
    ) -> None:
        path = tmp_path / "key"
        path.touch(mode=0o600)
        path.write_bytes((keys / kind).read_bytes())
        words = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-a", "1", "-m", form, "-f", str(path)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        key = PrivateKey("ops", Secret(path.read_text()), Secret("open sesame"))
        connect(connector, server.target(), Auth("ops", private_keys=(key,))).close(keep=False)
        closed = refused(connector, server.target(), Auth("ops", private_keys=(PrivateKey("ops", key.pem),)))
        assert closed.reason is Reason.CREDENTIAL
        assert "The key ops is protected by a passphrase" in closed.detail

    def test_the_answer_to_what_is_wrong_with_a_key_names_it_and_no_secret(
        self, connector: ParamikoConnector, server: Sshd
    ) -> None:
        key = PrivateKey("ops", Secret("canary text"), Secret("canary phrase"))
        answer = refused(connector, server.target(), Auth("credential ops", private_keys=(key,)))
        assert answer.detail == (
            "credential ops: no usable key. The key ops is not a private key in a format that can be read."
        )
        assert "canary" not in repr(key)


class TestCertificates:
    @pytest.mark.parametrize("kind", _KINDS)
    def test_a_certificate_with_its_key(
        self, connector: ParamikoConnector, server: Sshd, tmp_path: Path, keys: Path, kind: str
    ) -> None:
        auth = _certified(keys, tmp_path, kind, principals=server.user)
        assert run(connector, server.target(), auth, "exit 3").end == Exited(3)
        assert f"Accepted publickey for {server.user}" in server.log_text()
        assert f"{kind.upper()}-CERT" in server.log_text()

    @pytest.mark.parametrize(("principals", "validity"), [("somebody", "always:forever"), (None, "20390101:20390102")])
    def test_one_that_is_not_for_us_or_not_valid_yet(
        self,
        connector: ParamikoConnector,
        server: Sshd,
        tmp_path: Path,
        keys: Path,
        principals: str | None,
        validity: str,
    ) -> None:
        auth = _certified(keys, tmp_path, "ed25519", principals=principals or server.user, validity=validity)
        answer = refused(connector, server.target(), auth)
        assert (answer.reason, answer.retryable) == (Reason.AUTH, False)
        assert "was refused (publickey)" in answer.detail

    def test_one_that_has_expired_is_not_even_shown(
        self, connector: ParamikoConnector, server: Sshd, tmp_path: Path, keys: Path
    ) -> None:
        auth = _certified(keys, tmp_path, "ed25519", principals=server.user, validity="20200101Z:20200102Z")
        words = "has a certificate that expired on 2020-01-02 00:00 UTC"
        assert words in refused(connector, server.target(), auth).detail
        line = auth.private_keys[0].certificate or ""
        assert words in refused(connector, server.target(), Auth("x", certificates=(line,))).detail

    def test_the_certificate_beside_a_key_file_comes_first(
        self, connector: ParamikoConnector, server: Sshd, tmp_path: Path, keys: Path
    ) -> None:
        _certified(keys, tmp_path, "ed25519", principals=server.user)
        connect(connector, server.target(), Auth("file", key_files=(str(tmp_path / "new"),))).close(keep=False)
        # Without it the key itself is known to nobody.
        (tmp_path / "new-cert.pub").unlink()
        assert (
            refused(connector, server.target(), Auth("file", key_files=(str(tmp_path / "new"),))).reason is Reason.AUTH
        )

    @pytest.mark.parametrize("kind", _KINDS)
    def test_the_agent_holds_the_certificate(
        self,
        connector: ParamikoConnector,
        server: Sshd,
        tmp_path: Path,
        keys: Path,
        agent: Agent,
        kind: str,
    ) -> None:
        _certified(keys, tmp_path, kind, principals=server.user)
        empty = refused(connector, server.target(), Auth("agent", agent=True))
        assert "no ssh-agent, or it holds no key" in empty.detail
        agent.add(tmp_path / "new")
        fresh = ParamikoConnector(allow_loopback=True, home=tmp_path)
        assert run(fresh, server.target(), Auth("agent", agent=True), "exit 3").end == Exited(3)
        fresh.close()

    @pytest.mark.parametrize("kind", _KINDS)
    def test_the_agent_holds_the_key_and_we_the_certificate(
        self,
        connector: ParamikoConnector,
        server: Sshd,
        tmp_path: Path,
        keys: Path,
        agent: Agent,
        kind: str,
    ) -> None:
        auth = _certified(keys, tmp_path, kind, principals=server.user)
        line = auth.private_keys[0].certificate
        assert line is not None
        (tmp_path / "new-cert.pub").unlink()
        alone = Auth("certificate", certificates=(line,))
        empty = refused(connector, server.target(), alone)
        assert empty.reason is Reason.CREDENTIAL
        assert "The ssh-agent holds no key for the certificate" in empty.detail
        agent.add(tmp_path / "new")
        fresh = ParamikoConnector(allow_loopback=True, home=tmp_path)
        assert run(fresh, server.target(), alone, "exit 3").end == Exited(3)
        fresh.close()


class TestPasswords:
    def test_a_password(self, connector: ParamikoConnector, login: str) -> None:
        with running_sshd(options={"PasswordAuthentication": "yes"}) as server:
            target = server.target(user=login)
            assert run(connector, target, Auth("typed", password=Secret(_PASSWORD)), "exit 3").end == Exited(3)
            answer = refused(connector, target, Auth("typed", password=Secret("canary wrong")))
            assert answer.detail == "typed was refused (password). The server offers: publickey, password."
            assert server.log_text().count("Failed password") == 1

    def test_prompts_are_answered_once(self, connector: ParamikoConnector, login: str, asking: Sshd) -> None:
        target = asking.target(user=login)
        for auth in (Auth("typed", password=Secret(_PASSWORD)), Auth("answers", answers=(Secret(_PASSWORD),))):
            assert run(connector, target, auth, "exit 3").end == Exited(3)
        answer = refused(connector, target, Auth("answers", answers=(Secret("canary wrong"),)))
        assert (answer.reason, answer.retryable) == (Reason.AUTH, False)
        assert "canary" not in answer.detail
        assert asking.log_text().count("Failed keyboard-interactive/pam") <= 1

    def test_a_password_that_has_expired_is_told_and_not_changed(
        self, connector: ParamikoConnector, login: str, asking: Sshd
    ) -> None:
        subprocess.run(["chage", "--lastday", "0", login], check=True, capture_output=True)
        try:
            answer = refused(connector, asking.target(user=login), Auth("answers", answers=(Secret(_PASSWORD),)))
        finally:
            subprocess.run(["chage", "--lastday", "2025-01-01", login], check=True, capture_output=True)
        assert answer.reason is Reason.AUTH
        assert "the server demands a new password" in answer.detail


def _certified(keys: Path, folder: Path, kind: str, *, principals: str, validity: str = "always:forever") -> Auth:
    """Returns a login with a new key that the server knows by the authority's certificate alone."""
    make_key(folder / "new", kind)
    line = sign_user_key(keys / "authority", folder / "new", principals=principals, validity=validity)
    key = PrivateKey("new", Secret((folder / "new").read_text()), certificate=line)
    return Auth("certificate", private_keys=(key,))
