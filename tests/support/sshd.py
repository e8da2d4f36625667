"""A real OpenSSH server for tests: own port, own keys, own configuration, no trace afterwards.

``ListenAddress 0.0.0.0`` makes one server answer on every address of 127/8, so that 127.0.0.1 to 127.0.3.250 are a
fleet. It works as root and as a plain user; a plain user's server lets only that user in.
"""

import base64
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Self

import psutil
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ecdsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from opsconsole.jobs.ports import Auth, KnownKey, Target
from tests.support.requirements import need_ssh, need_sshd

_START_SECONDS = 15.0
_STOP_SECONDS = 5.0
_MAKERS = {
    "ed25519": Ed25519PrivateKey.generate,
    "ecdsa": lambda: generate_ecdsa(SECP256R1()),
    "rsa": lambda: generate_rsa(65537, 2048),
}


class Sshd:
    """A running server. ``options`` are lines of sshd_config that win over the defaults here."""

    def __init__(
        self,
        folder: Path,
        *,
        host_key_types: tuple[str, ...] = ("ed25519",),
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.user = getpass.getuser()
        self.port = 0
        self.client_key = folder / "client_key"
        self.authorized_keys = folder / "authorized_keys"
        self.log = folder / "sshd.log"
        self._program = need_sshd()
        self._options = dict(options or {})
        self._host_keys = {kind: folder / f"host_{kind}" for kind in host_key_types}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts the server and returns it once it accepts connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Other accounts that log in need their authorized keys from here; what is secret has its own mode.
        os.chmod(self.folder, 0o711)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.authorized_keys.write_text(make_key(self.client_key) + "\n")
        self.authorized_keys.chmod(0o644)
        for kind, path in self._host_keys.items():
            if not path.exists():
                make_key(path, kind)
        for _ in range(5):
            self.port = self.port or free_port()
            if self._try_start():
                return self
            self.port = 0
        raise AssertionError(f"sshd did not start: {self.log_text()}")

    def stop(self) -> None:
        """Ends the server, its sessions and whatever they started and left in place."""
        if self._process is None:
            return
        try:
            family = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        self._process.terminate()
        self._process.wait(_STOP_SECONDS)
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        give_up_at = time.monotonic() + _STOP_SECONDS
        while any(_alive(process) for process in family) and time.monotonic() < give_up_at:
            time.sleep(0.01)
        self._process = None
        left = [process for process in family if _alive(process)]
        assert not left, f"sshd left processes: {left}"

    def restart(self) -> None:
        """Stops and starts the server on the same port; with changed host keys when they were removed before."""
        port = self.port
        self.stop()
        self.port = port
        self.start()

    def known_key(self, kind: str | None = None) -> KnownKey:
        """Returns the server's host key, the first kind by default."""
        path = self._host_keys[kind] if kind else next(iter(self._host_keys.values()))
        algorithm, blob, *_ = path.with_name(path.name + ".pub").read_text().split()
        return KnownKey(algorithm, blob)

    def change_host_keys(self) -> None:
        """Gives the server new host keys and starts it anew on the same port."""
        for kind, path in self._host_keys.items():
            make_key(path, kind)
        self.restart()

    def set_option(self, name: str, value: str) -> None:
        """Sets a line of sshd_config; it holds from the next ``restart`` on."""
        self._options[name] = value

    def target(self, address: str = "127.0.0.1", *, user: str | None = None, **changes: object) -> Target:
        """Returns a target at ``address`` that trusts this server's host keys."""
        known = tuple(self.known_key(kind) for kind in self._host_keys)
        fields: dict[str, object] = {"known_keys": known, **changes}
        return Target(host=address, address=address, port=self.port, user=user or self.user, **fields)  # type: ignore[arg-type]

    def auth(self) -> Auth:
        """Returns the login with this server's client key."""
        return Auth(identity="test key", key_files=(str(self.client_key),))

    def known_hosts(self, *addresses: str) -> str:
        """Returns known_hosts lines for the addresses at this port."""
        key = self.known_key()
        return "".join(f"[{address}]:{self.port} {key.algorithm} {key.key}\n" for address in addresses)

    def log_text(self) -> str:
        """Returns what the server logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def sessions(self) -> list[psutil.Process]:
        """Returns the processes under the server: one or two for each connection, and their commands."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def servers(self) -> list[psutil.Process]:
        """Returns the server's own processes among ``sessions``, one or two for each connection."""
        found = []
        for process in self.sessions():
            # A command may end between two looks.
            with suppress(psutil.NoSuchProcess):
                if process.name().startswith("sshd"):
                    found.append(process)
        return found

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _try_start(self) -> bool:
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{line}\n" for line in self._config_lines()))
        # A test run that is killed takes its servers with it.
        bound = shutil.which("setpriv")
        command = [bound, "--pdeathsig", "TERM"] if bound else []
        command += [str(self._program), "-D", "-f", str(config.absolute()), "-E", str(self.log.absolute())]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up_at = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up_at and self._process.poll() is None:
            if accepts(self.port):
                return True
            time.sleep(0.02)
        self._process.kill()
        self._process.wait()
        self._process = None
        return False

    def _config_lines(self) -> Iterator[str]:
        # sshd takes the first value it reads, so the caller's come first. All paths are absolute: it changes folder.
        for name, value in self._options.items():
            yield f"{name} {value}"
        yield f"Port {self.port}"
        yield "ListenAddress 0.0.0.0"
        for path in self._host_keys.values():
            yield f"HostKey {path.absolute()}"
        yield f"PidFile {self.folder.absolute() / 'sshd.pid'}"
        yield f"AuthorizedKeysFile {self.authorized_keys.absolute()}"
        # The person's own shell start-up files are none of a test's business, and some take 100 ms.
        yield f"SetEnv HOME={self.folder.absolute()}"
        yield from _FIXED_LINES


_FIXED_LINES = (
    "StrictModes no",
    "UsePAM no",
    "UseDNS no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin yes",
    "PrintMotd no",
    "PrintLastLog no",
    "MaxStartups 1000:30:2000",
    "LogLevel VERBOSE",
    "Subsystem sftp internal-sftp",
)


@contextmanager
def running_sshd(*, prefix: str = "opsconsole-sshd-", **settings: object) -> Iterator[Sshd]:
    """Runs a server in a folder of its own that is removed afterwards."""
    folder = Path(mkdtemp(prefix=prefix))
    try:
        with Sshd(folder, **settings) as server:  # type: ignore[arg-type]
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_key(path: Path, kind: str = "ed25519") -> str:
    """Writes a new private key (mode 0600) and ``.pub`` beside it; returns the public line."""
    key = _MAKERS[kind]()
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    path.with_name(path.name + ".pub").write_text(line + "\n")
    assert base64.b64decode(line.split()[1])
    return line


def sign_user_key(authority: Path, key: Path, *, principals: str, validity: str = "always:forever") -> str:
    """Returns the line of a user certificate for the public key beside ``key``, also written to ``<key>-cert.pub``."""
    _, program = need_ssh()
    words = [str(program), "-q", "-s", str(authority), "-I", "test certificate", "-n", principals, "-V", validity]
    subprocess.run([*words, f"{key}.pub"], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return key.with_name(key.name + "-cert.pub").read_text()


def _alive(process: psutil.Process) -> bool:
    """A zombie is dead; when its parent gets round to burying it is not for us to wait."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int, address: str = "127.0.0.1") -> bool:
    """Returns whether something listens there and greets as an SSH server."""
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
