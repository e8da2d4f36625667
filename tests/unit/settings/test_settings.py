"""Settings come from the environment, strictly, and never repeat a value they cannot use."""

import os
import stat
import threading
from pathlib import Path

import pytest

from opsconsole.errors import Invalid
from opsconsole.settings import Settings, WorkerPool, child_environment, read_or_create_secret

CANARY = "hunter2-canary"


def refused() -> str:
    """Returns everything that the refusal of the present environment says."""
    with pytest.raises(Invalid) as caught:
        Settings.load()
    error = caught.value
    assert error.code == "settings"
    assert error.__cause__ is None
    return f"{error.detail} {error.errors} {error.extra} {error!r}"


def test_defaults_are_safe() -> None:
    settings = Settings.load()
    assert settings.host == "127.0.0.1"
    assert settings.host_key_policy == "strict"
    assert not settings.use_ambient_keys
    assert not settings.allow_loopback
    assert not settings.allow_unlisted_hosts
    assert not settings.insecure_http
    assert settings.embedded_broker
    assert settings.database.startswith("sqlite:///")


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {
        "DATA_DIR": str(tmp_path),
        "WORKER_POOL": "threads",
        "KEY_FILES": "web=/keys/web, db=/keys/db",
        "ALLOWED_NETWORKS": "10.0.0.0/8, fd00::/8",
        "USE_AMBIENT_KEYS": "1",
        "PORT": "9000",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"OPSCONSOLE_{name}", value)
    settings = Settings.load()
    assert settings.data_dir == tmp_path
    assert settings.worker_pool is WorkerPool.THREADS
    assert settings.key_files == {"web": Path("/keys/web"), "db": Path("/keys/db")}
    assert settings.allowed_networks == ("10.0.0.0/8", "fd00::/8")
    assert settings.use_ambient_keys
    assert Settings.load(port=9001).port == 9001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", CANARY),
        ("PORT", "70000"),
        ("WORKER_POOL", CANARY),
        ("HOST_KEY_POLICY", "none"),
        ("KEY_FILES", f"{CANARY}="),
        ("KEY_FILES", CANARY),
        ("ALLOWED_NETWORKS", CANARY),
        ("DATABASE_URL", f"mysql://root:{CANARY}@db/x"),
        ("BROKER_URL", f"http://:{CANARY}@broker"),
        ("BROKER_URL", f"redis://:{CANARY}℀@broker/0"),
        ("BROKER_URL", f"redis://[{CANARY}/0"),
        ("BROKER_URL", f"redis://[{CANARY}]/0"),
        ("SECRET_KEY", "short"),
        ("COMMAND_TIMEOUT", "-1"),
        ("WORKER_SLOTS", "0"),
        ("USE_AMBIENT_KEYS", CANARY),
    ],
)
def test_what_cannot_be_used_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"OPSCONSOLE_{name}", value)
    said = refused()
    assert CANARY not in said
    assert f"OPSCONSOLE_{name}" in said or name.lower() in said


def test_all_faults_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCONSOLE_PORT", "x")
    monkeypatch.setenv("OPSCONSOLE_WORKERS", "-1")
    said = refused()
    assert "OPSCONSOLE_PORT" in said
    assert "OPSCONSOLE_WORKERS" in said


@pytest.mark.parametrize(
    ("dead", "sweep", "heartbeat", "said"),
    [
        ("2.9", "1", "1", "worker_dead_seconds must be at least 3 times sweep_seconds, here 3"),
        ("9", "1", "5", "worker_dead_seconds must be at least 2 times heartbeat_seconds, here 10"),
        ("10", "1", "5", None),
        ("3", "1", "1", None),
    ],
)
def test_a_living_worker_is_not_taken_for_a_lost_one(
    monkeypatch: pytest.MonkeyPatch, dead: str, sweep: str, heartbeat: str, said: str | None
) -> None:
    monkeypatch.setenv("OPSCONSOLE_WORKER_DEAD_SECONDS", dead)
    monkeypatch.setenv("OPSCONSOLE_SWEEP_SECONDS", sweep)
    monkeypatch.setenv("OPSCONSOLE_HEARTBEAT_SECONDS", heartbeat)
    if said is None:
        assert Settings.load().worker_dead_seconds == float(dead)
    else:
        assert said in refused()


