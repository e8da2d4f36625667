"""What each format says, what of it is refused with its line, and what no file may do to the console."""

import contextlib
import io
import time
import zipfile

import openpyxl
import pytest

from opsconsole.errors import Invalid, OpsconsoleError, TooLarge
from opsconsole.inventory.draft import Draft
from opsconsole.inventory.importers.reading import Format, guess, read


def draft(form: str, text: str, **files: str) -> Draft:
    return read(Format(form), text.encode(), {name.replace("__", "/"): content for name, content in files.items()})


def values(found: Draft) -> dict[str, dict[str, object]]:
    return {host.name: host.values for host in found.hosts.values()}


def faults(found: Draft) -> list[tuple[int | None, str]]:
    return [(fault.line, fault.message) for fault in found.faults]


def test_csv_sets_the_fields_of_its_columns_and_no_others() -> None:
    found = draft("csv", "Hostname;IP;SSH port;groups;tag:dc\nweb1;10.0.0.1;2222;web eu;eu-west\ndb1;;;;\n")
    assert values(found) == {
        "web1": {"address": "10.0.0.1", "port": 2222, "tags": {"dc": "eu-west"}},
        "db1": {"address": None, "port": None, "tags": {}},
    }
    assert {name: list(group.hosts) for name, group in found.groups.items()} == {"web": ["web1"], "eu": ["web1"]}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name,port\nweb1,x\n", 2, "port is a number"),
        ("name,port\n\nweb1,70000\n", 3, "port is a number"),
        ("name\n-oProxyCommand=x\n", 2, "cannot start with"),
        ("name\nweb1;id\n", 2, "cannot have"),
        ("name,colour\nweb1,red\n", 1, "tag:colour"),
        ("host,name\nweb1,web2\n", 1, "mean the same"),
        ("a,b\nweb1,x\n", 1, "Unknown column"),
        ("name\nweb1\nWEB1\n", 3, "stands in line 2"),
        ("name,port\nweb1,22,x\n", 2, "3 cells"),
        ('name,notes\nweb1,"x\n', 2, "not CSV"),
        ("name,jump\nweb1,a b\n", 2, "jump of web1"),
    ],
)
def test_csv_faults_have_their_line(text: str, line: int, words: str) -> None:
    found = draft("csv", text)
    assert faults(found)[0][0] == line
    assert words in faults(found)[0][1]


def test_a_host_with_a_faulty_value_is_left_out_as_a_whole() -> None:
    found = draft("csv", "name,address,port,groups\nweb1,10.0.0.1,x,web\nweb2,10.0.0.2,22,web\n")
    assert list(found.hosts) == ["web2"]
    assert list(found.groups["web"].hosts) == ["web2"]


def test_so_is_one_with_a_faulty_group_for_it_would_miss_what_the_group_says() -> None:
    found = draft("csv", "name,groups,port\nweb1,no$pe,22\nweb2,@prod,22\nweb3,old,x\n")
    assert faults(found)[0][0] == 2
    assert list(found.hosts) == ["web2"]
    assert {name: list(group.hosts) for name, group in found.groups.items()} == {"prod": ["web2"]}


def test_the_quote_of_an_export_comes_off_again() -> None:
    found = draft("csv", "name,notes\nweb1,'=1+1\nweb2,it's\n")
    assert [host.values["notes"] for host in found.hosts.values()] == ["=1+1", "it's"]


def workbook(*rows: tuple[object, ...]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def test_a_workbook_is_read_as_the_table_it_shows() -> None:
    content = workbook(("name", "port", "frozen", "tag:rack"), ("web1", 2222.0, True, 7), (None,), ("web2", "x", None))
    found = read(Format.XLSX, content)
    assert values(found) == {"web1": {"port": 2222, "frozen": True, "tags": {"rack": "7"}}}
    assert faults(found)[0][0] == 4


def test_a_workbook_that_unpacks_to_far_more_is_refused_unread() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * 50_000_000)
    started = time.monotonic()
    with pytest.raises(TooLarge):
        read(Format.XLSX, target.getvalue())
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip", zipfile.ZipFile.__doc__.encode()])
def test_what_is_no_workbook_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        read(Format.XLSX, content)


def test_entities_of_a_workbook_are_not_expanded() -> None:
    source = io.BytesIO(workbook(("name",), ("web1",)))
    target = io.BytesIO()
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for item in old.infolist():
            body = old.read(item)
            if item.filename == "xl/workbook.xml":
                body = bomb + body[body.index(b"<workbook") :]
            new.writestr(item.filename, body)
    with pytest.raises(Invalid):
        read(Format.XLSX, target.getvalue())


