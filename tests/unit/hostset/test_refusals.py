"""What is refused: the code, the column and the hint, and that nothing dangerous or secret comes back in a message."""

import time
from collections.abc import Callable

import pytest

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import EmptyInventory, Resolution, evaluate
from tests.unit.hostset.inventory import Inventory

Faults = Callable[..., tuple[FieldError, ...]]

REFUSED = [
    # ranges
    ("web[1-", 4, "unclosed_bracket"),
    ("web[1-\n2]", 4, "unclosed_bracket"),
    ("web[1-[2]]", 4, "unclosed_bracket"),
    ("web1]", 5, "bad_character"),
    ("web[5-1]", 5, "reversed_range"),
    ("web[]", 4, "empty_range"),
    ("web[1,]", 7, "bad_range"),
    ("web[01:50]", 5, "bad_range"),
    ("web[01:50:2]", 5, "bad_range"),
    ("web[1..3]", 5, "bad_range"),
    ("n[a-c]", 3, "bad_range"),
    ("n[-1-3]", 3, "bad_range"),
    ("n[1-3/0]", 3, "bad_range"),
    ("n[5/2]", 3, "bad_range"),
    ("n[1-3-5]", 3, "bad_range"),
    ("n[１-３]", 3, "bad_range"),
    ("n[1-9999999999999999999]", 3, "bad_range"),
    ("n[9-011]", 3, "padding"),
    ("n[01-100]", 3, "padding"),
    ("web{1..3}", 4, "bad_character"),
    ("web{1,3}", 4, "bad_character"),
    ("web(1-3)", 4, "missing_separator"),
    # names and addresses
    ("-oProxyCommand=x", 1, "leading_dash"),
    ("a,-b", 3, "leading_dash"),
    ("root@-b", 6, "leading_dash"),
    ("-root@b", 1, "leading_dash"),
    ("a;b|c", 4, "bad_character"),
    ("$(id)", 1, "bad_character"),
    ("`id`", 1, "bad_character"),
    ("a'b", 2, "bad_character"),
    ('a"b', 2, "bad_character"),
    ("a>b", 2, "bad_character"),
    ("a\\b", 2, "bad_character"),
    ("a\x00b", 2, "bad_character"),
    ("a\x1bb", 2, "bad_character"),
    ("a\x0bb", 2, "bad_character"),
    ("a\x85b", 2, "bad_character"),
    ("a\u200bb", 2, "bad_character"),
    ("\ufeffweb1", 1, "bad_character"),
    ("a\u202eb", 2, "bad_character"),
    ("a\ud800b", 2, "bad_character"),
    ("web１＠x", 5, "bad_character"),
    ("a#b", 2, "bad_character"),
    ("web..x", 1, "bad_name"),
    (".", 1, "bad_name"),
    ("web-", 1, "bad_name"),
    ("a.-b", 1, "bad_name"),
    ("a" * 64, 1, "bad_name"),
    ("a." * 130 + "b", 1, "bad_name"),
    ("web[1-2]-", 1, "bad_name"),
    ("xé" * 200, 1, "bad_name"),
    ("127.1", 1, "bad_address"),
    ("2130706433", 1, "bad_address"),
    ("0x7f000001", 1, "bad_address"),
    ("017700000001", 1, "bad_address"),
    ("0", 1, "bad_address"),
    ("web.0x1", 1, "bad_address"),
    ("10.0.0.256", 1, "bad_address"),
    ("10.0.0.[250-256]", 1, "bad_address"),
    ("10.0.0.01", 1, "bad_address"),
    ("fe80::g", 6, "bad_port"),
    ("fe80:::1", 1, "bad_address"),
    ("[fe80::1", 1, "unclosed_bracket"),
    ("[fe80::1]22", 10, "bad_address"),
    ("[fe80::zz]", 2, "bad_address"),
    ("fe80::1%a|b", 1, "bad_address"),
    ("10.0.0.5/24", 1, "bad_network"),
    ("10.0.0.0/33", 1, "bad_network"),
    ("10.0.0.[0-1]/24", 1, "bad_network"),
    ("web/24", 4, "bad_character"),
    ("https://web1/x", 1, "url"),
    ("web1:", 6, "bad_port"),
    ("web1:0", 6, "bad_port"),
    ("web1:65536", 6, "bad_port"),
    ("web1:ssh", 6, "bad_port"),
    ("web1:[22-23]", 6, "bad_port"),
    (":22", 1, "bad_name"),
    ("root@", 6, "bad_name"),
    ("@", 1, "bad_group"),
    ("ro ot,a@@b", 7, "bad_user"),
    ("r;é@b", 3, "bad_user"),
    ("a|b@c", 1, "bad_user"),
    ("root:pw@web1", 1, "password_in_target"),
    # groups, tags, patterns, jobs
    ("@nope", 1, "unknown_group"),
    ("web1 @nope", 6, "unknown_group"),
    ("@rack[1-3]", 1, "unknown_group"),
    ("@@web", 2, "bad_group"),
    ("@web*", 5, "bad_group"),
    ("@dc:", 5, "bad_group"),
    ("@:x", 2, "bad_group"),
    ("@web:22", 1, "unknown_tag"),
    ("@dc:mars", 1, "unknown_tag"),
    ("@planet:mars", 1, "unknown_tag"),
    ("zz*", 1, "no_match"),
    ("root@web*", 6, "bad_wildcard"),
    ("web*:22", 1, "bad_wildcard"),
    ("*" * 300, 1, "bad_wildcard"),
    ("~", 1, "bad_regex"),
    ("~(a", 1, "bad_regex"),
    ("~(?=a)", 1, "bad_regex"),
    (r"~(a)\1", 1, "bad_regex"),
    ("~((((a{100}){100}){100}){100})", 1, "bad_regex"),
    ("~" + "a" * 201, 1, "bad_regex"),
    ("~web", 1, "no_match"),
    ("~a\ud800", 3, "bad_regex"),
    ("~a\x00", 3, "bad_regex"),
    ("failed:#1042", 1, "unknown_job"),
    ("failed:#", 1, "bad_job"),
    ("failed:#x", 1, "bad_job"),
    ("failed:#" + "9" * 19, 1, "bad_job"),
    ("state(z):#1041", 1, "bad_job"),
    ("state():#1041", 1, "bad_job"),
    ("state(f):1041", 1, "bad_job"),
    ("state(ok):#1041", 1, "bad_job"),
    ("matched(x):#1041", 1, "bad_job"),
    ("matched(/x/)", 1, "bad_job"),
    ("matched(//):#1041", 10, "bad_regex"),
    ("matched(/(/):#1041", 1, "bad_regex"),
    ("matched(/a\x00/):#1041", 11, "bad_regex"),
    ("matched(/" + "a" * 201 + "/):#1041", 1, "bad_job"),
    ("matched(/x/):#7", 1, "too_much_output"),
    ("matched(/x/):#8", 1, "unknown_job"),
    ("same():#1041", 1, "bad_job"),
    ("same(db1):#1041", 1, "unknown_host"),
    ("same(web1):#8", 1, "unknown_job"),
    ("last:", 1, "bad_job"),
    ("last:@db", 1, "unknown_job"),
    # structure
    ("!a", 1, "leading_operator"),
    ("a,(&b)", 4, "leading_operator"),
    ("a!", 2, "missing_operand"),
    ("a!!b", 3, "missing_operand"),
    ("a&!b", 3, "missing_operand"),
    ("a!,b", 2, "missing_operand"),
    ("(a!)", 3, "missing_operand"),
    ("()", 1, "missing_operand"),
    ("a (", 3, "unclosed_parenthesis"),
    ("((a)", 1, "unclosed_parenthesis"),
    ("a)", 2, "unopened_parenthesis"),
    ("a(b)", 2, "missing_separator"),
    ("(a)b", 4, "missing_separator"),
    ("(" * 40 + "a" + ")" * 40, 33, "too_deep"),
]


