"""Generated expressions: agreement with ClusterShell, round trips, counts, and bounded time on any text."""

import time

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import EmptyInventory, Resolution, evaluate, fold, parse_host
from opsconsole.hostset.ranges import parse_template
from tests.unit.hostset.inventory import Inventory

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@st.composite
def ranges(draw: st.DrawFn) -> str:
    low = draw(st.integers(0, 120))
    high = low + draw(st.integers(0, 12))
    width = len(str(high)) + draw(st.integers(0, 1)) if draw(st.booleans()) else 1
    if width > 1:
        width = max(width, len(str(high)))
    step = draw(st.sampled_from(["", "", "/1", "/2", "/3"]))
    if low == high:
        return f"{low:0{width}d}"
    return f"{low:0{width}d}-{high:0{width}d}{step}"


brackets = st.lists(ranges(), min_size=1, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
stems = st.sampled_from(["n", "web", "dc-", "a_", "x1y"])
ends = st.sampled_from(["", "x", ".example", "-b"])
items = st.one_of(
    st.tuples(stems, brackets, ends).map("".join),
    st.tuples(stems, brackets, st.sampled_from(["r", "-", ".n"]), brackets, ends).map("".join),
    st.tuples(stems, st.integers(0, 30).map(str), ends).map("".join),
)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    text = draw(items)
    for _ in range(draw(st.integers(0, 5))):
        text += draw(st.sampled_from([",", ",", "!", "&", "^", " , ", " ! "])) + draw(items)
    return text


def read(targets: str, exclude: str = "") -> Resolution | None:
    """Returns the hosts, or None for a set of nobody."""
    try:
        return evaluate(targets, exclude, groups=EmptyInventory())
    except Invalid as error:
        if error.errors[0].code == "no_hosts":
            return None
        raise


@relaxed
@given(expressions())
def test_means_what_clustershell_means(text: str) -> None:
    try:
        oracle = NodeSet(text, resolver=RESOLVER_NOGROUP)
    except NodeSetException:
        assume(False)
    found = read(text)
    assert set(() if found is None else found.labels) == set(oracle)


@relaxed
@given(st.lists(items, min_size=1, max_size=5), st.lists(items, max_size=3))
def test_exclude_is_a_difference_of_everything_before(targets: list[str], exclude: list[str]) -> None:
    oracle = NodeSet(resolver=RESOLVER_NOGROUP)
    try:
        for item in targets:
            oracle.update(item)
        for item in exclude:
            oracle.difference_update(item)
    except NodeSetException:
        assume(False)
    found = read(" ".join(targets), "\n".join(exclude))
    labels = () if found is None else found.labels
    assert set(labels) == set(oracle)
    assert len(labels) == len(oracle)


@relaxed
@given(items)
def test_the_arithmetic_count_is_the_number_expanded(text: str) -> None:
    template = parse_template(text, 0)
    assert template.count == len(list(template.expand()))


decorated = st.tuples(
    st.sampled_from(["", "root@", "deploy@"]),
    st.one_of(items, st.just("10.1.[0-1].[7-9]")),
    st.sampled_from(["", ":22"]),
).map("".join)


@relaxed
@given(st.lists(st.one_of(decorated, st.sampled_from(["fe80::1", "[::1]:22", "root@fe80::a"])), min_size=1, max_size=6))
def test_folding_and_reading_again_gives_the_same_hosts(texts: list[str]) -> None:
    found = evaluate(",".join(texts), groups=EmptyInventory())
    again = evaluate(found.folded, groups=EmptyInventory())
    assert set(again.labels) == set(found.labels)
    assert again.digest == found.digest
    assert fold(again.labels) == found.folded


@relaxed
@given(expressions())
def test_every_host_is_written_as_it_can_be_read(text: str) -> None:
    found = read(text)
    for host in () if found is None else found.hosts[:20]:
        assert parse_host(host.label) == host


PIECES = ["web", "[1-3]", "[", "]", "(", ")", "!", "&", "^", ",", " ", "\n", "#", "@", "@web", "@dc:eu-west", ":", "22"]
PIECES += ["~", "*", "?", "/", "-", "{1..3}", "é", "\x00", "\\", "fe80::1", "[fe80::1]", "10.0.0.0/30", "failed:#1041"]
PIECES += ["matched(/", "/):#1041", "same(web1):", "last:"]
PIECES += ["state(f)", "state(", "|", "%", ".", "9" * 30, "\ud800", "，", "$", "0", "\u200b", "a" * 64]
grammatical = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def judge(targets: str, exclude: str = "") -> Resolution | tuple[FieldError, ...]:
    """Returns the hosts or the problems; any other exception is a fault of the product."""
    try:
        return evaluate(targets, exclude, groups=Inventory(), suggestions=lambda: Inventory().groups)
    except Invalid as refusal:
        return refusal.errors


@relaxed
@given(st.one_of(grammatical, st.text(max_size=200)), st.one_of(st.just(""), grammatical))
def test_any_text_gives_hosts_or_a_clear_refusal_in_time(targets: str, exclude: str) -> None:
    started = time.process_time()
    verdict = judge(targets, exclude)
    assert time.process_time() - started < 1
    if isinstance(verdict, Resolution):
        assert verdict.hosts
        assert all(host.label.isascii() and not host.label.startswith("-") for host in verdict.hosts)
        return
    assert verdict
    for error in verdict:
        text = targets if error.field == "targets" else exclude
        assert error.column is None or 1 <= error.column <= len(text) + 1
        assert error.message.isprintable()
        assert error.hint is None or error.hint.isprintable()


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PIECES), st.sampled_from(PIECES), st.sampled_from(["", " ", ",", "!"]))
def test_long_repetitive_text_ends_in_time(first: str, second: str, between: str) -> None:
    unit = first + second + between
    started = time.process_time()
    assert judge(unit * (64 * 1024 // len(unit)))
    assert time.process_time() - started < 5


@relaxed
@given(st.lists(st.text(max_size=30), max_size=30))
def test_folding_takes_any_text(names: list[str]) -> None:
    assert isinstance(fold(names), str)
