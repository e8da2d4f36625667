"""Getting in: host keys, logins, forbidden networks, and what a failure is called."""

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)

from opsconsole.jobs.ports import Auth, Exited, HostKeyPolicy, KnownKey, Secret
from opsconsole.jobs.states import Reason
from opsconsole.ssh import ParamikoConnector
from tests.support.odd_ssh import PASSWORD, OddServer
from tests.support.runs import connect, refused, run
from tests.support.ssh_agent import Agent
from tests.support.sshd import Sshd, free_port, make_key, running_sshd

_FORMATS = (PrivateFormat.OpenSSH, PrivateFormat.PKCS8)


def test_logs_in_and_tells_the_facts(connector: ParamikoConnector, sshd: Sshd) -> None:
    session = connect(connector, sshd.target("127.0.0.7"), sshd.auth())
    session.close(keep=False)
    assert session.facts.address == "127.0.0.7"
    assert session.facts.host_key == sshd.known_key("ed25519")
    assert not session.facts.host_key_new
    assert not session.facts.reused
    assert 0 < session.facts.connect_ms < 10_000


class TestHostKeys:
    def test_an_unknown_key_is_refused_with_its_fingerprint(self, connector: ParamikoConnector, sshd: Sshd) -> None:
        answer = refused(connector, sshd.target(known_keys=()), sshd.auth())
        assert answer.reason is Reason.HOST_KEY_UNKNOWN
        assert answer.offered == sshd.known_key("ed25519")
        assert "SHA256:" in answer.detail

    def test_accept_new_takes_the_first_key_and_says_so(self, connector: ParamikoConnector, sshd: Sshd) -> None:
        target = sshd.target(known_keys=(), host_key_policy=HostKeyPolicy.ACCEPT_NEW)
        session = connect(connector, target, sshd.auth())
        session.close(keep=False)
        assert session.facts.host_key_new

    @pytest.mark.parametrize("policy", list(HostKeyPolicy))
    def test_a_changed_key_is_refused_before_any_login(
        self, connector: ParamikoConnector, policy: HostKeyPolicy
    ) -> None:
        with running_sshd() as server:
            before = server.target(host_key_policy=policy)
            server.change_host_keys()
            log_before = len(server.log_text())
            answer = refused(connector, before, server.auth())
            assert answer.reason is Reason.HOST_KEY_CHANGED
            assert answer.offered == server.known_key()
            assert not answer.retryable
            # Not even a user name was sent.
            assert server.user not in server.log_text()[log_before:]

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_the_known_kind_of_key_is_asked_for(self, connector: ParamikoConnector, sshd: Sshd, kind: str) -> None:
        session = connect(connector, sshd.target(known_keys=(sshd.known_key(kind),)), sshd.auth())
        session.close(keep=False)
        assert session.facts.host_key == sshd.known_key(kind)

    def test_another_kind_than_the_known_one_is_a_change(
        self, connector: ParamikoConnector, sshd: Sshd, tmp_path: Path
    ) -> None:
        with running_sshd(host_key_types=("rsa",)) as server:
            target = server.target(known_keys=(sshd.known_key("ed25519"),), host_key_policy=HostKeyPolicy.ACCEPT_NEW)
            assert refused(connector, target, server.auth()).reason is Reason.HOST_KEY_CHANGED


