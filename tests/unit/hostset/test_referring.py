"""Which groups an expression names."""

import pytest

from opsconsole.hostset import groups_named


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("web[01-20]", set()),
        ("@web", {"web"}),
        ("(@web & @dc:eu) ! @frozen, db1", {"web", "frozen"}),
        ("@rack[1-3] ^ root@web9", {"rack1", "rack2", "rack3"}),
        ("@*", set()),
        ("last:@web,failed:#7", {"web"}),
        ("@web, @ , @db", {"web"}),
        ("", set()),
    ],
)
def test_groups_are_found_where_they_stand(expression: str, named: set[str]) -> None:
    assert groups_named(expression) == named
