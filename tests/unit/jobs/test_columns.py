"""Values out of what hosts wrote: each kind of column, hostile output, order and sums."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole.errors import Invalid
from opsconsole.jobs.columns import MAX_COLUMNS, READ_BYTES, VALUE_CHARS, Asked, in_order, number_of, sums

DF = b"""Filesystem  Size Used Avail Use% Mounted on
/dev/sda1   20G  9G   11G  45%  /
/dev/sdb1  2.0T 1.9T  100G  95%  /var
"""


@pytest.mark.parametrize(
    ("column", "output", "expected"),
    [
        ("json:.a.b[0]", b'{"a": {"b": [7, 8]}}', "7"),
        ("json:a.b[-1]", b'starting\n{"a": {"b": [7, 8]}}\ndone\n', "8"),
        ("json:$", b'{"a": [1, 2]}', '{"a":[1,2]}'),
        ('json:["x.y"].ok', b'[info] go\n{"x.y": {"ok": true}}', "true"),
        ("json:[0]", b"[null]", "null"),
        ("json:a", b'{"b": 1}', None),
        ("json:a", b"no json", None),
        ("json:a", b"[" * 100_000, None),
        ("key:VERSION_ID", b'NAME="Ubuntu"\nVERSION_ID="22.04"\n', "22.04"),
        ("key:Model name", b"CPU(s):  8\r\nModel name:   Xeon  \r\n", "Xeon"),
        ("key:PATH", b"export PATH=/bin\n", "/bin"),
        ("key:size", b'  "size": 12,\n', "12"),
        ("key:VERSION", b"VERSION_ID=1\n", None),
        ("key:EMPTY", b"EMPTY=\nNEXT=1\n", ""),
        (r"re:load average: ([\d.]+)", b"up 3 days, load average: 0.42, 0.40\n", "0.42"),
        (r"re:(?P<load>[\d.]+), ", b"load average: 0.42, 0.40\n", "0.42"),
        (r"re:^\d+$", b"a\n17\n", "17"),
        ("re:x(y)?", b"x\n", None),
        ("re:e", b"\x1b[31mred\x1b[0m", "e"),
        ("table:Use%", DF, "45%"),
        ("table:Use%@/var", DF, "95%"),
        ("table:Mounted@/var", DF, "/var"),
        ("table:Use%@/home", DF, None),
        ("table:CMD", b"PID CMD\n 12 python3 -m app\n", "python3 -m app"),
        ("re:.+", "a\x00\u202eb\xff".encode("latin-1", "replace"), "a ?b"),
        ("re:.+", b"x" * 1000, "x" * (VALUE_CHARS - 1) + "…"),
    ],
)
def test_a_column_finds_its_value(column: str, output: bytes, expected: str | None) -> None:
    assert Asked.parse([column]).of(output) == (expected,)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["json:.a.b", "key:NAME", "re:a+", "table:Use%@/"], ("a.b", "NAME", "a+", "Use%@/")),
        (["disk=table:Use%@/", "", "key:disk"], ("disk", "disk_2")),
        (["key:host", "host_2=key:x", "key:host"], ("host_2", "host_2_2", "host_3")),
        ([r"re:(?P<a>\d)(\d)(?P<b>\d)"], ("a", "b")),
        ([r"load=re:(?P<one>\d) (?P<two>\d)"], ("load.one", "load.two")),
    ],
)
def test_columns_have_names_of_their_own(columns: list[str], names: tuple[str, ...]) -> None:
    assert Asked.parse(columns, taken=["host"]).names == names


@pytest.mark.parametrize(
    "columns",
    [
        ["what"],
        ["json:a[b"],
        ["re:("],
        ["re:)("],
        ["re:(?=a)"],
        ["re:((a{100}){100}){100}"],
        ["table:@x"],
        ["key:"],
        ["key:a"] * 9,
        ["re:" + "".join(f"(?P<a{n}>x)" for n in range(MAX_COLUMNS + 1))],
        ["key:" + "a" * 500],
    ],
)
def test_what_has_no_meaning_is_refused(columns: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        Asked.parse(columns)
    assert refused.value.errors[0].field == "column"


def test_only_the_beginning_is_read_and_never_for_long() -> None:
    begin = time.process_time()
    hostile = Asked.parse(["json:a", "key:a", "re:(a|a?)+b$", "table:b", r"re:(?:x*)*y(z)"])
    hostile.of(b"a" * (8 * READ_BYTES))
    hostile.of(b"[\n" * READ_BYTES)
    assert hostile.of(b"x" * READ_BYTES + b"\nyz\n") == (None,) * 5
    assert time.process_time() - begin < 5


@given(st.binary(max_size=300), st.text(max_size=30))
@settings(max_examples=150, deadline=None)
def test_whatever_comes_is_answered_or_refused(output: bytes, what: str) -> None:
    for kind in ("json", "key", "re", "table"):
        try:
            asked = Asked.parse([f"{kind}:{what}"])
        except Invalid:
            continue
        assert all(value is None or value == "" or value.isprintable() for value in asked.of(output))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("42", 42),
        ("-1.5e3", -1500),
        ("97%", 97),
        ("1.5G", 1.5 * 1024**3),
        ("2 KiB", 2048),
        ("5.10.0", None),
        ("", None),
    ],
)
def test_numbers_are_read(value: str, number: float | None) -> None:
    assert number_of(value) == number


def test_values_have_an_order_and_sums() -> None:
    values = {0: "900M", 1: None, 2: "1.5G", 3: "5.10.0", 4: "5.9.2", 5: "10K", 6: "900M"}
    assert in_order(values) == [5, 0, 6, 2, 4, 3, 1]
    assert in_order(values, descending=True) == [3, 4, 2, 0, 6, 5, 1]
    asked = Asked.parse(["size=key:a"])
    assert sums(asked, [(value,) for value in values.values()]) == [
        {
            "name": "size",
            "source": "size=key:a",
            "filled": 6,
            "missing": 1,
            "distinct": 5,
            "common": [["900M", 2], ["10K", 1], ["1.5G", 1], ["5.9.2", 1], ["5.10.0", 1]],
            "numbers": 4,
            "min": "10K",
            "median": "900M",
            "max": "1.5G",
        }
    ]