class TestKeys:
    @pytest.mark.parametrize(
        ("kind", "form"),
        [
            *((kind, form) for kind in ("ed25519", "ecdsa", "rsa") for form in _FORMATS),
            *((kind, PrivateFormat.TraditionalOpenSSL) for kind in ("ecdsa", "rsa")),
        ],
    )
    def test_every_usual_key_file_logs_in(
        self, connector: ParamikoConnector, sshd: Sshd, tmp_path: Path, kind: str, form: PrivateFormat
    ) -> None:
        path = tmp_path / "key"
        line = make_key(path, kind)
        key = load_ssh_private_key(path.read_bytes(), None)
        path.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
        with running_sshd() as server:
            server.authorized_keys.write_text(line + "\n")
            connect(connector, server.target(), Auth("file", key_files=(str(path),))).close(keep=False)

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lambda path: path.unlink(), "does not exist"),
            (lambda path: path.write_text("hello"), "is not a private key"),
            (lambda path: path.write_text(""), "is not a private key"),
            (lambda path: _protect(path, PrivateFormat.OpenSSH), "passphrase"),
            (lambda path: _protect(path, PrivateFormat.PKCS8), "passphrase"),
        ],
        ids=["missing", "text", "empty", "openssh passphrase", "pkcs8 passphrase"],
    )
    def test_a_useless_key_file_is_named_and_nobody_is_called(
        self, connector: ParamikoConnector, sshd: Sshd, tmp_path: Path, spoil: Callable[[Path], None], words: str
    ) -> None:
        path = tmp_path / "key"
        make_key(path)
        spoil(path)
        target = replace(sshd.target(), port=free_port())
        answer = refused(connector, target, Auth("the key of ops", key_files=(str(path),)))
        assert answer.reason is Reason.CREDENTIAL
        assert answer.detail.startswith("the key of ops")
        assert str(path) in answer.detail
        assert words in answer.detail

    def test_a_changed_key_file_is_read_again(self, connector: ParamikoConnector, sshd: Sshd, tmp_path: Path) -> None:
        path = tmp_path / "key"
        make_key(path)
        auth = Auth("file", key_files=(str(path),))
        assert refused(connector, sshd.target(), auth).reason is Reason.AUTH
        path.write_bytes(sshd.client_key.read_bytes())
        os.utime(path, ns=(1, 1))
        connect(connector, sshd.target(), auth).close(keep=False)

    def test_default_keys_are_used_only_when_ambient(
        self, connector: ParamikoConnector, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        folder = tmp_path / ".ssh"
        folder.mkdir()
        (folder / "id_ed25519").write_bytes(sshd.client_key.read_bytes())
        make_key(folder / "id_rsa", "rsa")
        _protect(folder / "id_rsa", PrivateFormat.OpenSSH)
        connect(connector, sshd.target(), Auth("your keys", ambient=True)).close(keep=False)
        (folder / "id_ed25519").unlink()
        answer = refused(connector, sshd.target(), Auth("your keys", ambient=True))
        assert answer.reason is Reason.CREDENTIAL
        assert "id_rsa is protected by a passphrase" in answer.detail
        assert refused(connector, sshd.target(), Auth("nothing")).reason is Reason.CREDENTIAL

    # paramiko drops the socket with which it met a dead agent; it is freed at once, though not closed by name.
    @pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
    def test_the_agent_signs(self, connector: ParamikoConnector, sshd: Sshd, agent: Agent, tmp_path: Path) -> None:
        for name in ("one", "two"):
            make_key(tmp_path / name)
            agent.add(tmp_path / name)
        agent.add(sshd.client_key)
        connect(connector, sshd.target(), Auth("your keys", ambient=True)).close(keep=False)
        agent.stop()
        fresh = ParamikoConnector(allow_loopback=True, home=tmp_path)
        assert refused(fresh, sshd.target(), Auth("your keys", ambient=True)).reason is Reason.CREDENTIAL
        # The first connector still remembers the keys for a moment; they cannot sign any more.
        answer = refused(connector, sshd.target("127.0.0.2"), Auth("your keys", ambient=True))
        assert answer.reason in {Reason.AUTH, Reason.CREDENTIAL}


class TestLogin:
    def test_a_refusal_names_the_credential_and_what_the_server_offers(
        self, connector: ParamikoConnector, odd: OddServer
    ) -> None:
        answer = refused(connector, odd.target("no-keys"), odd.key_auth())
        assert answer.reason is Reason.AUTH
        assert answer.detail == "odd key was refused (publickey). The server offers: publickey, password."
        assert not answer.retryable

    def test_a_password_logs_in(self, connector: ParamikoConnector, odd: OddServer) -> None:
        assert run(connector, odd.target(), odd.password_auth(), "true").end == Exited(0)

    def test_a_wrong_password_is_refused_once_and_never_shown(
        self, connector: ParamikoConnector, odd: OddServer
    ) -> None:
        odd.passwords.clear()
        answer = refused(connector, odd.target(), odd.password_auth("hunter2"))
        assert answer.detail == "typed password was refused (password). The server offers: publickey, password."
        assert odd.passwords == ["hunter2"]

    def test_a_password_answers_a_prompt(self, connector: ParamikoConnector, odd: OddServer) -> None:
        assert run(connector, odd.target("kbdint-only"), odd.password_auth(), "true").end == Exited(0)
        answer = refused(connector, odd.target("kbdint-only"), odd.password_auth("hunter2"))
        assert answer.reason is Reason.AUTH
        assert "keyboard-interactive" in answer.detail

    def test_a_server_that_asks_too_much(self, connector: ParamikoConnector, odd: OddServer) -> None:
        assert refused(connector, odd.target("many-prompts"), odd.password_auth()).reason is Reason.AUTH

    def test_a_server_that_asks_again_is_not_answered_again(self, connector: ParamikoConnector, odd: OddServer) -> None:
        odd.passwords.clear()
        answer = refused(connector, odd.target("asks-for-ever"), odd.password_auth())
        assert answer.reason is Reason.AUTH
        assert "asks for more than there are answers, or once again" in answer.detail
        assert odd.passwords == [PASSWORD]
        two = Auth("two answers", answers=(Secret("first"), Secret("second")))
        odd.passwords.clear()
        assert "each is given once" in refused(connector, odd.target("asks-for-ever"), two).detail
        assert odd.passwords == ["first", "second"]

    def test_a_password_that_has_expired_is_told(self, connector: ParamikoConnector, odd: OddServer) -> None:
        answer = refused(connector, odd.target("password-expired"), odd.password_auth())
        assert (answer.reason, answer.retryable) == (Reason.AUTH, False)
        assert answer.detail == (
            "typed password has expired: the server demands a new password, which has to be set on the host."
        )

    def test_a_method_that_is_not_offered(self, connector: ParamikoConnector, odd: OddServer) -> None:
        answer = refused(connector, odd.target("password-only"), odd.key_auth())
        assert answer.detail == "odd key was refused (publickey). The server offers: password."
        answer = refused(connector, odd.target("keys-only"), odd.password_auth())
        assert answer.detail == "typed password was refused (password). The server offers: publickey."

    def test_many_keys_against_few_attempts(self, connector: ParamikoConnector, tmp_path: Path, sshd: Sshd) -> None:
        paths = [tmp_path / f"key{number}" for number in range(8)]
        for path in paths:
            make_key(path)
        answer = refused(connector, sshd.target(), Auth("eight keys", key_files=tuple(map(str, paths))))
        assert answer.reason is Reason.AUTH
        assert "after 6 attempts" in answer.detail

    def test_the_login_never_answered(self, connector: ParamikoConnector, odd: OddServer) -> None:
        answer = refused(connector, odd.target("auth-never-answers"), odd.key_auth(), seconds=0.7)
        assert answer.reason is Reason.AUTH
        assert "0.7 s" in answer.detail

    def test_dropped_during_the_login(self, connector: ParamikoConnector, odd: OddServer) -> None:
        answer = refused(connector, odd.target("drop-at-auth"), odd.key_auth())
        assert answer.reason is Reason.AUTH
        assert "the connection ended during the login" in answer.detail

    def test_more_factors_than_we_have(self, connector: ParamikoConnector) -> None:
        with running_sshd(options={"AuthenticationMethods": "publickey,publickey"}) as server:
            answer = refused(connector, server.target(), server.auth())
            assert answer.reason is Reason.AUTH
            assert answer.detail == "test key was accepted, but the server asks for more: publickey."


class TestAddresses:
    @pytest.mark.parametrize(
        "address", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "::1", "::ffff:127.0.0.1", "[::1]"]
    )
    def test_loopback_is_denied_however_it_is_written(self, sshd: Sshd, tmp_path: Path, address: str) -> None:
        connector = ParamikoConnector(allow_loopback=False, home=tmp_path)
        answer = refused(connector, sshd.target(address), sshd.auth())
        assert answer.reason is Reason.DENIED_NETWORK

    @pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "0", "224.0.0.1", "fe80::1", "fd00:ec2::254"])
    def test_some_addresses_are_always_denied(self, connector: ParamikoConnector, sshd: Sshd, address: str) -> None:
        assert refused(connector, sshd.target(address), sshd.auth()).reason is Reason.DENIED_NETWORK

    def test_only_allowed_networks(self, sshd: Sshd, tmp_path: Path) -> None:
        connector = ParamikoConnector(allow_loopback=True, allowed_networks=["127.0.3.0/24"], home=tmp_path)
        assert refused(connector, sshd.target("127.0.2.1"), sshd.auth()).reason is Reason.DENIED_NETWORK
        connect(connector, sshd.target("127.0.3.1"), sshd.auth()).close(keep=False)

    def test_the_address_that_was_checked_is_dialled(
        self, connector: ParamikoConnector, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def resolve(host: str, port: int, **_: object) -> list[object]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.9", port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        session = connect(connector, sshd.target("web-01.example"), sshd.auth())
        session.close(keep=False)
        assert session.facts.address == "127.0.0.9"
        assert asked == ["web-01.example"]

    def test_a_second_address_is_tried(
        self, connector: ParamikoConnector, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        places = [("::1", 0, 0), ("127.0.0.9",)]
        infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place[0], sshd.port, *place[1:])) for place in places]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
        connect(connector, sshd.target("web-01.example"), sshd.auth()).close(keep=False)

    def test_nothing_listens(self, connector: ParamikoConnector, sshd: Sshd) -> None:
        answer = refused(connector, replace(sshd.target(), port=free_port()), sshd.auth())
        assert answer.reason is Reason.REFUSED
        assert "nothing listens" in answer.detail

    def test_an_unknown_name(self, connector: ParamikoConnector, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: object, **__: object) -> object:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        answer = refused(connector, sshd.target("nowhere.invalid"), sshd.auth())
        assert (answer.reason, answer.retryable) == (Reason.DNS, False)

    def test_a_resolver_that_hangs(
        self, connector: ParamikoConnector, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        release = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(20) and [])
        answer = refused(connector, sshd.target("slow.example"), sshd.auth(), seconds=0.3)
        release.set()
        assert answer.reason is Reason.DNS
        assert "0.3 s" in answer.detail


