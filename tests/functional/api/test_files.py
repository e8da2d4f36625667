"""Files by the API: uploads that are kept by their digest, orders that name them, and what a job brought back."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from opsconsole.accounts.permissions import Role, Scope
from opsconsole.audit.models import AuditRecord
from opsconsole.files.store import Store
from opsconsole.jobs import retention
from opsconsole.jobs.models import HostRun, Job
from opsconsole.runtime import Runtime
from tests.functional.api.callers import Program

_BYTES = b"hello\n" * 1000
_SHA256 = hashlib.sha256(_BYTES).hexdigest()


@pytest.fixture
def store(runtime: Runtime) -> Store:
    """The files of the console."""
    return Store(runtime.settings.files, spare_bytes=0)


def give(program: Program, data: bytes = _BYTES, name: str = "motd") -> Any:
    """Uploads a file and returns the answer."""
    headers = {"Content-Type": "application/octet-stream"}
    return program.post(f"files?name={name}", data=data, headers=headers)


def push(**more: object) -> dict[str, Any]:
    """Returns an order that pushes the file."""
    return {"targets": "web[1-2]", "push": [{"file": _SHA256, "to": "/etc/", "mode": "0644", **more}]}


def test_an_upload_is_kept_by_its_digest(operator: Program, store: Store, program: Callable[..., Program]) -> None:
    answer = give(operator)
    assert answer.status_code == 201
    assert (answer.json["sha256"], answer.json["size"], answer.json["name"]) == (_SHA256, 6000, "motd")
    assert store.blob(_SHA256).read_bytes() == _BYTES
    assert store.blob(_SHA256).stat().st_mode & 0o777 == 0o600
    # The same content under another name, and by somebody else, is there once.
    assert give(operator, name="other").json["name"] == "other"
    other = program(name="otto")
    assert other.get("files").json["files"] == []
    assert give(other, name="..%2Fx%5Cmotd").json["name"] == "motd"
    assert [file["name"] for file in operator.get("files").json["files"]] == ["other"]
    assert operator.get(f"files/{_SHA256}").status_code == 200
    assert operator.delete(f"files/{_SHA256}").status_code == 204
    assert other.get(f"files/{_SHA256}").json["by"] == "otto"
    assert operator.delete(f"files/{_SHA256}").status_code == 403
    # Nothing half written stays, and who may only look gives nothing.
    assert os.listdir(store.blob(_SHA256).parents[2] / "uploads") == []
    assert give(program(Role.VIEWER)).status_code == 403
    assert give(program(scope=Scope.READ)).status_code == 403
    assert give(operator, name="%0A").status_code == 422
    assert operator.get(f"files/{'0' * 64}").status_code == 404


def test_a_digest_alone_gives_no_right_to_a_file(operator: Program, program: Callable[..., Program]) -> None:
    give(operator)
    other, approver = program(name="otto"), program(Role.APPROVER)
    # Where a digest stands (the audit, a screenshot, a log) is not where the right to the file comes from.
    assert other.get(f"files/{_SHA256}").status_code == 404
    for path in ("jobs", "resolve", "plan"):
        assert other.post(path, push()).status_code == 422, path
    assert other.post("saved", {"name": "theirs", "order": push()}).status_code == 422
    # Who may see all jobs may rerun them.
    assert approver.post("jobs", push()).status_code == 201
    # A saved command is everybody's to run, with its files; what one's own job has carried stays one's own to push.
    saved = operator.post("saved", {"name": "motd", "order": push()}).json["id"]
    assert other.get(f"files/{_SHA256.upper()}").status_code == 200
    assert other.post("jobs", push()).status_code == 201
    operator.delete(f"saved/{saved}")
    assert other.post("jobs", push()).status_code == 201
    assert program(name="olga").post("jobs", push()).status_code == 422


def test_an_upload_beyond_the_limit_leaves_nothing(store: Store) -> None:
    from opsconsole.errors import TooLarge

    with pytest.raises(TooLarge):
        store.receive(io.BytesIO(_BYTES), limit=5999)
    assert not store.blob(_SHA256).exists()


def test_an_order_of_files_says_so_everywhere(operator: Program, runtime: Runtime) -> None:
    give(operator)
    told = operator.post("plan", push()).json
    assert told["command"] == told["hosts"][0]["command"] == "push motd to /etc/motd (mode 0644)"
    assert told["what"]["push"][0]["size"] == 6000
    job = operator.post("jobs", push(owner="root:root")).json["id"]
    status = operator.get(f"jobs/{job}").json
    assert (status["title"], status["carried"]["total"]) == (
        "push motd to /etc/motd (mode 0644, owner root:root)",
        12000,
    )
    again = operator.post(f"jobs/{job}/rerun", {"states": ["q"]}).json["id"]
    assert operator.get(f"jobs/{again}").json["what"] == status["what"]
    with runtime.database.read() as session:
        record = session.scalars(select(AuditRecord).where(AuditRecord.action == "job.launch")).first()
        assert record is not None
        assert _SHA256 in str(record.detail)


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"push": [{"file": "0" * 64, "to": "/x"}]}, "push"),
        ({"push": [{"file": "abc", "to": "/x"}]}, "push"),
        (push(to="~/x"), "push"),
        (push(to="/a\nb"), "push"),
        (push(mode="999"), "push"),
        (push(owner="a b"), "push"),
        ({"pull": ["/a/../b"]}, "pull"),
        ({**push(), "pull": ["/etc"]}, "pull"),
        ({**push(), "command": "uptime"}, "command"),
        ({**push(), "stdin": "x"}, "stdin"),
        ({**push(), "check": "true"}, "check"),
        ({**push(), "durable": True}, "durable"),
        ({**push(), "executor": "simulate"}, "push"),
        ({"command": "uptime", "make_folders": True}, "make_folders"),
        (push(to="/srv/{tag.rack}"), "command"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused(operator: Program, order: dict[str, Any], field: str) -> None:
    give(operator)
    answer = operator.post("jobs", {"targets": "web1", **order})
    assert answer.status_code == 422, answer.json
    assert field in {error["field"] for error in answer.json["errors"]}


def test_what_came_back_is_listed_taken_singly_and_as_a_zip(
    operator: Program, store: Store, program: Callable[..., Program], runtime: Runtime
) -> None:
    job = operator.post("jobs", {"targets": "root@web1:22 ROOT@web1:22 web2", "pull": ["/etc/motd"]}).json["id"]
    assert operator.get(f"jobs/{job}/files.zip").status_code == 404
    for i, text in ((0, b"zero"), (1, b"one" * 100_000)):
        folder = store.pulled(job, i) / "etc"
        folder.mkdir(parents=True)
        (folder / "motd").write_bytes(text)
    (store.pulled(job, 0) / "out").symlink_to("/etc/passwd")
    found = operator.get(f"jobs/{job}/files").json
    assert found["count"] == 2
    assert [file["path"] for file in found["files"]] == ["etc/motd", "etc/motd"]
    packed = zipfile.ZipFile(io.BytesIO(operator.get(f"jobs/{job}/files.zip").data))
    assert packed.namelist() == [f"{file['folder']}/etc/motd" for file in found["files"]]
    assert len({name.lower() for name in packed.namelist()}) == 2
    assert packed.testzip() is None
    one = operator.get(f"jobs/{job}/hosts/0/files/etc/motd", buffered=True)
    assert (one.data, one.mimetype) == (b"zero", "application/octet-stream")
    assert "attachment" in one.headers["Content-Disposition"]
    for path in ("out", "etc", "etc/../etc/motd", "../1/etc/motd", "etc/none"):
        assert operator.get(f"jobs/{job}/hosts/0/files/{path}").status_code == 404
    assert program().get(f"jobs/{job}/files.zip").status_code == 404
    with runtime.database.read() as session:
        assert session.scalars(select(AuditRecord).where(AuditRecord.action == "job.files")).first() is not None


def test_what_nobody_needs_is_forgotten(operator: Program, runtime: Runtime) -> None:
    give(operator)
    job = operator.post("jobs", push()).json["id"]
    operator.post("saved", {"name": "kept", "order": push()})
    now = runtime.clock.now() + timedelta(days=40)
    before = now - timedelta(days=30)

    def forgotten() -> list[str]:
        with runtime.database.transaction() as session:
            return retention.forget_files(session, before, now)

    assert forgotten() == []
    with runtime.database.transaction() as session:
        session.execute(update(Job).where(Job.id == job).values(finished_at=runtime.clock.now()))
        session.execute(update(HostRun).where(HostRun.job_id == job).values(state="succeeded"))
        assert retention.without_need(session, [job, 999], before) == [999, job]
    assert forgotten() == []
    operator.delete(f"saved/{operator.get('saved').json['saved'][0]['id']}")
    assert forgotten() == [_SHA256]
    answer = operator.post(f"jobs/{job}/rerun", {"states": ["o"]})
    assert answer.status_code == 422
    assert "motd is not kept here" in answer.json["detail"]