def test_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://console:pw@db/console\n")
    monkeypatch.setenv("OPSCONSOLE_DATABASE_URL_FILE", str(tmp_path / "url"))
    assert Settings.load().database == "postgresql+psycopg://console:pw@db/console"
    monkeypatch.setenv("OPSCONSOLE_DATABASE_URL", "sqlite:////tmp/other.db")
    assert Settings.load().database == "sqlite:////tmp/other.db"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"", b"short\n"])
def test_a_file_without_a_usable_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("OPSCONSOLE_SECRET_KEY_FILE", str(tmp_path / "key"))
    assert "OPSCONSOLE_SECRET_KEY" in refused()


def test_secrets_do_not_show_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCONSOLE_DATABASE_URL", f"postgresql://console:{CANARY}@db/console")
    monkeypatch.setenv("OPSCONSOLE_BROKER_URL", f"redis://:{CANARY}@broker/0")
    monkeypatch.setenv("OPSCONSOLE_SECRET_KEY", f"{CANARY}-{CANARY}")
    monkeypatch.setenv("OPSCONSOLE_TOKEN", CANARY)
    settings = Settings.load()
    assert CANARY not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert CANARY in settings.database


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_by_any_of_its_names(scheme: str) -> None:
    assert Settings.load(database_url=f"{scheme}://u@h/d").database == "postgresql+psycopg://u@h/d"


@pytest.mark.parametrize("url", ["redis://h/0", "rediss://h/0", "amqp://h//", "amqps://h//", "redis+socket:///run/x"])
def test_brokers(url: str) -> None:
    settings = Settings.load(broker_url=url)
    assert settings.broker == url
    assert not settings.embedded_broker


def test_nothing_changes_while_it_runs(settings: Settings) -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_the_broker_socket_fits_whatever_the_data_folder(tmp_path: Path) -> None:
    assert Settings.load(data_dir="/srv/console").broker_socket == Path("/srv/console/run/broker.sock")
    deep = Settings.load(data_dir=tmp_path / ("d" * 120)).broker_socket
    assert len(os.fsencode(deep)) < 104
    assert deep == Settings.load(data_dir=tmp_path / ("d" * 120)).broker_socket
    assert deep != Settings.load(data_dir=tmp_path / ("e" * 120)).broker_socket


def test_a_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(read_or_create_secret(tmp_path / "d" / "secret.key")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found[0]) >= 43
    assert stat.S_IMODE((tmp_path / "d" / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["secret.key"]


def test_a_secret_file_that_was_cut_short_is_refused(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "secret.key").write_text("")
    with pytest.raises(Invalid, match="restore it"):
        settings.secret()


def test_what_a_child_is_told_is_read_back_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = {"data_dir": tmp_path, "key_files": {"a": Path("/k/a")}, "use_ambient_keys": True, "workers": 3}
    for name, value in child_environment(told).items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert {name: getattr(settings, name) for name in told} == told


@pytest.mark.parametrize("value", ["11,100", "0,1,2", "100,11,1000", "a,b,c", "1,2,3,4", ""])
def test_tiers_are_three_rising_numbers(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OPSCONSOLE_TIER_HOSTS", value)
    if value:
        assert "three rising numbers" in refused()
    else:
        assert Settings.load().tier_hosts == (11, 100, 1000)


def test_tiers_and_tags_of_production_are_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCONSOLE_TIER_HOSTS", "5, 50, 500")
    monkeypatch.setenv("OPSCONSOLE_PROTECTED_TAGS", "live, env=prod")
    settings = Settings.load()
    assert (settings.tier_hosts, settings.protected_tags) == ((5, 50, 500), ("live", "env=prod"))


def test_a_pattern_of_raw_mode_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCONSOLE_RAW_PROMPT", "(?<=x)$")
    assert "RE2" in refused()


def test_each_value_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "most").write_text("500\n")
    monkeypatch.setenv("OPSCONSOLE_MAX_TARGETS_FILE", str(tmp_path / "most"))
    monkeypatch.setenv("OPSCONSOLE_CONCURRENCY", "7")
    monkeypatch.setenv("OPSCONSOLE_JUMP", "")
    settings = Settings.load(ssh_port=2222)
    names = ("max_targets", "concurrency", "jump", "ssh_port", "kill_grace")
    assert [settings.source(name) for name in names] == ["file", "environment", "default", "start", "default"]
