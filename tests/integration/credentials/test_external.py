"""Credentials that are kept elsewhere: files of the worker, Vault's secrets, and keys that Vault signs for a while."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.credentials.external import ExternalSources, Fetched, sources_of
from opsconsole.credentials.hashicorp import Access, HashiCorpVault
from opsconsole.credentials.places import Holds, Place, Source
from opsconsole.errors import Invalid, Unavailable
from opsconsole.jobs.ports import Auth, Exited, PrivateKey, Secret
from opsconsole.settings import Settings
from opsconsole.ssh import ParamikoConnector
from tests.support.requirements import need_ssh
from tests.support.runs import run
from tests.support.sshd import make_key, running_sshd, sign_user_key
from tests.support.vault import ROLE_ID, SECRET_ID, TOKEN, FakeVault, running_vault

_SIGNING = Place(Source.VAULT_SSH, "ssh-client-signer", role="ops")


def kv(path: str = "secret/ops/web", field: str = "password", holds: Holds = Holds.PASSWORD) -> Place:
    return Place(Source.VAULT, path, holds, field)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[FakeVault]:
    """A server of this test's own."""
    with running_vault(tmp_path) as running:
        yield running


@pytest.fixture
def sources(vault: FakeVault, tmp_path: Path) -> ExternalSources:
    """A worker's sources, with a token in a file."""
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    return ExternalSources(None, HashiCorpVault(vault.url, Access(token_file=token)))


class TestFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "credentials"
        folder.mkdir()
        return folder

    def test_a_password_and_a_key_with_its_certificate(self, folder: Path) -> None:
        (folder / "password").write_text("hunter2\n")
        make_key(folder / "authority")
        make_key(folder / "key")
        sources = ExternalSources(folder, None)
        assert sources.fetch(Place(Source.FILE, "password", Holds.PASSWORD), "ops") == Fetched(Secret("hunter2"))
        pem = Secret((folder / "key").read_text())
        assert ExternalSources(folder, None).fetch(Place(Source.FILE, "key"), "ops") == Fetched(private_key=pem)
        line = sign_user_key(folder / "authority", folder / "key", principals="ops").strip()
        assert sources.fetch(Place(Source.FILE, "key"), "ops") == Fetched(private_key=pem, certificate=line)

    def test_nothing_outside_the_folder_is_read(self, folder: Path) -> None:
        (folder.parent / "secret_key").write_text("the console's own")
        (folder / "link").symlink_to(folder.parent / "secret_key")
        (folder / "inside").mkdir()
        (folder / "up").symlink_to(folder.parent)
        for name in ("link", "up/secret_key"):
            with pytest.raises(Unavailable, match="leads out of the folder"):
                ExternalSources(folder, None).fetch(Place(Source.FILE, name, Holds.PASSWORD), "ops")
        for name, words in (("missing", "No such file"), ("inside", "Is a directory")):
            with pytest.raises(Unavailable, match=words):
                ExternalSources(folder, None).fetch(Place(Source.FILE, name, Holds.PASSWORD), "ops")

    @pytest.mark.parametrize("size", [0, 70_000])
    def test_what_is_no_credential_by_its_size(self, folder: Path, size: int) -> None:
        (folder / "file").write_bytes(b"x" * size)
        with pytest.raises(Unavailable, match="empty or too long"):
            ExternalSources(folder, None).fetch(Place(Source.FILE, "file"), "ops")

    def test_without_a_folder_no_file_is_read(self) -> None:
        with pytest.raises(Unavailable, match="credential_files_dir"):
            ExternalSources(None, None).fetch(Place(Source.FILE, "file"), "ops")


