"""What expressions name: each rule of the grammar by example."""

from collections.abc import Callable

import pytest

from opsconsole.errors import Invalid
from opsconsole.hostset import EmptyInventory, HostSpec, Resolution, evaluate, parse_host
from tests.unit.hostset.inventory import Inventory

NAMES = [
    ("web1", "web1"),
    ("a b\tc\nd\r\ne,f;g", "a b c d e f g"),
    (" , a ,, b ; ", "a b"),
    ("a\u00a0b\u3000c", "a b c"),
    ("a，b；c、d", "a b c d"),  # what a Chinese keyboard gives
    ("web1 # all of it, (really)! [1-\nweb2", "web1 web2"),
    ("web1,#web9\nweb2", "web1 web2"),
    ("(web1 #)\n)", "web1"),
    ("my_host.example.com", "my_host.example.com"),
    ("web1.example.com.", "web1.example.com"),
    ("Web1 web1 WEB1", "Web1"),
    ("host.example:22", "host.example:22"),
    ("root@web1 _svc@web1 win$@web1", "root@web1 _svc@web1 win$@web1"),
    ("a" * 63 + ".x", "a" * 63 + ".x"),
    ("bücher.de", "xn--bcher-kva.de"),
    ("xn--bcher-kva.de bücher.de", "xn--bcher-kva.de"),
    ("ｗｅｂ１", "web1"),
    ("数据.例子", "xn--vxup8b.xn--fsqu00a"),
    ("failed state:22", "failed state:22"),
]

ADDRESSES = [
    ("127.0.0.1", "127.0.0.1"),
    ("root@10.0.0.7:22", "root@10.0.0.7:22"),
    ("fe80::1", "fe80::1"),
    ("FE80:0:0::1", "fe80::1"),
    ("[fe80::1]", "fe80::1"),
    ("[fe80::1]:22", "[fe80::1]:22"),
    ("root@fe80::1 root@[fe80::2]:22", "root@fe80::1 root@[fe80::2]:22"),
    ("fe80::1%eth0 [fe80::1%eth0]:22", "fe80::1%eth0 [fe80::1%eth0]:22"),
    ("::1", "::1"),
    ("fe80::1:22", "fe80::1:22"),  # without brackets the last group belongs to the address
    ("10.0.0.0/30", "10.0.0.1 10.0.0.2"),
    ("10.0.0.8/31 10.0.0.7/32", "10.0.0.8 10.0.0.9 10.0.0.7"),
    ("root@10.0.0.0/30:2222", "root@10.0.0.1:2222 root@10.0.0.2:2222"),
    ("2001:db8::/126", "2001:db8::1 2001:db8::2 2001:db8::3"),
]

RANGES = [
    ("web[1-3]", "web1 web2 web3"),
    ("web[01-03]", "web01 web02 web03"),
    ("web[8-11]", "web8 web9 web10 web11"),
    ("web[08-11]", "web08 web09 web10 web11"),
    ("web[1-9/4]", "web1 web5 web9"),
    ("web[5,1-2]", "web5 web1 web2"),  # in the order written
    ("web[ 1 - 2, 5 ]", "web1 web2 web5"),
    ("n[2,01,001]", "n2 n01 n001"),
    ("n[5-5]", "n5"),
    ("n[0-0]", "n0"),
    ("dc[1-2]n[1-2]", "dc1n1 dc1n2 dc2n1 dc2n2"),
    ("n[1-2][3-4]", "n13 n14 n23 n24"),
    ("node-00[1-2]0", "node-0010 node-0020"),
    ("n1[1-5/2]", "n11 n13 n15"),
    ("n0[9-10]", "n09 n010"),
    ("[1-2]web", "1web 2web"),
    ("root@web[1-2]:22", "root@web1:22 root@web2:22"),
    ("10.0.[0-1].[1-2]", "10.0.0.1 10.0.0.2 10.0.1.1 10.0.1.2"),
    ("é[1-2]", "xn--1-9fa xn--2-9fa"),
]

OPERATORS = [
    ("n[1-5],n9!n3&n[1-4]", "n1 n2 n4"),
    ("n[1-4]!n[2-3],n2", "n1 n4 n2"),
    ("n[1-3]^n[2-4]", "n1 n4"),
    ("a b & b", "b"),
    ("a, !b", "a"),
    ("n[1-3] ! n2\n& n[1-2]", "n1"),
    ("n[1-4]!(n[1-4]&n[2-3])", "n1 n4"),
    ("(a,b)^(b,c)", "a c"),
    ("((((a))))", "a"),
    ("(a) (b),(c)", "a b c"),
    ("n[1-4]&(n3,n1)", "n1 n3"),  # the order of the left side
    ("root@n[1-3]!n2", "root@n1 root@n3"),
    ("n[1-2]:22&n2", "n2:22"),
    ("n1!root@n1", "n1"),
    ("root@n1:22!n1:22", ""),
    ("root@n1 n2 ^ n[1-3]", "n3"),
    ("N1,n2!n1", "n2"),
]

