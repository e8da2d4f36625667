"""The keys of all secrets are changed again and again in the middle of a job that logs in with a stored key."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from opsconsole.credentials import service
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.models import Credential, CredentialSecret
from opsconsole.credentials.vault import Vault
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.launcher import secret_keys
from opsconsole.secret import Secret
from tests.support.console import Console, marks
from tests.support.sshd import Sshd

pytestmark = pytest.mark.slow
MakeConsole = Callable[..., Console]
HOSTS = "127.0.[0-1].[1-250]"


def store(console: Console, name: str, values: dict[str, Any]) -> None:
    vault = Vault(Cipher(console.settings.secret()))
    with console.database.transaction() as session:
        service.add_credential(
            session,
            vault,
            name,
            {"scope": [HOSTS], **values},
            groups=InventoryResolver(session),
            actor=console.actor,
            now=console.clock.now(),
        )


def swap_secrets(console: Console) -> None:
    """Does what somebody does who may write to the database, but has no key."""
    with console.database.transaction() as session:
        rows = session.execute(select(CredentialSecret.credential_id, CredentialSecret.sealed)).all()
        for row, other in zip(rows, reversed(rows), strict=True):
            change = update(CredentialSecret).where(CredentialSecret.credential_id == row.credential_id)
            session.execute(change.values(sealed=other.sealed).execution_options(synchronize_session=False))


@pytest.mark.parametrize("hosts", [12, pytest.param(200, marks=pytest.mark.faults)])
def test_keys_rotated_in_the_middle_of_a_job_lose_nothing(
    make_console: MakeConsole, sshd: Sshd, tmp_path: Path, hosts: int
) -> None:
    console = make_console(1)
    key = Secret(sshd.client_key.read_text())
    store(console, "fleet", {"kind": "private_key", "secrets": {"private_key": key}})
    store(console, "other", {"kind": "password", "secrets": {"password": Secret("of somebody else")}})
    started = tmp_path / "started"
    job_id = console.launch(
        f"127.0.[0-1].[1-{hosts // 2}]",
        f"echo ${{OPSC_RUN%-*}} >> {started}; sleep 0.3",
        credential="cred:fleet",
        concurrency=10,
        confirm=str(hosts),
    )
    ended = threading.Event()
    told: list[str] = []

    def rotate() -> None:
        while not ended.is_set():
            told.extend(secret_keys.rotate(console.settings, None))

    rotating = threading.Thread(target=rotate)
    rotating.start()
    try:
        body = console.follow(job_id, 240)
    finally:
        ended.set()
        rotating.join()
    assert body["counts"]["o"] == hosts, Counter((run.state, run.detail) for run in console.runs(job_id))
    assert set(Counter(marks(started)).values()) == {1}
    assert len(told) >= 3, told
    assert all(line.startswith("Data key ") for line in told), told
    assert len(secret_keys.states(console.settings)) == 1
    swap_secrets(console)
    body, runs = console.run("127.0.0.1", "true", credential="cred:fleet")
    assert [(run.state, run.reason) for run in runs] == [("unreachable", "credential")]
    assert "changed behind the console's back" in str(runs[0].detail)
    assert key.reveal()[40:80] not in console.logs()


@pytest.mark.faults
def test_the_secret_key_is_exchanged_under_a_running_console(
    make_console: MakeConsole, sshd: Sshd, tmp_path: Path
) -> None:
    console = make_console(1)
    store(console, "fleet", {"kind": "private_key", "secrets": {"private_key": Secret(sshd.client_key.read_text())}})
    targets = {"targets": "127.0.0.[1-10]", "command": "true", "credential": "cred:fleet"}
    new = tmp_path / "new.key"
    list(secret_keys.rotate(console.settings, new))
    assert new.stat().st_mode & 0o777 == 0o600
    # 1. The old worker goes on.
    assert console.run(**targets)[0]["counts"]["o"] == 10
    # 2. A worker with the new key works beside it, and alone.
    (first,) = console.workers
    (console.settings.data_dir / "secret.key").write_text(new.read_text())
    console.start_workers(1)
    first.stop(60)
    assert console.run(**targets)[0]["counts"]["o"] == 10
    # 3. The old key opens nothing any more.
    assert secret_keys.forget_old_key(console.settings) == "Only this secret key opens the secrets now."
    assert console.run(**targets)[0]["counts"]["o"] == 10
    with console.database.read() as session:
        assert session.scalars(select(Credential.last_used_at)).one() is not None
