"""The inventory as files that other programs read."""

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import openpyxl
import yaml
from sqlalchemy.orm import Session

from opsconsole.hostset import parse_host
from opsconsole.inventory.fields import GROUP_FIELDS, HOST_FIELDS
from opsconsole.inventory.formats import ExportFormat
from opsconsole.inventory.importers.ansible import OWN_PREFIX
from opsconsole.inventory.snapshot import GroupState, HostState, Snapshot, snapshot

_PLAIN_FIELDS = [name for name in HOST_FIELDS if name != "tags"]
# A spreadsheet takes a cell that starts so for a formula, and would carry it out on the reader's machine.
_FORMULA = tuple("=+-@\t\r")
_OWN_VARIABLES = ("credential", "profile", "host_key_policy", "executor")
_LINE_BREAKS = re.compile(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")


def export(session: Session, wanted: ExportFormat, chosen: Collection[str] | None = None) -> bytes:
    """Returns the inventory, or the hosts with the ``chosen`` keys and their groups, in a format; texts as UTF-8."""
    return _WRITERS[wanted](_part(snapshot(session), chosen))


def escaped(cell: str) -> str:
    """Returns the cell with a quote before what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _part(whole: Snapshot, chosen: Collection[str] | None) -> Snapshot:
    if chosen is None:
        return whole
    hosts = {key: host for key, host in whole.hosts.items() if key in chosen}
    groups: dict[str, GroupState] = {}
    for name, group in whole.groups.items():
        inside = tuple(key for key in group.hosts if key in hosts)
        groups[name] = replace(group, hosts=inside)
    kept = _with_hosts(groups)
    return Snapshot(
        hosts,
        {
            name: replace(group, children=tuple(child for child in group.children if child in kept))
            for name, group in groups.items()
            if name in kept
        },
    )


def _with_hosts(groups: dict[str, GroupState]) -> set[str]:
    parents: dict[str, list[str]] = {}
    for group in groups.values():
        for child in group.children:
            parents.setdefault(child, []).append(group.name)
    queue = [group.name for group in groups.values() if group.hosts]
    kept = set(queue)
    for name in queue:
        for parent in parents.get(name, ()):
            if parent not in kept:
                kept.add(parent)
                queue.append(parent)
    return kept


def _rows(part: Snapshot) -> Iterator[list[str]]:
    keys = sorted({key for host in part.hosts.values() for key in host.values["tags"]})
    yield ["name", *_PLAIN_FIELDS, "groups", *(f"tag:{key}" for key in keys)]
    groups = part.groups_of()
    for host in part.hosts.values():
        values = [_cell(host.values[name]) for name in _PLAIN_FIELDS]
        tags = [str(host.values["tags"].get(key, "")) for key in keys]
        yield [escaped(cell) for cell in (host.name, *values, " ".join(groups.get(host.key, ())), *tags)]
    yield from _group_rows(part, len(keys))


def _group_rows(part: Snapshot, tags: int) -> Iterator[list[str]]:
    """Yields a row for each group that says more than who is in it: its fields, and the groups that it is in."""
    outer: dict[str, list[str]] = {}
    for group in part.groups.values():
        for child in group.children:
            outer.setdefault(child, []).append(group.name)
    for group in part.groups.values():
        if any(group.values.values()) or group.name in outer:
            values = [_cell(group.values.get(name)) for name in _PLAIN_FIELDS]
            cells = (f"@{group.name}", *values, " ".join(outer.get(group.name, ())), *[""] * tags)
            yield [escaped(cell) for cell in cells]


def _cell(value: Any) -> str:
    if value is None or value is False:
        return ""
    return "yes" if value is True else str(value)


def _csv(part: Snapshot) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(_rows(part))
    return text.getvalue().encode()


def _xlsx(part: Snapshot) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("hosts")
    for row in _rows(part):
        # A workbook has no control characters.
        sheet.append(["".join(char for char in cell if char.isprintable() or char in "\n\t") for cell in row])
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def _variables(host: HostState) -> dict[str, Any]:
    values = host.values
    found: dict[str, Any] = {}
    if values["address"]:
        found["ansible_host"] = values["address"]
    if values["port"]:
        found["ansible_port"] = values["port"]
    if values["user"]:
        found["ansible_user"] = values["user"]
    found |= _shared_variables(values)
    # Only names that Ansible takes; none of them is a variable of its own.
    tags = {
        key: value for key, value in values["tags"].items() if key.isidentifier() and not key.startswith("ansible_")
    }
    return {**found, **tags}


def _shared_variables(values: dict[str, Any]) -> dict[str, Any]:
    """Returns what a host and a group say alike."""
    found = {f"{OWN_PREFIX}{name}": values[name] for name in _OWN_VARIABLES if values.get(name)}
    if values.get("jump"):
        found["ansible_ssh_common_args"] = f"-o ProxyJump={values['jump']}"
    return found


def _ansible_yaml(part: Snapshot) -> bytes:
    children: dict[str, Any] = {}
    for group in part.groups.values():
        content: dict[str, Any] = {}
        if group.hosts:
            content["hosts"] = {part.hosts[key].name: None for key in group.hosts}
        if group.children:
            content["children"] = dict.fromkeys(group.children)
        if variables := _shared_variables(group.values):
            content["vars"] = variables
        children[group.name] = content or None
    everything: dict[str, Any] = {"hosts": {host.name: _variables(host) or None for host in part.hosts.values()}}
    if children:
        everything["children"] = children
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump({"all": everything}, Dumper=dumper, sort_keys=False, allow_unicode=True)
    return text.encode()


def _ansible_ini(part: Snapshot) -> bytes:
    lines = []
    for host in part.hosts.values():
        name = f"[{host.name}]" if ":" in host.name else host.name
        words = [name, *(f"{key}={_quoted(str(value))}" for key, value in _variables(host).items())]
        lines.append(" ".join(words))
    for group in part.groups.values():
        names = (part.hosts[key].name for key in group.hosts)
        lines += ["", f"[{group.name}]", *(f"[{name}]" if ":" in name else name for name in names)]
        if group.children:
            lines += ["", f"[{group.name}:children]", *group.children]
        if variables := _shared_variables(group.values):
            # Ansible reads such a value as a literal of Python.
            lines += ["", f"[{group.name}:vars]", *(f"{key}={str(value)!r}" for key, value in variables.items())]
    return _text(lines)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w.:/@%+-]+", value) and not value.isdecimal():
        return value
    return value if value.isdecimal() and not value.startswith("0") else f"\"'{value}'\""


def _ssh_config(part: Snapshot) -> bytes:
    lines = []
    for host in part.hosts.values():
        values = host.values
        options = [
            ("HostName", _bare(values["address"])),
            ("Port", values["port"]),
            ("User", values["user"]),
            ("ProxyJump", values["jump"]),
        ]
        lines += [f"Host {host.name}", *(f"    {name} {value}" for name, value in options if value), ""]
    return _text(lines)


def _bare(address: str | None) -> str | None:
    return parse_host(address).name if address else None


def _etc_hosts(part: Snapshot) -> bytes:
    lines = ["# Hosts of the inventory whose address is known; the others are left to DNS."]
    for host in part.hosts.values():
        address = str(host.values["address"] or host.name)
        if re.fullmatch(r"[0-9.]+|[0-9a-f:.]*:[0-9a-f:.]*", address) and address != host.name:
            lines.append(f"{address}\t{host.name}")
    return _text(lines)


def _json(part: Snapshot) -> bytes:
    groups = part.groups_of()
    hosts = [{"name": host.name, **host.values, "groups": groups.get(host.key, [])} for host in part.hosts.values()]
    found = [
        {
            "name": group.name,
            **{name: group.values.get(name) for name in GROUP_FIELDS},
            "hosts": [part.hosts[key].name for key in group.hosts],
            "children": list(group.children),
        }
        for group in part.groups.values()
    ]
    return json.dumps({"hosts": hosts, "groups": found}, indent=1, ensure_ascii=False).encode()


def _text(lines: list[str]) -> bytes:
    return ("\n".join(_LINE_BREAKS.sub(" ", line) for line in lines) + "\n").encode()


_WRITERS: dict[ExportFormat, Callable[[Snapshot], bytes]] = {
    ExportFormat.CSV: _csv,
    ExportFormat.XLSX: _xlsx,
    ExportFormat.ANSIBLE_INI: _ansible_ini,
    ExportFormat.ANSIBLE_YAML: _ansible_yaml,
    ExportFormat.SSH_CONFIG: _ssh_config,
    ExportFormat.ETC_HOSTS: _etc_hosts,
    ExportFormat.JSON: _json,
}
