"""The commands that look after a console on this machine, as a person calls them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from opsconsole import __version__
from opsconsole.cli.main import COMMANDS, main


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Caller":
    monkeypatch.setenv("OPSCONSOLE_DATA_DIR", str(tmp_path))
    return Caller()


class Caller:
    """Calls ``opsconsole`` with a data folder of the test's own."""

    def __call__(self, *arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(main, arguments, input=typed)


def test_every_command_explains_itself(call: Caller) -> None:
    for name in COMMANDS:
        result = call(name, "--help")
        assert result.exit_code == 0, result.output
        assert "Usage:" in result.output
    overview = call("--help").output
    assert "Start a whole console on this machine" in overview
    assert "demo-fleet" not in overview
    assert __version__ in call("--version").output


def test_the_schema_goes_up_and_down(call: Caller, tmp_path: Path) -> None:
    assert call("db", "status").exit_code == 1
    assert "which is what this version needs" in call("db", "upgrade").output
    assert call("db", "status").exit_code == 0
    kept = call("db", "downgrade", "base", typed="n\n")
    assert kept.exit_code == 1
    assert call("db", "status").exit_code == 0
    assert call("db", "downgrade", "base", "--yes").exit_code == 0
    assert "at revision none" in call("db", "status").output


def test_a_revision_that_is_none_is_explained(call: Caller) -> None:
    call("db", "upgrade")
    result = call("db", "downgrade", "9999", "--yes")
    assert result.exit_code == 5
    assert "another version" in result.stderr


def test_people_are_let_in(call: Caller) -> None:
    early = call("login-link")
    assert early.exit_code == 5
    assert "opsconsole db upgrade" in early.stderr
    call("db", "upgrade")
    assert "/login?once=" in call("create-admin", "ada").output
    assert "/login?once=" in call("login-link", "ada").output
    assert "/login?once=" in call("login-link").output
    unknown = call("login-link", "nobody")
    assert unknown.exit_code == 2
    assert "nobody called 'nobody'" in unknown.stderr


def test_bad_settings_name_the_variable_and_not_the_value(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCONSOLE_PORT", "hush")
    result = call("up")
    assert result.exit_code == 2
    assert "OPSCONSOLE_PORT" in result.stderr
    assert "hush" not in result.stderr


def test_a_database_url_of_another_kind_is_refused(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCONSOLE_DATABASE_URL", "mysql://root:hush@localhost/x")
    result = call("db", "status")
    assert result.exit_code == 2
    assert "hush" not in result.stderr


def test_a_database_that_does_not_answer_is_said_in_one_line(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCONSOLE_DATABASE_URL", "postgresql://ada:hush@127.0.0.1:1/x")
    for command in (("db", "upgrade"), ("db", "status"), ("login-link",)):
        result = call(*command)
        assert result.exit_code == 5, result.output
        assert "database" in result.stderr
        assert "hush" not in result.output


def test_keys_are_rotated_and_the_secret_key_is_exchanged(call: Caller, tmp_path: Path) -> None:
    call("db", "upgrade")
    assert "Nothing has been sealed yet" in call("secrets", "status").stderr
    assert "Data key 1 seals all secrets now" in call("secrets", "rotate").output
    new = tmp_path / "new.key"
    assert "forget-old-key" in call("secrets", "rotate", "--new-secret-key-file", str(new)).output
    assert "opened by 2 secret keys" in call("secrets", "status").output
    assert call("secrets", "rotate").exit_code == 2
    own = tmp_path / "secret.key"
    old = own.read_text()
    own.write_text(new.read_text())
    assert call("secrets", "forget-old-key").output == "Only this secret key opens the secrets now.\n"
    assert call("secrets", "status").exit_code == 0
    own.write_text(old)
    refused = call("secrets", "rotate")
    assert (refused.exit_code, "another secret key" in refused.stderr) == (5, True)
    assert "NOT opened by this secret key" in call("secrets", "status").output
    sick = call("doctor").output
    assert "FAIL  secret key" in sick
