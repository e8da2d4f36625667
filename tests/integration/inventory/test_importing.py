"""An import: what it shows is what it does, and nothing is taken away unless that is asked for."""

import base64
import csv
import hashlib
import hmac
import io
import json

import openpyxl
import pytest
from sqlalchemy import select

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.audit.models import AuditRecord
from opsconsole.db.database import Database
from opsconsole.errors import Conflict, Forbidden, Invalid
from opsconsole.inventory import exports, groups, host_authorities, hostkeys, importing, service
from opsconsole.inventory.fields import GROUP_FIELDS
from opsconsole.inventory.formats import ExportFormat, Format
from opsconsole.inventory.host_authorities import Vouchers
from opsconsole.inventory.importers.reading import read
from opsconsole.inventory.importing import Import
from opsconsole.inventory.known_hosts import Authority
from opsconsole.inventory.models import HostKey, KeyStatus
from opsconsole.inventory.plan import Plan, compare
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.inventory.snapshot import GroupState, Snapshot, snapshot
from tests.support.clock import START
from tests.support.factories import make_host, make_key

ADMIN = Actor(1, "admin", Role.ADMIN)


def look(database: Database, wanted: Import) -> Plan:
    with database.read() as session:
        return importing.look(session, wanted, ADMIN)


def take(database: Database, wanted: Import, *, skip_faulty: bool = False, digest: str | None = None) -> Plan:
    expect = digest or look(database, wanted).digest
    with database.transaction() as session:
        return importing.run(session, wanted, expect=expect, skip_faulty=skip_faulty, actor=ADMIN, now=START)


def text(form: str, content: str, *, prune: bool = False, **more: dict[str, str]) -> Import:
    return Import(Format(form), content.encode(), prune=prune, **more)


def known(database: Database) -> Snapshot:
    with database.read() as session:
        return snapshot(session)


def shown(plan: Plan) -> list[tuple[str, str, str]]:
    return [(change.kind, change.action, change.name) for change in plan.changes]


def test_it_adds_and_changes_field_by_field_and_removes_only_when_asked(either_database: Database) -> None:
    database = either_database
    take(database, text("csv", "name,address,port,groups,tag:dc\nweb1,10.0.0.1,22,web,eu\nweb2,,,web,\ndb1,,,db,us\n"))
    second = "name,address,tag:dc,groups\nweb1,10.0.0.2,us,web\nweb3,,eu,new\n"
    plan = look(database, text("csv", second))
    assert shown(plan) == [("host", "changed", "web1"), ("host", "added", "web3"), ("group", "added", "new")]
    assert [(part.field, part.before, part.after) for part in plan.changes[0].fields] == [
        ("address", "10.0.0.1", "10.0.0.2"),
        ("tag dc", "eu", "us"),
    ]
    pruned = look(database, text("csv", second, prune=True))
    assert [item for item in shown(pruned) if item[1] != "added"] == [
        ("host", "changed", "web1"),
        ("host", "removed", "db1"),
        ("host", "removed", "web2"),
        ("group", "changed", "web"),
        ("group", "removed", "db"),
    ]
    take(database, text("csv", second, prune=True))
    after = known(database)
    assert list(after.hosts) == ["web1", "web3"]
    assert {name: group.hosts for name, group in after.groups.items()} == {"new": ("web3",), "web": ("web1",)}
    # The port was no column of the second file: it stays.
    assert after.hosts["web1"].values["port"] == 22
    assert after.hosts["web1"].version == 2
    assert shown(look(database, text("csv", second, prune=True))) == []


def test_what_was_shown_is_what_is_done_or_nothing_is(database: Database) -> None:
    wanted = text("pasted", "web1 10.0.0.1\nweb2\n")
    digest = look(database, wanted).digest
    with database.transaction() as session:
        make_host(session, "web1", address="10.9.9.9")
    with pytest.raises(Conflict) as caught:
        take(database, wanted, digest=digest)
    assert caught.value.code == "inventory_changed"
    assert list(known(database).hosts) == ["web1"]
    with pytest.raises(Conflict):
        take(database, text("pasted", "web1 10.0.0.1\nweb2\nweb3\n"), digest=look(database, wanted).digest)