def test_pasted_lines() -> None:
    found = draft("pasted", "web[01-02] @web dc=eu\nroot@db1:2222 10.0.0.7 group=db @eu zone=x # note\n\nbad;name|\n")
    assert values(found) == {
        "web01": {"tags": {"dc": "eu"}},
        "web02": {"tags": {"dc": "eu"}},
        "db1": {"user": "root", "port": 2222, "address": "10.0.0.7", "zone": "x"},
    }
    assert sorted(found.groups) == ["db", "eu", "web"]
    assert [line for line, _ in faults(found)] == [4]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[web]\nweb[1:3\n", 2, "range"),
        ("[web]\nweb[3:1]\n", 2, "backwards"),
        ("[web]\nweb[01:100]\n", 2, "same number of digits"),
        ("[web]\nweb1 port\n", 2, "key=value"),
        ("[web]\nweb1 'x\n", 2, "quotes"),
        ("[web:things]\n", 1, ":vars or :children"),
        ("[web:children]\nnone\n", 2, "no group"),
        ("[none:vars]\na=1\n", 1, "no group"),
        ("[a:children]\nb\n[b:children]\na\n", 4, "inside of itself: a > b > a."),
        ("[web]\nweb1 ansible_host={{x}}\n", 2, "template"),
        ("[web]\nweb[1:99999999]\n", 2, "names more than"),
    ],
)
def test_ansible_ini_faults_have_their_line(text: str, line: int | None, words: str) -> None:
    found = draft("ansible-ini", text)
    assert line in [item for item, _ in faults(found)]
    assert any(words in message for _, message in faults(found)), faults(found)


def test_secrets_among_variables_do_not_become_tags() -> None:
    found = draft("ansible-ini", "[w]\nw1 ansible_password=hunter2 db_password=x api_token=y dc=eu\n")
    assert values(found) == {"w1": {"tags": {"dc": "eu"}}}
    assert "hunter2" not in "".join(found.notices)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("all:\n  hosts: [a, b]\n", 2, "names with a colon"),
        ("all:\n  things: {a: }\n", 2, "hosts, children and vars"),
        ("- a\n- b\n", 1, "starts with the name of a group"),
        ("a: b: c\n", 1, "not YAML"),
        ("plugin: aws_ec2\n", 1, "plugin"),
        ("all: {hosts: {'a;b': }}\n", 1, "cannot have"),
        ("!!python/object/apply:os.system ['id']\n", 1, ""),
    ],
)
def test_ansible_yaml_faults_have_their_line(text: str, line: int, words: str) -> None:
    found = draft("ansible-yaml", text)
    assert faults(found)[0][0] == line
    assert words in faults(found)[0][1]


def test_tags_of_yaml_make_nothing() -> None:
    text = "w: {hosts: {a: {x: !!python/object/apply:os.system ['touch /tmp/never'], y: !vault 'abc', dc: eu}}}\n"
    assert values(draft("ansible-yaml", text)) == {"a": {"tags": {"dc": "eu"}}}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "a: &a [" + "x," * 9 + "]\n" + "".join(f"b{i}: &b{i} [{'*a,' * 9}]\n" for i in range(200)),
        "a: &a {hosts: {x: }, children: {b: *a}}\n",
        "a: &a {c: }\n" + "\n".join(f"g{i}: {{children: {{<<: *a}}}}" for i in range(2000)),
        "w: {hosts: {" + "[1:2]" * 200 + ": }}",
        "w: {hosts: {a" + "[1:9]" * 6 + ": }}",
    ],
)
def test_yaml_that_would_grow_without_bound_ends_soon(text: str) -> None:
    started = time.monotonic()
    with contextlib.suppress(OpsconsoleError):
        draft("ansible-yaml", text)
    assert time.monotonic() - started < 20


def test_ssh_config_takes_the_first_value_and_heeds_negation() -> None:
    text = """\
User early
Host bastion
    HostName 192.0.2.1
Host web? !web3
    ProxyJump bastion:2200
    User late
Host web1 web3 "web9"
    Port=2222
    IdentityFile ~/.ssh/web
    HostName %h.example.com
Host old
    ProxyCommand ssh -W %h:%p inner
    User x
Host near
    ProxyJump NONE
Match host *.example.com
    Port 7
Host *
    Port 22
"""
    found = draft("ssh-config", text)
    assert values(found) == {
        "bastion": {"address": "192.0.2.1", "port": 22, "user": "early"},
        "web1": {"address": "web1.example.com", "port": 2222, "user": "early", "jump": "bastion:2200"},
        "web3": {"address": "web3.example.com", "port": 2222, "user": "early"},
        "web9": {"address": "web9.example.com", "port": 2222, "user": "early", "jump": "bastion:2200"},
        "old": {"port": 22, "user": "early", "jump": "inner"},
        "near": {"port": 22, "user": "early", "jump": "none"},
    }
    assert found.hosts["web1"].identity == "~/.ssh/web"
    assert found.faults == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('Host a\nMatch exec "touch /tmp/x"\n  Port 9\n', 2, "Match exec"),
        ("Host a\nMatch user root\n  Port 9\n", 2, "depends on who connects"),
        ("Host a\n  Include /etc/passwd\n", 2, "not handed over"),
        ("Host a\n  Include ../../x\n", 2, "not handed over"),
        ("Host a\n  Port x\n", 2, "port of a"),
        ("Host -oProxyCommand=x\n", 1, "cannot start with"),
    ],
)
def test_ssh_config_faults_have_their_line(text: str, line: int, words: str) -> None:
    found = draft("ssh-config", text)
    assert faults(found)[0][0] == line
    assert words in faults(found)[0][1]
    assert "port" not in found.hosts.get("a", Draft().host("a", 1)).values  # type: ignore[union-attr]


