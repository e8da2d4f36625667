"""What the API says of a field that cannot be, in words that a person can act on."""

from collections.abc import Callable

import pytest

from opsconsole.accounts.permissions import Role
from tests.functional.api.callers import Program


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_names_the_field_and_the_range(program: Callable[..., Program], port: int) -> None:
    refused = program(Role.ADMIN).post("inventory/hosts", {"name": "web1", "port": port})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "port")
    assert "A port is a number from 1 to 65535." in refused.json["detail"]