def test_faulty_lines_stop_it_unless_they_are_left_out(database: Database) -> None:
    wanted = text("csv", "name,port\nweb1,22\nweb2,x\n")
    with pytest.raises(Invalid) as caught:
        take(database, wanted)
    assert caught.value.code == "import_faults"
    take(database, wanted, skip_faulty=True)
    assert list(known(database).hosts) == ["web1"]
    # Together with the removal of what is not named, a faulty line would remove the host it means.
    with pytest.raises(Invalid):
        take(database, text("csv", "name,port\nweb1,x\nweb3,22\n", prune=True), skip_faulty=True)
    assert list(known(database).hosts) == ["web1"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER])
def test_only_administrators_import(database: Database, role: Role) -> None:
    with database.read() as session, pytest.raises(Forbidden):
        importing.look(session, text("csv", "name\nweb1\n"), Actor(2, "x", role))


def test_an_empty_file_removes_nothing(database: Database) -> None:
    take(database, text("pasted", "web1"))
    with pytest.raises(Invalid):
        look(database, text("csv", "name\n", prune=True))


def test_a_group_inside_of_itself_is_refused_wherever_the_circle_closes(database: Database) -> None:
    take(database, text("ansible-ini", "[a:children]\nb\n[b]\nweb1\n"))
    plan = look(database, text("ansible-ini", "[b:children]\nc\n[c:children]\na\n[a]\nweb1\n"))
    assert ["inside of itself" in fault.message for fault in plan.faults] == [True]
    take(database, text("ansible-ini", "[b:children]\nc\n[c:children]\na\n[a]\nweb1\n"), skip_faulty=True)
    with database.read() as session:
        assert InventoryResolver(session).group("a") == ("web1",)


def test_key_files_become_credentials_by_path_or_name(database: Database) -> None:
    config = "Host a\n IdentityFile /keys/prod\nHost b\n IdentityFile ~/.ssh/prod\nHost c\n IdentityFile ~/x\n"
    plan = take(database, text("ssh-config", config, key_files={"production": "/keys/prod"}))
    assert {key: host.values["credential"] for key, host in known(database).hosts.items()} == {
        "a": "production",
        "b": "production",
        "c": None,
    }
    assert any("~/x" in notice for notice in plan.notices)


def test_the_audit_has_who_imported_what(database: Database) -> None:
    take(database, text("pasted", "web[01-03]"))
    with database.read() as session:
        entry = session.scalars(select(AuditRecord).order_by(AuditRecord.id.desc())).first()
    assert entry is not None
    assert (entry.actor, entry.action) == ("admin", "inventory.import")
    assert (entry.detail["hosts_added"], entry.detail["added_hosts"]) == (3, "web[01-03]")


def test_known_hosts_gives_keys_to_hosts_even_by_hashed_names(database: Database) -> None:
    plain, hashed, gone, ca = make_key(), make_key(), make_key(), make_key()
    with database.transaction() as session:
        make_host(session, "web1")
    # ssh-keygen -H of "web1".
    salt = b"01234567890123456789"
    mark = base64.b64encode(hmac.digest(salt, b"web1", hashlib.sha1)).decode()
    lines = [
        f"db1,[db1]:2222 {plain.algorithm} {plain.key}",
        f"|1|{base64.b64encode(salt).decode()}|{mark} {hashed.algorithm} {hashed.key}",
        f"@revoked db1 {gone.algorithm} {gone.key}",
        f"@cert-authority *.example.com {ca.algorithm} {ca.key}",
        f"@revoked *,!db1,![db1]:2222 {gone.algorithm} {gone.key}",
    ]
    wanted = text("known-hosts", "\n".join(lines))
    plan = take(database, wanted)
    assert sorted(shown(plan)) == [
        ("host_key", "added", "@cert-authority *.example.com"),
        ("host_key", "added", "@revoked *,!db1,![db1]:2222"),
        ("host_key", "added", "[db1]:2222"),
        ("host_key", "added", "db1"),
        ("host_key", "added", "web1"),
        ("host_key", "removed", "db1"),
    ]
    with database.read() as session:
        assert hostkeys.trusted_keys(session, [("web1", 22), ("db1", 2222)]) == {
            ("web1", 22): (hashed,),
            ("db1", 2222): (plain,),
        }
        revoked = session.scalars(select(HostKey).where(HostKey.status == KeyStatus.REVOKED)).all()
        assert [(key.address, key.key) for key in revoked] == [("db1", gone.key)]
        vouchers = Vouchers(host_authorities.lines(session))
    assert vouchers.authorities(["web1.example.com", "10.0.0.1"], 22) == (Authority(ca, ("web1.example.com",)),)
    assert vouchers.revoked(["web1"], 22) == (gone,)
    # The same file again changes nothing.
    assert take(database, wanted).changes == []