class TestSecrets:
    def test_a_field_of_a_secret(self, vault: FakeVault, sources: ExternalSources) -> None:
        vault.secrets["secret/ops/web"] = {"password": "hunter2", "other": 1}
        for _ in range(3):
            assert sources.fetch(kv(), "ops") == Fetched(Secret("hunter2"))
        # A fleet's hosts come at once.
        assert vault.asked == ["GET secret/data/ops/web"]

    def test_a_key_with_its_passphrase_and_certificate(self, vault: FakeVault, sources: ExternalSources) -> None:
        vault.secrets["team/keys"] = {"pem": "PEM", "passphrase": "open sesame", "certificate": "ssh-... \n"}
        fetched = sources.fetch(kv("team/keys", "pem", Holds.PRIVATE_KEY), "ops")
        assert fetched == Fetched(None, Secret("PEM"), Secret("open sesame"), "ssh-...")

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("secret/missing", "has not got the secret secret/missing"),
            ("secret/deleted", "has not got the secret secret/deleted"),
            ("secret/ops/other", "has no field 'password'"),
        ],
    )
    def test_what_is_not_there_is_told(self, vault: FakeVault, sources: ExternalSources, path: str, words: str) -> None:
        vault.secrets |= {"secret/deleted": None, "secret/ops/other": {"x": "y"}}
        for _ in range(2):
            with pytest.raises(Unavailable, match=words):
                sources.fetch(kv(path), "ops")
        assert len(vault.asked) == 1

    def test_faults_of_the_server_are_told_without_its_words(self, vault: FakeVault, tmp_path: Path) -> None:
        def told(url: str, token: str) -> str:
            (tmp_path / "file").write_text(token)
            asking = ExternalSources(None, HashiCorpVault(url, Access(token_file=tmp_path / "file")))
            with pytest.raises(Unavailable) as caught:
                asking.fetch(kv(), "ops")
            assert token not in caught.value.detail
            return caught.value.detail

        assert told(vault.url, "wrong") == "Vault refuses the secret secret/ops/web to this worker."
        vault.sealed = True
        assert told(vault.url, TOKEN) == "Vault is sealed or under maintenance."
        assert told("http://127.0.0.1:1", TOKEN) == "Vault does not answer (ConnectError)."
        with pytest.raises(Unavailable, match="The file nothing for Vault cannot be read"):
            HashiCorpVault(vault.url, Access(token_file=tmp_path / "nothing")).read_secret("secret/x")
        with pytest.raises(Unavailable, match="no way to log in"):
            HashiCorpVault(vault.url, Access()).read_secret("secret/x")
        with pytest.raises(Unavailable, match="vault_url"):
            ExternalSources(None, None).fetch(kv(), "ops")

    def test_a_login_by_approle_is_done_again_when_its_token_is_gone(self, vault: FakeVault, tmp_path: Path) -> None:
        (tmp_path / "secret_id").write_text(SECRET_ID)
        access = Access(role_id=ROLE_ID, secret_id_file=tmp_path / "secret_id")
        asking = HashiCorpVault(vault.url, access)
        vault.secrets["secret/ops/web"] = {"password": "hunter2"}
        assert asking.read_secret("secret/ops/web") == {"password": Secret("hunter2")}
        asking.read_secret("secret/ops/web")
        assert vault.asked.count("POST auth/approle/login") == 1
        vault.tokens.clear()
        asking.read_secret("secret/ops/web")
        assert vault.asked.count("POST auth/approle/login") == 2


class TestSignatures:
    @pytest.fixture(autouse=True)
    def _signer(self) -> None:
        need_ssh()

    def test_a_key_made_for_the_run_logs_in(self, vault: FakeVault, sources: ExternalSources, tmp_path: Path) -> None:
        connector = ParamikoConnector(allow_loopback=True, home=tmp_path)
        with running_sshd(options={"TrustedUserCAKeys": f"{vault.authority}.pub"}) as server:
            server.authorized_keys.write_text("")
            found = sources.fetch(_SIGNING, server.user)
            assert found.private_key is not None
            key = PrivateKey("vault", found.private_key, certificate=found.certificate)
            assert run(connector, server.target(), Auth("vault", private_keys=(key,)), "exit 3").end == Exited(3)
            # For the same person while it is valid, and not for another.
            assert sources.fetch(_SIGNING, server.user) == found
            assert sources.fetch(_SIGNING, "somebody") != found
        connector.close()

    def test_one_that_ends_soon_is_replaced(self, vault: FakeVault, sources: ExternalSources) -> None:
        vault.validity = "-1h:+1m"
        assert sources.fetch(_SIGNING, "ops") != sources.fetch(_SIGNING, "ops")

    def test_a_role_that_is_not_there(self, sources: ExternalSources) -> None:
        with pytest.raises(Unavailable, match="the request is wrong for it, or not allowed"):
            sources.fetch(Place(Source.VAULT_SSH, "ssh-client-signer", role="nobody"), "ops")


def test_the_settings_say_where_to_look(settings: Settings, vault: FakeVault, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "file").write_text("hunter3")
    vault.secrets["secret/ops/web"] = {"password": "hunter2"}
    changed = {"vault_url": vault.url, "vault_token_file": tmp_path / "token", "credential_files_dir": tmp_path}
    sources = sources_of(settings.model_copy(update=changed))
    assert sources.fetch(kv(), "ops") == Fetched(Secret("hunter2"))
    assert sources.fetch(Place(Source.FILE, "file", Holds.PASSWORD), "ops") == Fetched(Secret("hunter3"))


@pytest.mark.parametrize(
    "url", ["http://vault.example.net:8200", "ftp://x", "https://user@vault", "http://127.0.0.1.evil"]
)
def test_the_token_goes_over_tls_alone(url: str) -> None:
    with pytest.raises(Invalid):
        Settings.load(vault_url=url)
