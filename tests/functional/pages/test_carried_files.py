"""Files on the pages, without script: uploaded by a plain form, ordered on the Run form, taken from the job's page."""

import hashlib
import io

from opsconsole.files.store import Store
from opsconsole.runtime import Runtime
from tests.functional.pages.people import Person

_BYTES = b"hello\n"
_SHA256 = hashlib.sha256(_BYTES).hexdigest()


def upload(person: Person, *names: str) -> str:
    """Uploads the same content under each name and returns where the form leads."""
    files = [(io.BytesIO(_BYTES), name) for name in names]
    return str(person.send("/files", {"file": files}).headers.get("Location"))


def test_from_an_upload_to_a_job_and_its_rerun(operator: Person) -> None:
    assert upload(operator, "motd") == f"/run?file={_SHA256}"
    page = operator.text(f"/run?file={_SHA256}")
    assert 'value="files" checked' in page
    assert f'<option value="{_SHA256}" selected>motd (6 B)</option>' in page
    rows = {"push_file": [_SHA256, ""], "push_to": ["/etc/", ""], "push_mode": ["0644", ""], "push_owner": ["", ""]}
    form = {"targets": "web[1-2]", "kind": "files", "command": "left over", "make_folders": "yes", **rows}
    looked = operator.send("/run", {**form, "action": "plan"})
    assert "push motd to /etc/motd (mode 0644)" in looked.get_data(as_text=True)
    assert operator.send("/run", form).headers["Location"] == "/jobs/1"
    job = operator.text("/jobs/1?view=details")
    assert "push motd to /etc/motd (mode 0644)" in job
    assert "0 B of 12 B carried" in job
    assert "Missing folders are made." in job
    assert "left over" not in job
    again = operator.text("/run?from=1&state=qcrofkuxsl")
    assert 'value="/etc/motd"' in again
    assert 'name="make_folders" value="yes" checked' in again
    wrong = operator.send("/run", {**form, "push_mode": ["999", ""]})
    assert wrong.status_code == 422
    assert "is not octal digits" in wrong.get_data(as_text=True)
    nowhere = operator.send("/run", {**form, "push_file": [_SHA256, _SHA256], "push_to": ["", ""]})
    said = nowhere.get_data(as_text=True)
    assert "Write a path on the hosts." in said
    assert "Write a path on the hosts. Write" not in said
    assert "Two files would go" not in said


def test_uploads_are_listed_and_removed_and_none_is_told(operator: Person) -> None:
    upload(operator, "motd")
    assert "motd" in operator.text("/files")
    assert operator.send("/files", {}).status_code == 422
    assert operator.send("/files", {}, to=f"/files/{_SHA256}").headers["Location"] == "/files"
    assert "Nothing is uploaded yet." in operator.text("/files")


def test_what_came_back_is_led_to(operator: Person, runtime: Runtime) -> None:
    order = {"targets": "web[1-2]", "kind": "files", "pull": "/etc/motd\n\n/var/log/*.log"}
    operator.send("/run", order)
    assert "No host has given a file" in operator.text("/jobs/1/files")
    folder = Store(runtime.settings.files, spare_bytes=0).pulled(1, 1) / "etc"
    folder.mkdir(parents=True)
    (folder / "<b>motd").write_bytes(_BYTES)
    assert 'href="/jobs/1/files"' in operator.text("/jobs/1")
    page = operator.text("/jobs/1/files")
    assert "&lt;b&gt;motd" in page
    assert 'href="/jobs/1/files.zip"' in page
    assert operator.get("/jobs/1/files.zip").mimetype == "application/zip"
    assert operator.get("/jobs/1/hosts/1/files/etc/<b>motd", buffered=True).data == _BYTES