def test_lines_of_known_hosts_that_fit_nobody_are_counted(database: Database) -> None:
    with database.transaction() as session:
        make_host(session, "web1")
    key = make_key()
    lines = [
        f"{names} {key.algorithm} {key.key}"
        for names in ("*.wild", "web*", "10.9.9.7,!10.9.9.8", "|1|aGFzaA==|aGFzaA==")
    ]
    plan = take(database, text("known-hosts", "\n".join(lines)))
    assert shown(plan) == [("host_key", "added", "web1")]
    assert [(str(told), count) for told, count in plan.notices.items() if "fits no host" in told] == [
        ("Lines with a hashed name or a pattern that fits no host of the inventory are passed over.", 3)
    ]


FLEET = """\
name,address,port,user,jump,host_key_policy,zone,frozen,frozen_reason,groups,tag:dc,notes,credential,profile
web1,10.0.0.1,2222,deploy,root@bastion:22,pinned,eu,,,web prod,eu,=cmd|' /C calc'!A0,cred:web,legacy
web2,,,,,,,yes,disk,web,us,"a
b",,
db1,2001:db8::1,,,,,,,,,,+1,,
@web,,,,ops@gate,accept_new,,,,prod,,the web,cred:ops,modern
@prod,,,,none,,,,,,,,,
"""
_COLUMNS = {"address", "port", "user", "jump", "credential", "profile", "host_key_policy", "tags"}
_TABLE = {*_COLUMNS, "zone", "frozen", "frozen_reason", "notes"}


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("csv", _TABLE),
        ("xlsx", _TABLE),
        ("json", _TABLE),
        ("ansible-ini", _COLUMNS),
        ("ansible-yaml", _COLUMNS),
        ("ssh-config", {"address", "port", "user", "jump"}),
    ],
)
def test_an_export_imports_as_what_it_was(database: Database, form: str, fields: set[str]) -> None:
    take(database, text("csv", FLEET))
    before = known(database)
    with database.read() as session:
        content = exports.export(session, ExportFormat(form))
    with database.transaction() as session:
        service.remove_hosts(session, list(before.hosts), actor=ADMIN, now=START)
        for name in before.groups:
            groups.remove_group(session, name, actor=ADMIN, now=START)
    plan = take(database, Import(Format(form), content))
    assert plan.faults == []
    after = known(database)
    for key, host in before.hosts.items():
        assert {name: after.hosts[key].values[name] for name in fields} == {name: host.values[name] for name in fields}
    if form != "ssh-config":
        told = fields & set(GROUP_FIELDS)
        assert {name: of_group(group, told) for name, group in after.groups.items()} == {
            name: of_group(group, told) for name, group in before.groups.items()
        }
        assert after.groups["prod"].children == ("web",)
    # The very same file changes nothing any more.
    assert take(database, Import(Format(form), content)).changes == []


def of_group(group: GroupState, told: set[str]) -> tuple[object, ...]:
    return group.hosts, group.children, {name: group.values[name] for name in told}


def test_ansibles_variables_of_groups_stay_with_the_groups(database: Database) -> None:
    ini = """
[web]
web1
web2 ansible_ssh_common_args='-J own@gate'
[db]
web1
[all:vars]
opsconsole_profile=legacy
[web:vars]
ansible_ssh_common_args='-o ProxyJump=ops@gate'
opsconsole_credential=cred:web
[db:vars]
opsconsole_credential=cred:db
[inner]
web2
[web:children]
inner
"""
    assert take(database, text("ansible-ini", ini)).faults == []
    after = known(database)
    assert after.groups["web"].values["jump"] == "ops@gate"
    assert [after.groups[name].values["credential"] for name in ("web", "db", "inner")] == ["cred:web", "cred:db", None]
    web1, web2 = after.hosts["web1"].values, after.hosts["web2"].values
    # Everybody is no group here, and of two groups that are equally near Ansible takes the last and we take the first.
    assert (web1["profile"], web1["jump"], web1["credential"]) == ("legacy", None, "cred:web")
    assert (web2["profile"], web2["jump"], web2["credential"]) == ("legacy", "own@gate", None)
    plan = look(database, text("ansible-ini", "[web]\nweb1\n[web:vars]\nopsconsole_profile=ancient\n"))
    assert [fault.message for fault in plan.faults] == ["profile of group web: Choose modern, legacy."]