@pytest.mark.parametrize(("targets", "column", "code"), REFUSED, ids=[repr(row[0][:30]) for row in REFUSED])
def test_refused(faults: Faults, targets: str, column: int, code: str) -> None:
    first = faults(targets)[0]
    assert (first.field, first.column, first.code) == ("targets", column, code)
    assert first.message.isprintable()
    assert first.hint is None or first.hint.isprintable()
    assert len(first.message) < 200


@pytest.mark.parametrize(("targets", "column", "code"), REFUSED[:40], ids=[repr(row[0][:30]) for row in REFUSED[:40]])
def test_refused_in_exclude_too(faults: Faults, targets: str, column: int, code: str) -> None:
    first = faults("web1", targets)[0]
    assert (first.field, first.column, first.code) == ("exclude", column, code)


@pytest.mark.parametrize("text", ["", " ", "\n\n", ",", ";;", "# web1", "#", "，"])
def test_empty_is_an_error_and_never_all(faults: Faults, text: str) -> None:
    assert [fault.code for fault in faults(text)] == ["empty"]


@pytest.mark.parametrize("text", ["a&b", "@spare", "a!a", "a^a", "web*!web*", "root@a^a"])
def test_a_set_of_nobody_is_an_error(faults: Faults, text: str) -> None:
    assert [fault.code for fault in faults(text)] == ["no_hosts"]