@pytest.mark.parametrize("fault", ["auth", "host key"])
def test_two_hundred_failures_leave_no_thread_and_no_descriptor(
    connector: ParamikoConnector, odd: OddServer, fault: str
) -> None:
    wrong_key = KnownKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    target = odd.target("no-keys") if fault == "auth" else replace(odd.target(), known_keys=(wrong_key,))
    reason = Reason.AUTH if fault == "auth" else Reason.HOST_KEY_CHANGED
    refused(connector, target, odd.key_auth())
    mine = [thread for thread in threading.enumerate() if type(thread).__name__ == "ClientTransport"]
    assert _await(lambda: not [thread for thread in mine if thread.is_alive()])
    before = psutil.Process().num_fds()
    for _ in range(200):
        assert refused(connector, target, odd.key_auth()).reason is reason
    assert _await(
        lambda: not [thread for thread in threading.enumerate() if type(thread).__name__ == "ClientTransport"]
    )
    # The server's side of the connections lives in this process too and goes a moment later.
    assert _await(lambda: psutil.Process().num_fds() <= before + 2)


def _protect(path: Path, form: PrivateFormat) -> None:
    key = load_ssh_private_key(path.read_bytes(), None)
    path.write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(PASSWORD.encode())))


def _await(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    tick = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        tick.wait(0.02)
    return condition()
