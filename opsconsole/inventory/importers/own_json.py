"""The inventory as its own export writes it in JSON: hosts and groups with every field by its name."""

import json
from typing import Any

from opsconsole.errors import Invalid
from opsconsole.inventory.draft import Draft, shown
from opsconsole.inventory.fields import GROUP_FIELDS, HOST_FIELDS
from opsconsole.sentences import Sentence


def is_own(content: bytes) -> bool:
    """Returns whether this is an export of an inventory, and no answer of Ansible's."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.keys() == {"hosts", "groups"} and isinstance(data["groups"], list)


def read_own_json(text: str, draft: Draft) -> None:
    """Reads the text into ``draft``; it has no lines. Raises ``Invalid`` for what is no such export."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("This is not JSON.", code="not_json") from None
    if not isinstance(data, dict):
        raise Invalid("This is an object with hosts and groups.", code="not_an_inventory")
    for host in _objects(data, "hosts", draft):
        _read_host(host, draft)
    for group in _objects(data, "groups", draft):
        _read_group(group, draft)


def _read_host(content: dict[str, Any], draft: Draft) -> None:
    host = draft.host(str(content.get("name")), None)
    if host is None:
        return
    for name, value in content.items():
        if name in HOST_FIELDS:
            draft.put(host, name, value, None)
        elif name not in {"name", "groups"}:
            draft.fault(
                None,
                Sentence("{host} has {field}, which is no field of a host.", host=host.name, field=shown(name)),
                host,
            )
    draft.put_into(_texts(content.get("groups")), host, None)


def _read_group(content: dict[str, Any], draft: Draft) -> None:
    group = draft.group(str(content.get("name")), None)
    if group is None:
        return
    for name, value in content.items():
        if name in GROUP_FIELDS:
            draft.put_group(group, name, value, None)
        elif name not in {"name", "hosts", "children"}:
            draft.fault(
                None,
                Sentence(
                    "Group {group} has {field}, which is no field of a group.", group=group.name, field=shown(name)
                ),
            )
    keys = (name.lower() for name in _texts(content.get("hosts")))
    # The order of the members is the group's own; it is told nowhere else.
    group.hosts = dict.fromkeys((*(key for key in keys if key in draft.hosts), *group.hosts))
    group.children.update(dict.fromkeys(_texts(content.get("children"))))


def _objects(data: dict[str, Any], name: str, draft: Draft) -> list[dict[str, Any]]:
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        draft.fault(None, Sentence("{name} is no list of objects.", name=name))
        return []
    return found


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
