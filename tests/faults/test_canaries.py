"""A secret of every kind is put in, used on real hosts, and then looked for everywhere else that somebody may look."""

import base64
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from cryptography.hazmat.primitives import serialization
from sqlalchemy import select

from opsconsole.accounts.models import User
from opsconsole.credentials.cipher import Cipher
from opsconsole.inventory.formats import EXPORTS
from opsconsole.jobs.masking import Masker
from opsconsole.jobs.models import OutputChunk
from opsconsole.jobs.output import STDOUT
from opsconsole.runtime import Runtime
from opsconsole.web.app import create_app
from opsconsole.web.sse import streams_of
from tests.functional.pages.people import person_at
from tests.support.accounts import accounts, change_password
from tests.support.console import Console, until
from tests.support.requirements import not_run
from tests.support.sshd import Sshd, make_key, running_sshd, sign_user_key
from tests.support.vault import TOKEN, FakeVault, running_vault
from tests.support.web_process import running_web

MakeConsole = Callable[..., Console]

_PASSWORD = "Canary+pass/word=1ö"
_ANSWER = "Canary answer&2?"
_TYPED = _PASSWORD
_PASSPHRASE = "Canary pass phrase 3"
_IN_FILE = "Canary-in-file:4"
# What each host tells: its process list, all environments, and the secrets that lie on it, in three writings.
_TELL = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' >>{folder}/seen"
_TELL += "; cat {folder}/$LOGNAME; base64 {folder}/$LOGNAME; echo end"


class Wire:
    """What went over the broker, as its MONITOR command tells it."""

    def __init__(self, socket: Path) -> None:
        self._client = redis.Redis(unix_socket_path=str(socket))
        self.said: list[bytes] = []
        self._end = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="monitor")
        self._thread.start()
        assert self._ready.wait(10)

    def _listen(self) -> None:
        with self._client.monitor() as monitor:
            self._ready.set()
            while not self._end.is_set():
                try:
                    self.said.append(json.dumps(monitor.next_command(), default=str).encode())
                except redis.ConnectionError:
                    # The broker ends before us only when the test has failed.
                    return

    def stop(self) -> bytes:
        """Returns all that was said, and what the broker holds."""
        self._end.set()
        self._client.ping()
        self._thread.join(10)
        kept = []
        for key in self._client.scan_iter():
            kind = self._client.type(key)
            if kind == b"list":
                kept += self._client.lrange(key, 0, -1)
            elif kind == b"hash":
                kept += self._client.hvals(key)
            kept.append(key)
        self._client.close()
        return b"\n".join([*self.said, *kept])


@contextmanager
def everything(console: Console) -> Iterator[Callable[..., bytes]]:
    """Yields what fetches every page and every answer that can be read."""
    runtime = Runtime(
        console.settings.model_copy(update={"log_level": "ERROR"}),
        console.database,
        console.clock,
        Cipher(console.settings.secret()),
        console.dispatcher,
    )
    app = create_app(runtime)
    with console.database.read() as session:
        user = session.get_one(User, console.actor.user_id)
    person = person_at(app, runtime, user)

    def fetch(**values: list[Any]) -> bytes:
        seen, told = 0, []
        for rule in app.url_map.iter_rules():
            streams = rule.endpoint.endswith("events")
            if "GET" not in (rule.methods or ()) or streams or rule.endpoint == "static":
                continue
            if not rule.arguments <= values.keys():
                continue
            for number in range(max([len(values[name]) for name in rule.arguments], default=1)):
                chosen = {name: values[name][number % len(values[name])] for name in rule.arguments}
                url = app.url_map.bind("localhost").build(rule.endpoint, chosen)
                answer = person.get(url)
                seen += answer.status_code == 200
                told.append(answer.get_data())
        for form in EXPORTS:
            told.append(person.get(f"/hosts/export?format={form}").get_data())
        assert seen > 40, seen
        return b"\n".join(told)

    yield fetch
    streams_of(app).stop()


