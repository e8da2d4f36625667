"""A pasted table with a heading names the hosts of one of its columns."""

import pytest

from opsconsole.errors import Invalid
from opsconsole.hostset import EmptyInventory, evaluate, table


def _named(text: str) -> list[str]:
    return [spec.label for spec in evaluate(text, groups=EmptyInventory()).hosts]


@pytest.mark.parametrize(
    ("text", "heading", "hosts"),
    [
        ("name,address\nweb1,10.0.0.1\nweb2,10.0.0.2\n", "name", ["web1", "web2"]),
        ('rack;"Host"\r\n3;"web1"\r\n\r\n4;"web[2-3]"\r\n', "host", ["web1", "web2", "web3"]),
        ("\ufeffhostname\tip\towner\nweb1\t10.0.0.1\tbob, eve\nweb2\t10.0.0.2\t", "hostname", ["web1", "web2"]),
        ("ip,owner\n10.0.0.1,bob\n10.0.0.2,", "ip", ["10.0.0.1", "10.0.0.2"]),
        ("主机名,地址\nweb1,10.0.0.1", "主机名", ["web1"]),
    ],
)
def test_of_a_table_only_the_column_of_the_hosts_counts(text: str, heading: str, hosts: list[str]) -> None:
    found = table(text)
    assert found is not None
    assert found.heading == heading
    assert _named(text) == hosts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web1,web2\nweb3,web4",
        "name,address",
        "host1,host2\nhost3",
        "name,address\nweb1",
        'name,address\n"web1,10.0.0.1',
        'name,address\n"web1"x,10.0.0.1',
        "name&address,host\nweb1,web2",
    ],
)
def test_what_is_no_table_stays_an_expression(text: str) -> None:
    assert table(text) is None


def test_a_fault_in_a_table_is_told_at_its_place() -> None:
    with pytest.raises(Invalid) as refused:
        evaluate("name,address\nweb1,10.0.0.1\nweb[1-,10.0.0.2", groups=EmptyInventory())
    (error,) = refused.value.errors
    assert error.column is not None
    assert 27 <= error.column <= 34
