"""Host certificates at a real server, with OpenSSH's own client as the judge of each verdict."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opsconsole.inventory.known_hosts import Authority, KnownKey
from opsconsole.jobs.ports import Hop, HostKeyPolicy
from opsconsole.jobs.states import Reason
from opsconsole.ssh import ParamikoConnector
from tests.support.requirements import need_ssh
from tests.support.runs import connect, refused
from tests.support.sshd import Sshd, make_key, running_sshd

HOST = "127.0.0.1"
Sign = Callable[..., None]


def public(path: Path) -> KnownKey:
    return KnownKey(*path.with_name(path.name + ".pub").read_text().split()[:2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("authorities")
    for name, kind in (("ca", "ed25519"), ("rsa_ca", "rsa"), ("other_ca", "ed25519")):
        make_key(made / name, kind)
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    with running_sshd(host_key_types=("ed25519",)) as running:
        yield running


def certify(server: Sshd, ca: Path, *arguments: str) -> None:
    """Gives the server a certificate for its key, and starts it anew."""
    program = str(need_ssh()[1])
    key = server.folder / "host_ed25519.pub"
    signing = [program, "-q", "-s", str(ca), "-I", "test", "-h", *arguments, str(key)]
    subprocess.run(signing, check=True, capture_output=True)
    server.set_option("HostCertificate", str(server.folder / "host_ed25519-cert.pub"))
    server.restart()


def openssh_enters(server: Sshd, ca: Path) -> bool:
    """Returns whether the program ssh logs in when ``ca`` is the one thing it trusts."""
    key = public(ca)
    known_hosts = server.folder / "known_hosts"
    known_hosts.write_text(f"@cert-authority [{HOST}]:{server.port} {key.algorithm} {key.key}\n")
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "none",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
    }
    command = [str(need_ssh()[0]), "-F", "none", "-i", str(server.client_key), "-p", str(server.port)]
    command += [f"-o{name}={value}" for name, value in options.items()]
    return subprocess.run([*command, f"{server.user}@{HOST}", "true"], capture_output=True).returncode == 0


@pytest.mark.parametrize("ca", ["ca", "rsa_ca"])
def test_a_good_certificate_is_enough(connector: ParamikoConnector, server: Sshd, folder: Path, ca: str) -> None:
    certify(server, folder / ca, "-n", f"web1,{HOST}", "-V", "-1h:+1h")
    authority = Authority(public(folder / ca), (HOST,))
    # Another key was trusted before: with a certificate the new one is as good.
    for known in ((), (public(folder / "other_ca"),)):
        target = server.target(known_keys=known, authorities=(authority,))
        session = connect(connector, target, server.auth())
        session.close(keep=False)
        assert session.facts.host_key == server.known_key()
        assert not session.facts.host_key_new
    assert openssh_enters(server, folder / ca)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-n", HOST, "-V", "20200101:20200201"), "expired on 2020-0"),
        (("-n", HOST, "-V", "+1h:+2h"), "is not valid before"),
        (("-n", "web9,10.9.9.9", "-V", "-1h:+1h"), "is for web9, 10.9.9.9, not for 127.0.0.1"),
        (("-n", "127.*", "-V", "-1h:+1h"), "is for 127.*, not for 127.0.0.1"),
    ],
)
def test_a_certificate_that_proves_nothing(
    connector: ParamikoConnector, server: Sshd, folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    certify(server, folder / "ca", *arguments)
    target = server.target(known_keys=(), authorities=(Authority(public(folder / "ca"), (HOST,)),))
    before = len(server.log_text())
    answer = refused(connector, target, server.auth())
    assert answer.reason is Reason.HOST_CERTIFICATE
    assert words in answer.detail
    # Not even a user name was sent.
    assert server.user not in server.log_text()[before:]
    assert not openssh_enters(server, folder / "ca")
    # Its key by itself is what it was.
    trusting = server.target(authorities=target.authorities)
    connect(connector, trusting, server.auth()).close(keep=False)


def test_another_authority_and_revoked_ones(connector: ParamikoConnector, server: Sshd, folder: Path) -> None:
    certify(server, folder / "ca", "-n", HOST, "-V", "-1h:+1h")
    other = server.target(known_keys=(), authorities=(Authority(public(folder / "other_ca"), (HOST,)),))
    answer = refused(connector, other, server.auth())
    assert (answer.reason, answer.offered) == (Reason.HOST_KEY_UNKNOWN, server.known_key())
    assert "no authority for this host" in answer.detail
    assert not openssh_enters(server, folder / "other_ca")
    authorities = (Authority(public(folder / "ca"), (HOST,)),)
    for revoked in (public(folder / "ca"), server.known_key()):
        before = len(server.log_text())
        target = server.target(authorities=authorities, revoked_keys=(revoked,))
        assert refused(connector, target, server.auth()).reason is Reason.HOST_KEY_REVOKED
        assert server.user not in server.log_text()[before:]


def test_a_foreign_certificate_beside_the_trusted_key_is_no_change(connector: ParamikoConnector, folder: Path) -> None:
    authorities = (Authority(public(folder / "ca"), (HOST,)),)
    with running_sshd(host_key_types=("ed25519", "rsa")) as two:
        trusted = two.known_key("rsa")
        # Its other key has a certificate, which is shown first as an authority may vouch for this host.
        certify(two, folder / "other_ca", "-n", HOST, "-V", "-1h:+1h")
        session = connect(connector, two.target(known_keys=(trusted,), authorities=authorities), two.auth())
        session.close(keep=False)
        assert session.facts.host_key == trusted
        # Without the trusted key it did change.
        stranger = public(folder / "rsa_ca")
        answer = refused(connector, two.target(known_keys=(stranger,), authorities=authorities), two.auth())
        assert (answer.reason, answer.offered) == (Reason.HOST_KEY_CHANGED, trusted)
        # Whom the authority vouched for once is no impostor, and gets through with its trusted key alone.
        certify(two, folder / "ca", "-n", HOST, "-V", "20200101:20200201")
        connect(connector, two.target(known_keys=(trusted,), authorities=authorities), two.auth()).close(keep=False)
        answer = refused(connector, two.target(known_keys=(stranger,), authorities=authorities), two.auth())
        assert answer.reason is Reason.HOST_CERTIFICATE


def test_a_kept_connection_ends_with_its_authority(connector: ParamikoConnector, server: Sshd, folder: Path) -> None:
    certify(server, folder / "ca", "-n", HOST, "-V", "-1h:+1h")
    target = server.target(known_keys=(), authorities=(Authority(public(folder / "ca"), (HOST,)),))
    connect(connector, target, server.auth()).close(keep=True)
    again = connect(connector, target, server.auth())
    again.close(keep=True)
    assert again.facts.reused
    revoked = server.target(known_keys=(), authorities=target.authorities, revoked_keys=(public(folder / "ca"),))
    assert refused(connector, revoked, server.auth()).reason is Reason.HOST_KEY_REVOKED


def test_without_an_authority_a_plain_key_is_asked_for(
    connector: ParamikoConnector, server: Sshd, folder: Path
) -> None:
    certify(server, folder / "ca", "-n", HOST, "-V", "-1h:+1h")
    connect(connector, server.target(), server.auth()).close(keep=False)
    first = server.target(known_keys=(), host_key_policy=HostKeyPolicy.ACCEPT_NEW)
    session = connect(connector, first, server.auth())
    session.close(keep=False)
    assert session.facts.host_key_new


def test_a_jump_host_proves_itself_likewise(connector: ParamikoConnector, server: Sshd, folder: Path) -> None:
    certify(server, folder / "ca", "-n", HOST, "-V", "-1h:+1h")
    authority = Authority(public(folder / "ca"), (HOST,))
    hop = Hop(HOST, HOST, server.port, server.user, server.auth(), authorities=(authority,))
    session = connect(connector, server.target(via=(hop,)), server.auth())
    session.close(keep=True)
    assert session.facts.new_hops == ()
    # What is revoked meanwhile is refused although the connections to it are still open.
    revoked = replace(hop, revoked_keys=(authority.key,))
    answer = refused(connector, server.target(via=(revoked,)), server.auth())
    assert answer.reason is Reason.JUMP
    assert "which is revoked" in answer.detail