REFERENCES = [
    ("@web", "web1 web2 web3 web4"),
    ("@web&@prod", "web1 web2"),
    ("@spare web9", "web9"),
    ("@rack[1-2]", "web1 web2 db2"),
    ("@数据库", "db1 db2"),
    ("@dc:eu-west", "web1 db1"),
    ("@*", "web1 web2 web3 web4 db1 db2"),
    ("*", "web1 web2 web3 web4 db1 db2"),
    ("*1", "web1 db1"),
    ("DB?", "db1 db2"),
    ("web[1-2]*", "web1 web2"),
    ("*[2-3]", "web2 web3 db2"),
    ("~web[12]", "web1 web2"),
    ("~^(web|db)1$", "web1 db1"),
    ("~web1|db1", "web1 db1"),
    ("~web1|^db1", "web1 db1"),
    ("~[^w].*,web9", "db1 db2 web9"),
    ("~WEB[1,2]", "web1 web2"),
    (r"~\w\w\d web1", "db1 db2 web1"),
    (r"~\W|web1 ~\w\w\d", "web1 db1 db2"),
    ("(~web.*)!~.*[12]", "web3 web4"),
    ("~db.^db1", "db2"),
    ("~.{3,3}&@prod", "db1"),
    ("failed:#1041", "web2 web3"),
    ("state(f,u):#1041,db1", "web2 web3 db1"),
    ("state(fu):#1041!state(u):#1041", "web2"),
    ("state(Failed, unreachable):#1041", "web2 web3"),
    ("state(timed-out,f):#1041", "web2"),
    ("(matched(/^ok [(]?1[.]2$/):#1041,db1)!web4", "web1 db1"),
    ("matched(/full, [0-9] (of|in)/):last:@web", "web2"),
    (r"matched(/a\/b|disk/):#1041", "web2"),
    ("same(web4):#1041&last:@web", "web1 web4"),
    ("failed:last:@web,last:22", "web2 web3 last:22"),
    ("matched last same", "matched last same"),
]


@pytest.mark.parametrize(("targets", "expected"), NAMES + ADDRESSES + RANGES + REFERENCES)
def test_items(labels: Callable[..., str], targets: str, expected: str) -> None:
    assert labels(targets) == expected


@pytest.mark.parametrize(("targets", "expected"), OPERATORS)
def test_operators(labels: Callable[..., str], targets: str, expected: str) -> None:
    # A host of its own keeps the sets that come out empty from being an error.
    assert labels(f"({targets}),zz") == f"{expected} zz".lstrip()


@pytest.mark.parametrize(
    ("targets", "exclude", "hosts", "excluded"),
    [
        ("n[1-3]", "n2", "n1 n3", "n2"),
        ("n[1-3]", "", "n1 n2 n3", ""),
        ("n[1-3]", " # nobody\n", "n1 n2 n3", ""),
        ("n[1-3]", "n9", "n1 n2 n3", ""),
        ("n[1-3]!n1", "n2", "n3", "n1 n2"),
        ("n1!n1,n1,n2", "", "n1 n2", ""),  # taken out, and brought back by the later union
        ("n2,n1,n2", "N2", "n1", "n2"),
        ("root@n[1-2]:22", "n1", "root@n2:22", "root@n1:22"),
        ("n1 root@n1", "root@n1", "n1", "root@n1"),
        ("@web", "@prod", "web3 web4", "web1 web2"),
        ("10.0.0.[1-3]", "10.0.0.0/31", "10.0.0.2 10.0.0.3", "10.0.0.1"),
    ],
)
def test_exclude_is_applied_last(
    resolve: Callable[..., Resolution], targets: str, exclude: str, hosts: str, excluded: str
) -> None:
    found = resolve(targets, exclude)
    assert " ".join(found.labels) == hosts
    assert " ".join(host.label for host in found.excluded) == excluded


@pytest.mark.parametrize(
    ("targets", "duplicates"), [("a b", 0), ("a a A", 2), ("n[1-3,2-5]", 2), ("@web @prod @web", 6), ("(a,a),a", 2)]
)
def test_duplicates_are_counted(resolve: Callable[..., Resolution], targets: str, duplicates: int) -> None:
    assert resolve(targets).duplicates == duplicates


def test_a_resolution_tells_its_count_digest_and_ranges(resolve: Callable[..., Resolution]) -> None:
    found = resolve("web[01-03] db1 root@web9:22")
    assert found.count == 5
    assert found.folded == "db1,root@web9:22,web[01-03]"
    assert found.digest == resolve("root@web9:22 db1 WEB03 web[01-02]").digest
    assert found.digest != resolve("web[01-03] db1 web9").digest
    assert found.digest.startswith("sha256:")
    assert len(found.digest) == 71


def test_a_host_keeps_its_parts(resolve: Callable[..., Resolution]) -> None:
    assert resolve("root@web1:2222 [fe80::1]:22").hosts == (
        HostSpec("web1", "root", 2222),
        HostSpec("fe80::1", None, 22),
    )


def test_the_inventory_is_asked_once_for_each_thing(resolve: Callable[..., Resolution], inventory: Inventory) -> None:
    resolve("@web,@web!@prod & @web, w* ~web.* d*", "@prod")
    assert sorted(inventory.questions) == ["all names", "group prod", "group web"]


def test_plain_names_ask_the_inventory_nothing(resolve: Callable[..., Resolution], inventory: Inventory) -> None:
    resolve("web[1-9],10.0.0.1", "web2")
    assert inventory.questions == []


def test_members_may_carry_users_and_ports(resolve: Callable[..., Resolution], inventory: Inventory) -> None:
    inventory.groups["mixed"] = ("root@web1:2222", "[fe80::1]:22", "web2")
    assert " ".join(resolve("@mixed").labels) == "root@web1:2222 [fe80::1]:22 web2"


def test_an_empty_inventory_is_enough_for_names() -> None:
    assert evaluate("web[1-2]", groups=EmptyInventory()).labels == ("web1", "web2")


@pytest.mark.parametrize("text", ["web1", "root@web1:2222", "[fe80::1]:22", "root@fe80::1", "10.0.0.1"])
def test_one_host_is_read_and_written_alike(text: str) -> None:
    assert parse_host(text).label == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "web[1-2]", "a b", "a,b", "a!b", "(a)", "@web", "~a", "web*", "10.0.0.0/30", "-a", "a\n", "x" * 300000],
)
def test_more_or_less_than_one_host_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_host(text)
    assert caught.value.errors[0].field == "host"
