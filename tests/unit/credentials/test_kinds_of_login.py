"""Certificates, agents, answers and places: what is sealed of them, what may be shown, what is refused."""

from pathlib import Path

import pytest

from opsconsole.credentials.kinds import Kind, answers, material
from opsconsole.credentials.places import Holds, Place, Source
from opsconsole.credentials.service import Opened
from opsconsole.errors import Invalid
from opsconsole.jobs.authentication import _auth
from opsconsole.jobs.ports import Auth
from opsconsole.secret import Secret
from tests.support.sshd import make_key, sign_user_key


def given(**fields: str) -> dict[str, Secret]:
    return {name: Secret(value) for name, value in fields.items()}


def fault(kind: Kind, **fields: str) -> tuple[str, str]:
    """Returns the faulty field and the sentence about it."""
    with pytest.raises(Invalid) as caught:
        material(kind, given(**fields))
    (error,) = caught.value.errors
    return error.field, error.message


def login(kind: Kind, **fields: str) -> Auth:
    """Returns what a worker logs in with that has a credential of these fields."""
    kept = material(kind, given(**fields))
    return _auth("credential x", Opened(1, "x", kind, None, kept.public, (), 1, kept.secrets))


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    """A certificate for the key ``mine``, beside another key."""
    for name in ("authority", "mine", "other"):
        make_key(tmp_path / name)
    return sign_user_key(
        tmp_path / "authority", tmp_path / "mine", principals="ops,root", validity="20260101Z:20390101Z"
    )


def test_a_certificate_with_its_key(tmp_path: Path, certificate: str) -> None:
    pem = (tmp_path / "mine").read_text()
    kept = material(Kind.CERTIFICATE, given(certificate=f" {certificate}\n", private_key=pem))
    assert set(kept.secrets) == {"private_key"}
    assert kept.public["principals"] == ["ops", "root"]
    assert (kept.public["valid_after"], kept.public["valid_before"]) == ("2026-01-01T00:00:00Z", "2039-01-01T00:00:00Z")
    assert (kept.public["certificate_id"], kept.public["serial"], kept.public["options"]) == (
        "test certificate",
        "0",
        [],
    )
    assert kept.public["authority"].startswith("SHA256:")
    assert kept.public["fingerprint"] != kept.public["authority"]
    assert not [line for line in pem.splitlines() if line in str(kept.public)]
    auth = login(Kind.CERTIFICATE, certificate=certificate, private_key=pem)
    (key,) = auth.private_keys
    assert (key.name, key.certificate, key.passphrase) == ("x", certificate.strip(), None)


def test_a_certificate_whose_key_the_agent_holds(certificate: str) -> None:
    assert material(Kind.CERTIFICATE, given(certificate=certificate, private_key=" ")).secrets == {}
    assert login(Kind.CERTIFICATE, certificate=certificate) == Auth("credential x", certificates=(certificate.strip(),))


def test_what_is_wrong_with_a_certificate_is_told(tmp_path: Path, certificate: str) -> None:
    other = (tmp_path / "other").read_text()
    assert fault(Kind.CERTIFICATE, certificate=certificate, private_key=other) == (
        "certificate",
        "This certificate was made for another key.",
    )
    assert fault(Kind.CERTIFICATE, certificate=certificate, passphrase="x")[0] == "passphrase"
    assert fault(Kind.CERTIFICATE, private_key=other)[0] == "certificate"
    algorithm, blob, *_ = certificate.split()
    cut, changed = f"{algorithm} {blob[:-60]}", f"{algorithm} {blob[:-9]}AAAAAAAA{blob[-1]}"
    for line in ((tmp_path / "mine.pub").read_text(), "x", certificate + certificate, cut, changed, "ä" * 70_000):
        assert "not an OpenSSH user certificate" in fault(Kind.CERTIFICATE, certificate=line)[1]


def test_the_agent_and_answers() -> None:
    assert login(Kind.AGENT) == Auth("credential x", agent=True)
    assert fault(Kind.AGENT, password="x")[0] == "password"
    auth = login(Kind.KEYBOARD_INTERACTIVE, answers=" first \r\nsecond\n")
    assert auth == Auth("credential x", answers=(Secret(" first "), Secret("second")))
    assert answers(Secret("a\x0bb\u2028c")) == (Secret("a\x0bb\u2028c"),)
    for text in ("", "\n", "a\n\nb", "a\n" * 9, "x" * 1025, "a\0"):
        assert fault(Kind.KEYBOARD_INTERACTIVE, answers=text)[0] == "answers"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"source": "file", "path": "ops/id_rsa"}, Place(Source.FILE, "ops/id_rsa")),
        ({"source": "file", "path": "pw", "holds": "password"}, Place(Source.FILE, "pw", Holds.PASSWORD)),
        (
            {"source": "vault", "path": "secret/a", "holds": "password"},
            Place(Source.VAULT, "secret/a", Holds.PASSWORD, "password"),
        ),
        (
            {"source": "vault", "path": "team/a/b", "field": "pem", "holds": ""},
            Place(Source.VAULT, "team/a/b", Holds.PRIVATE_KEY, "pem"),
        ),
        ({"source": "vault_ssh", "path": "ssh", "role": "ops"}, Place(Source.VAULT_SSH, "ssh", role="ops")),
    ],
)
def test_places(fields: dict[str, str], place: Place) -> None:
    assert material(Kind.EXTERNAL, given(**fields)).secrets == {}
    assert login(Kind.EXTERNAL, **fields) == Auth("credential x", external=place)
    assert place.words


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "source"),
        ({"source": "ftp", "path": "x"}, "source"),
        ({"source": "file"}, "path"),
        ({"source": "file", "path": "/etc/shadow"}, "path"),
        ({"source": "file", "path": "a/../../b"}, "path"),
        ({"source": "file", "path": ".ssh/id"}, "path"),
        ({"source": "file", "path": "a\0b"}, "path"),
        ({"source": "file", "path": "a", "field": "x"}, "field"),
        ({"source": "vault", "path": "secret"}, "path"),
        ({"source": "vault", "path": "secret/a?b"}, "path"),
        ({"source": "vault", "path": "secret/%2e%2e/a"}, "path"),
        ({"source": "vault", "path": "secret/a", "role": "x"}, "role"),
        ({"source": "vault", "path": "secret/a", "holds": "x"}, "holds"),
        ({"source": "vault_ssh", "path": "ssh"}, "role"),
        ({"source": "vault_ssh", "path": "ssh", "role": "a/b"}, "role"),
        ({"source": "vault_ssh", "path": "ssh", "role": "a", "holds": "password"}, "holds"),
    ],
)
def test_what_is_no_place(fields: dict[str, str], name: str) -> None:
    assert fault(Kind.EXTERNAL, **fields)[0] == name