def test_ssh_config_includes_only_what_was_handed_over() -> None:
    found = draft(
        "ssh-config",
        "Include conf.d/*\nHost a\n  Include ports\nHost *\n  User root\n",
        conf__d__one="Host b\n  Port 1\n",
        ports="Port 2\nInclude ports\n",
        other="Host never\n",
        **{"conf.d__two": "Host c\n  Port x\n"},
    )
    assert sorted(found.hosts) == ["a"]
    assert values(found)["a"] == {"user": "root", "port": 2}
    assert [(fault.file, fault.line) for fault in found.faults if "port of" in fault.message] == [("conf.d/two", 2)]


def test_etc_hosts_passes_over_the_machine_itself() -> None:
    text = (
        "127.0.0.1 localhost\n::1 ip6-localhost\n127.0.1.1 me\nff02::1 ip6-allnodes\n10.0.0.1 web1 www # x\n10.0.0 y\n"
    )
    found = draft("etc-hosts", text)
    assert values(found) == {"web1": {"address": "10.0.0.1"}}
    assert [line for line, _ in faults(found)] == [6]


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("fleet.csv", b"", "csv"),
        ("hosts.yml", b"", "ansible-yaml"),
        ("/home/a/.ssh/config", b"", "ssh-config"),
        ("/etc/hosts", b"", "etc-hosts"),
        ("known_hosts", b"", "known-hosts"),
        ("x", b"PK\x03\x04", "xlsx"),
        ("hosts", b"# x\n[web]\nweb1\n", "ansible-ini"),
        ("x", b"Host web1\n  Port 22\n", "ssh-config"),
        ("x", b"10.0.0.1 web1\nfe80::1 web2\n", "etc-hosts"),
        ("hosts", b"127.0.0.1 localhost # this one\n10.0.0.1 web1\n10.0.0.2\n", "etc-hosts"),
        ("hosts", b"web1\nweb2\n", "pasted"),
        ("x", "10.0.0.1 web1\n".encode("utf-16"), "etc-hosts"),
        ("x", b'{"web": []}', "ansible-json"),
        ("x", b"all:\n  hosts:\n", "ansible-yaml"),
        ("x", b"web1\nweb2\n", "pasted"),
        ("x", b"web1 ssh-ed25519 AAAA\n", "known-hosts"),
    ],
)
def test_the_format_is_guessed(name: str, content: bytes, form: str) -> None:
    assert guess(name, content) == form


def test_what_a_table_calls_unicode_text_is_read_and_other_codes_get_a_hint() -> None:
    draft = read(Format.CSV, "name,notes\nweb1,机房\n".encode("utf-16"))
    assert draft.hosts["web1"].values["notes"] == "机房"
    with pytest.raises(Invalid, match="iconv"):
        read(Format.CSV, "name,notes\nweb1,机房\n".encode("gbk"))


@pytest.mark.parametrize("form", [form for form in Format if form is not Format.XLSX])
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"a\0b", b"{", b"[", b"\n" * 1000, b"=,=\n", "\u202eweb1".encode()]
)
def test_odd_content_is_a_fault_and_never_a_crash(form: Format, content: bytes) -> None:
    with contextlib.suppress(OpsconsoleError):
        assert isinstance(read(form, content), Draft)


def test_reading_stops_after_a_hundred_faults() -> None:
    found = draft("csv", "name\n" + "-x\n" * 5000)
    assert len(found.faults) == 100


def test_what_carries_out_a_hosts_runs_is_taken_over() -> None:
    text = "[web]\nweb1 ansible_connection=local\nweb2 ansible_connection=ssh\n"
    text += "[lab]\nlab1\n[lab:vars]\nopsconsole_executor=simulate\n"
    found = values(draft("ansible-ini", text))
    assert {name: host.get("executor") for name, host in found.items()} == {
        "web1": "local",
        "web2": None,
        "lab1": "simulate",
    }
    assert faults(draft("csv", "name,executor\nweb1,telnet\n"))[0][0] == 2