def test_excluding_everybody_is_an_error(faults: Faults) -> None:
    (fault,) = faults("@web", "*")
    assert fault.code == "no_hosts"
    assert fault.hint == "The exclude field takes out all 4."


def test_the_exclude_field_blocks_on_what_it_does_not_know(faults: Faults) -> None:
    for exclude, code in [("@nope", "unknown_group"), ("zz*", "no_match"), ("@dc:mars", "unknown_tag")]:
        assert [(fault.field, fault.code) for fault in faults("web1", exclude)] == [("exclude", code)]


def test_all_problems_are_told_at_once(faults: Faults) -> None:
    found = faults("web1\n@nope\nweb[5-1], db1\nx|y", "web[")
    assert [(fault.field, fault.column, fault.code) for fault in found] == [
        ("targets", 6, "unknown_group"),
        ("targets", 16, "reversed_range"),
        ("targets", 27, "bad_character"),
        ("exclude", 4, "unclosed_bracket"),
    ]
    assert found[1].message.startswith("Line 3: ")


def test_reading_stops_after_many_problems(faults: Faults) -> None:
    found = faults("@nope " * 1000)
    assert len(found) == 21
    assert found[-1].code == "too_many_problems"


def test_did_you_mean(faults: Faults) -> None:
    assert faults("@prdo")[0].hint == "Did you mean @prod?"
    assert faults("@rack3")[0].hint == "Did you mean @rack2 or @rack1?"
    assert "Did you mean" not in str(faults("@zzzzzzzz")[0].hint)


@pytest.mark.parametrize("targets", ["root:Xy7secret@web1", "root:Xy7secret", "a:b:Xy7secret", "root:22:Xy7secret@x"])
def test_a_password_never_comes_back(faults: Faults, targets: str) -> None:
    for fault in faults(targets):
        assert "Xy7secret" not in f"{fault.message} {fault.hint}"


def test_hostile_text_comes_back_printable_and_short(faults: Faults) -> None:
    (fault,) = faults("[fe80:\x1b]0x\x07" + "z" * 5000)
    assert fault.message.isprintable()
    assert len(fault.message) < 200


def test_a_bad_name_from_the_inventory_is_refused(faults: Faults, inventory: Inventory) -> None:
    for name in ("-oProxyCommand=x", "a b", "@web", "web[1-2]", "", "web*", "a\nb"):
        inventory.groups["bad"] = (name,)
        assert faults("@bad")[0].code == "bad_member"


HUGE = ["[0-999999999]", "x[1-100000][1-100000]", "n" + "[0-9]" * 60, "10.0.0.0/8", "::/0", "n[1-20000]", "n[1-10001]"]


@pytest.mark.parametrize("targets", HUGE)
def test_too_many_hosts_are_counted_and_never_expanded(faults: Faults, targets: str) -> None:
    faults(targets)  # the first call pays for imports
    started = time.process_time()
    (fault,) = faults(targets)
    assert time.process_time() - started < 0.05
    assert (fault.code, fault.column) == ("too_many_hosts", 1)


def test_the_limit_holds_for_the_whole_list(faults: Faults, resolve: Callable[..., Resolution]) -> None:
    assert resolve("n[1-6],n[4-10]", max_hosts=10).count == 10
    assert resolve("n[1-6],m[1-6]", "m[1-6]", max_hosts=10).count == 6
    assert [fault.code for fault in faults("n[1-6],m[1-6]", max_hosts=10)] == ["too_many_hosts"]
    assert [fault.code for fault in faults("n[1-11]", max_hosts=10)] == ["too_many_hosts"]


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        ("x[1-10000] " * 20, "too_many_hosts"),
        ("a" + "!b" * 20_000, "too_many_hosts"),
        (" ".join(f"é{number}" for number in range(20_000)), "too_many_hosts"),
        ("w*[1-9999] " * 30, "too_many_patterns"),
        ("a" * 262_145, "too_long"),
    ],
)
def test_work_is_bounded(faults: Faults, inventory: Inventory, targets: str, code: str) -> None:
    inventory.names = tuple(f"web{number}" for number in range(1000))
    assert faults(targets)[-1].code == code


def test_a_pattern_needs_an_inventory() -> None:
    for targets in ("*", "@*", "~.*"):
        with pytest.raises(Invalid) as caught:
            evaluate(targets, groups=EmptyInventory())
        assert caught.value.errors[0].code == "no_match"