@contextmanager
def open_to_all() -> Iterator[Path]:
    """Makes a folder that every account may use; a test's own is closed to all but one."""
    with TemporaryDirectory(prefix="opsconsole-canaries-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextmanager
def hosts(folder: Path, vault: FakeVault) -> Iterator[tuple[Sshd, str, str, str]]:
    """Runs a server that takes every way to log in, with accounts for a password, for answers and for a file's."""
    make_key(folder / "signing")
    authorities = (folder / "signing.pub", Path(f"{vault.authority}.pub"))
    (folder / "authorities").write_text("".join(path.read_text() for path in authorities))
    options = {
        "TrustedUserCAKeys": str(folder / "authorities"),
        "UsePAM": "yes",
        "PasswordAuthentication": "yes",
        "KbdInteractiveAuthentication": "yes",
    }
    with accounts(("dash", "bash", "sh")) as names, running_sshd(options=options) as server:
        first, second, third = (name for name in names if "-user-" in name)
        for name, password in ((first, _PASSWORD), (second, _ANSWER), (third, _IN_FILE)):
            change_password(name, password)
        yield server, first, second, third


@pytest.mark.faults
def test_a_secret_of_every_kind_is_nowhere_else(make_console: MakeConsole, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        not_run("root, to make accounts", "run the tests as root")
    with (
        open_to_all() as shared,
        running_vault(tmp_path) as vault,
        hosts(tmp_path, vault) as (server, first, second, third),
    ):
        files = tmp_path / "files"
        files.mkdir()
        (files / "password").write_text(_IN_FILE)
        (files / "token").write_text(TOKEN)
        (shared / "seen").touch()
        (shared / "seen").chmod(0o666)
        keys = {name: _key(tmp_path / name) for name in ("plain", "locked", "signed", "vaulted")}
        known = [(tmp_path / f"{name}.pub").read_text() for name in ("plain", "locked", "vaulted")]
        server.authorized_keys.write_text("".join(known))
        vaulted = _locked(keys["vaulted"])
        vault.secrets["secret/ops"] = {"private_key": vaulted, "passphrase": _PASSPHRASE}
        line = sign_user_key(tmp_path / "signing", tmp_path / "signed", principals="root")
        locked = _locked(keys["locked"])
        # The first line of every key in OpenSSH's format is the same.
        bodies = ["\n".join(pem.splitlines()[2:-1]) for pem in (*keys.values(), locked, vaulted)]
        secrets = [_PASSWORD, _ANSWER, _PASSPHRASE, _IN_FILE, TOKEN, *bodies]
        # What a run logged in with lies on its host: only that can be known to be a secret there.
        for user, secret in ((first, _PASSWORD), (second, _ANSWER), (third, _IN_FILE), ("root", "nothing")):
            (shared / user).write_text(f"user:{secret}\n")
            (shared / user).chmod(0o644)
        given = {
            "password": ("password", first, {"password": _PASSWORD}),
            "plain": ("private_key", "root", {"private_key": keys["plain"]}),
            "locked": ("private_key", "root", {"private_key": locked, "passphrase": _PASSPHRASE}),
            "signed": ("certificate", "root", {"private_key": keys["signed"], "certificate": line}),
            "answers": ("keyboard_interactive", second, {"answers": _ANSWER}),
            "file": ("external", third, {"source": "file", "path": "password", "holds": "password"}),
            "vault": ("external", "root", {"source": "vault", "path": "secret/ops"}),
            "signature": ("external", "root", {"source": "vault_ssh", "path": "ssh-client-signer", "role": "ops"}),
        }
        console = make_console(
            ssh_port=server.port,
            log_level="DEBUG",
            # A login that is answered by PAM takes its time on a busy machine.
            worker_dead_seconds=90.0,
            credential_files_dir=files,
            vault_url=vault.url,
            vault_token_file=files / "token",
            key_files={},
            allow_unlisted_hosts=False,
        )
        with running_web(console) as web, everything(console) as fetch:
            wire = Wire(console.settings.broker_socket)
            web.api.post("/inventory/hosts", json={"name": "canary", "address": "127.0.0.1"}).raise_for_status()
            said = []
            for name, (kind, user, parts) in given.items():
                body = {"name": name, "kind": kind, "user": user, "scope": ["canary"], "secrets": parts}
                answer = web.api.post("/credentials", json=body)
                assert answer.status_code == 201, answer.text
                said.append(answer.content)
                # What is refused tells no secret either.
                said.append(web.api.post("/credentials", json={**body, "name": "", "kind": "agent"}).content)
                said.append(web.api.post("/credentials", json={**body, "surplus": parts}).content)
            command = _TELL.format(folder=shared)
            orders: list[dict[str, Any]] = [{"credential": f"cred:{name}"} for name in given]
            orders.append({"credential": "password", "password": _TYPED, "user": first})
            jobs = []
            for order in orders:
                answer = web.launch("canary", command, **order)
                assert answer.status_code in {200, 201, 202}, answer.text
                said.append(answer.content)
                jobs.append(int(answer.json()["id"]))
            states = [until(partial(_ended, console, job_id), 60, f"job {job_id} ends") for job_id in jobs]
            details = [run.detail for job_id in jobs for run in console.runs(job_id)]
            assert states == ["succeeded"] * len(orders), details
            said.append(fetch(job_id=jobs, name=list(given), host=["canary"], i=[0]))
            said.append(wire.stop())
            assert len(wire.said) > len(jobs), "the broker was listened to"
        seen = (shared / "seen").read_bytes()
        assert b"OPSC_RUN" in seen
        _nowhere(secrets, b"\n".join(said), "answers, pages and broker")
        _nowhere(secrets, seen, "process lists and environments of the host")
        kept = [path for path in console.settings.data_dir.rglob("*") if path.is_file() and not path.is_socket()]
        assert {"worker-1.log", "web.log"} <= {path.name for path in kept}
        for path in kept:
            _nowhere(secrets, path.read_bytes(), str(path))
        with console.database.read() as session:
            dump = "\n".join(session.connection().connection.driver_connection.iterdump())  # type: ignore[union-attr]
        _nowhere(secrets, dump.encode(), "dump of the database")
        assert "credential_secrets" in dump
        told = dict(zip((*given, "typed"), (_said_by(console, job_id) for job_id in jobs), strict=True))
        for name in ("password", "typed", "answers", "file"):
            clear, *encoded, end = told[name].splitlines()
            assert (clear, end) == (b"user:***", b"end"), told
            assert b"***" in b"".join(encoded), told
        assert told["signature"].startswith(b"user:nothing")


def _ended(console: Console, job_id: int) -> str | None:
    (run,) = console.runs(job_id)
    return run.state if run.finished_at is not None else None


def _said_by(console: Console, job_id: int) -> bytes:
    (run,) = console.runs(job_id)
    stdout = OutputChunk.host_run_id == run.id, OutputChunk.fd == STDOUT
    query = select(OutputChunk.data).where(*stdout).order_by(OutputChunk.offset)
    with console.database.read() as session:
        return b"".join(session.scalars(query))


def _key(path: Path) -> str:
    make_key(path)
    return path.read_text()


def _locked(pem: str) -> str:
    key = serialization.load_ssh_private_key(pem.encode(), None)
    lock = serialization.BestAvailableEncryption(_PASSPHRASE.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, lock).decode()


def _nowhere(secrets: list[str], data: bytes, place: str) -> None:
    """Fails when one of the secrets is in ``data`` in clear, in base64 or in a URL."""
    for secret in secrets:
        for form in (secret.encode(), base64.b64encode(secret.encode()), json.dumps(secret).encode()[1:-1]):
            at = data.find(form)
            assert at < 0, f"{secret[:12]} in {place}: {data[max(0, at - 200) : at + 60]!r}"
    masked, _ = Masker(secrets).split(data, last=True)
    if masked != data:
        at = next(number for number, (one, two) in enumerate(zip(masked, data, strict=False)) if one != two)
        pytest.fail(f"a secret is in {place}: {masked[max(0, at - 60) : at + 60]!r}")