def test_a_group_says_only_what_groups_can_say(database: Database) -> None:
    plan = look(database, text("csv", "name,port,jump\n@web,22,gate\n"))
    assert [fault.message for fault in plan.faults] == ["'port' is said of hosts, not of a group such as @web."]


def test_a_source_decides_on_no_trust_and_no_login(database: Database) -> None:
    listed = {
        "web": {
            "hosts": ["web1"],
            "vars": {"opsconsole_credential": "cred:root", "ansible_ssh_common_args": "-J gate"},
        },
        "_meta": {"hostvars": {"web1": {"opsconsole_host_key_policy": "accept_new"}}},
    }
    draft = read(Format.ANSIBLE_JSON, json.dumps(listed).encode())
    plan = compare(draft, known(database), source_id=1)
    assert plan.groups[0].values == {"jump": "gate"}
    assert plan.new_hosts[0].values == {}
    assert set(plan.notices) == {
        "The credential is not taken from a source; people say it.",
        "The host_key_policy is not taken from a source; people say it.",
    }


def test_no_exported_cell_is_a_formula(database: Database) -> None:
    take(database, text("csv", FLEET))
    with database.read() as session:
        rows = list(csv.reader(io.StringIO(exports.export(session, ExportFormat.CSV).decode(), newline="")))
        sheet = openpyxl.load_workbook(io.BytesIO(exports.export(session, ExportFormat.XLSX))).active
    assert rows[2][rows[0].index("notes")] == "'=cmd|' /C calc'!A0"
    cells = [cell for row in rows for cell in row] + [str(cell.value or "") for row in sheet.rows for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_other_exports(database: Database) -> None:
    take(database, text("csv", FLEET))
    with database.read() as session:
        assert "10.0.0.1\tweb1" in exports.export(session, ExportFormat.ETC_HOSTS).decode()
        part = exports.export(session, ExportFormat.JSON, {"web2"}).decode()
    assert '"name": "web2"' in part
    assert "web1" not in part


def test_lines_of_known_hosts_that_make_no_sense_are_told_with_their_numbers(database: Database) -> None:
    good = make_key()
    lines = [
        "# a comment",
        f"web1 {good.algorithm} {good.key}",
        "web2 ssh-ed25519",
        "web3 ssh-rsa " + good.key,
        f"@trusted web4 {good.algorithm} {good.key}",
        "",
    ]
    wanted = text("known-hosts", "\n".join(lines))
    assert [fault.line for fault in look(database, wanted).faults] == [3, 4, 5]
    with pytest.raises(Invalid) as refused:
        take(database, wanted)
    assert refused.value.code == "import_faults"
    assert shown(take(database, wanted, skip_faulty=True)) == [("host_key", "added", "web1")]


def test_a_file_does_not_decide_against_a_trusted_key(database: Database) -> None:
    old, other, rsa = make_key(), make_key(), make_key("ssh-rsa")
    take(database, text("known-hosts", f"web1 {old.algorithm} {old.key}"))
    lines = [f"web1 {key.algorithm} {key.key}" for key in (old, other, rsa)]
    wanted = text("known-hosts", "\n".join(lines))
    plan = look(database, wanted)
    assert shown(plan) == [("host_key", "added", "web1")], "one of another kind is only one more"
    parts = {part.field: part.after for part in plan.changes[0].fields}
    assert parts["beside the trusted"] == f"{old.algorithm} {hostkeys.fingerprint(old)}"
    assert [fault.line for fault in plan.faults] == [2]
    assert "another trusted" in plan.faults[0].message
    take(database, wanted, skip_faulty=True)
    with database.read() as session:
        assert set(hostkeys.trusted_keys(session, [("web1", 22)])[("web1", 22)]) == {old, rsa}


def test_revoking_an_authority_revokes_its_key_in_every_entry(database: Database) -> None:
    ca, other = make_key(), make_key()
    lines = [
        f"@cert-authority {hosts} {key.algorithm} {key.key}"
        for hosts, key in (("*.a", ca), ("*.b", ca), ("*.a", other))
    ]
    take(database, text("known-hosts", "\n".join(lines)))
    with database.transaction() as session:
        first = host_authorities.listed(session)[0]
        host_authorities.revoke(session, first.id, actor=ADMIN, now=START)
    with database.read() as session:
        left = [row.key for row in host_authorities.listed(session) if row.status == KeyStatus.TRUSTED]
    assert left == [other.key]
