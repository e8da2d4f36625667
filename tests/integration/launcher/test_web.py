"""The web server's socket: who may reach it, and on which port."""

import socket
from pathlib import Path

import pytest

from opsconsole.errors import Invalid, Unavailable
from opsconsole.launcher import web
from opsconsole.settings import Settings


def _settings(tmp_path: Path, **values: object) -> Settings:
    return Settings(data_dir=tmp_path, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "localhost", "::1"])
def test_loopback_needs_no_promise(tmp_path: Path, host: str) -> None:
    web.check_exposure(_settings(tmp_path, host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "10.0.0.1"])
def test_beyond_loopback_somebody_has_to_vouch(tmp_path: Path, host: str) -> None:
    with pytest.raises(Invalid, match="OPSCONSOLE_BEHIND_PROXY"):
        web.check_exposure(_settings(tmp_path, host=host))
    web.check_exposure(_settings(tmp_path, host=host, behind_proxy=True))
    web.check_exposure(_settings(tmp_path, host=host, insecure_http=True))


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no address"):
        web.check_exposure(_settings(tmp_path, host="not a host"))
    with pytest.raises(Unavailable, match=r"cannot listen on 192\.0\.2\.1"):
        web.listen(_settings(tmp_path, host="192.0.2.1", port=0))


def test_a_taken_port_leads_to_the_next(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with web.listen(_settings(tmp_path, port=port)) as listener:
            assert listener.getsockname()[1] != port
            assert web.url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_addresses_of_ipv6_are_bracketed(tmp_path: Path) -> None:
    with web.listen(_settings(tmp_path, host="::1", port=0)) as listener:
        assert web.url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
