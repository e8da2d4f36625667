"""Ansible's inventory in YAML form, and what a dynamic inventory answers to ``--list``.

Nothing of YAML but mappings, lists and plain values is made: no tags, no objects. What could take long is bounded.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from opsconsole.errors import Invalid, TooLarge
from opsconsole.inventory.draft import MAX_HOSTS, Draft, shown
from opsconsole.inventory.importers.ansible import Inventory, Variables
from opsconsole.sentences import Sentence

_MAX_DEPTH = 64
_MAX_NODES = 1_000_000
_MAX_ALIASES = 1_000
# Written in C where the package has it: ten times as fast on thousands of hosts. It makes plain values only.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_ansible_yaml(text: str, draft: Draft) -> None:
    """Reads the text into ``draft``."""
    root = _composed(text, draft)
    if root is None:
        return
    _Reader(draft).read(root)


def read_ansible_list(text: str, draft: Draft) -> None:
    """Reads the JSON of ``ansible-inventory --list`` and of inventory programs into ``draft``; it has no lines."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("This is not JSON.", code="not_json") from None
    if not isinstance(data, dict):
        raise Invalid("Ansible's JSON is an object with groups by name.", code="not_an_inventory")
    inventory = Inventory(draft)
    meta = data.get("_meta")
    hostvars = meta.get("hostvars") if isinstance(meta, dict) else {}
    for name, value in data.items():
        if name != "_meta":
            _list_group(name, value, inventory)
    if isinstance(hostvars, dict):
        for host, variables in hostvars.items():
            if isinstance(variables, dict):
                _exact(inventory, str(host), "ungrouped", _plain(variables))
    inventory.finish()


def _list_group(name: str, value: Any, inventory: Inventory) -> None:
    group = inventory.group(name, None)
    content = {"hosts": value} if isinstance(value, list) else value
    if not isinstance(content, dict):
        inventory.draft.fault(
            None, Sentence("Group {name} is neither a list of hosts nor an object.", name=shown(name))
        )
        return
    for host in _texts(content.get("hosts")):
        _exact(inventory, host, name, {})
    group.children.update((child, None) for child in _texts(content.get("children")))
    if isinstance(content.get("vars"), dict):
        group.variables.update(_plain(content["vars"]))


def _exact(inventory: Inventory, host: str, group: str, variables: Variables) -> None:
    """Adds one host by its name: a program's answer has no ranges."""
    if len(inventory.variables) >= MAX_HOSTS and host not in inventory.variables:
        raise TooLarge("An import has {limit:,} hosts at most.", limit=MAX_HOSTS)
    inventory.lines.setdefault(host, None)
    inventory.variables.setdefault(host, {}).update(variables)
    inventory.group(group, None).hosts[host] = None


def _plain(variables: dict[str, Any]) -> Variables:
    return {str(name): (value, None) for name, value in variables.items()}


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value if isinstance(item, str | int)] if isinstance(value, list | dict) else []


class _Reader:
    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._inventory = Inventory(draft)
        self._values = _Loader("")
        self._left = _MAX_NODES

    def read(self, root: yaml.Node) -> None:
        if any(key == "plugin" for key, _ in self._pairs(root)):
            self._draft.fault(_line(root), "This configures an inventory plugin; import what it answers (--list).")
            return
        # Not by recursion: groups may be nested as deep as the bounds allow, and be named in many places.
        queue: list[tuple[str, yaml.Node, yaml.Node]] = [(name, key, node) for name, key, node in self._named(root)]
        for name, key, node in queue:
            group = self._inventory.group(name, _line(key))
            for part, content in self._pairs(node):
                if part == "hosts":
                    self._hosts(name, content)
                elif part == "children":
                    found = list(self._named(content))
                    group.children.update((child, _line(at)) for child, at, _ in found)
                    queue.extend(found)
                elif part == "vars":
                    group.variables.update(self._variables(content))
                else:
                    message = Sentence(
                        "Group {name} has {part}; known are hosts, children and vars.",
                        name=shown(name),
                        part=shown(part),
                    )
                    self._draft.fault(_line(content), message)
        self._inventory.finish()

    def _hosts(self, group: str, node: yaml.Node) -> None:
        if isinstance(node, yaml.ScalarNode) and not _is_null(node):
            self._inventory.add(node.value, group, {}, _line(node))
            return
        for name, key, content in self._named(node):
            self._inventory.add(name, group, self._variables(content), _line(key))

    def _variables(self, node: yaml.Node) -> Variables:
        found: Variables = {}
        for name, content in self._pairs(node):
            found[name] = (self._value(content), _line(content))
        return found

    def _value(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return []
        try:
            return self._values.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            # Such as !vault: an encrypted text.
            return None

    def _pairs(self, node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
        yield from ((name, content) for name, _, content in self._named(node))

    def _named(self, node: yaml.Node) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        if isinstance(node, yaml.ScalarNode) and _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            self._draft.fault(_line(node), "Expected names with a colon after each, and what belongs to them below.")
            return
        self._values.flatten_mapping(node)
        self._left -= len(node.value)
        if self._left < 0:
            raise TooLarge("The file names the same things over and over again.", code="too_large")
        for key, content in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key.value, key, content
            else:
                self._draft.fault(_line(key), "A name is expected here.")


def _composed(text: str, draft: Draft) -> yaml.Node | None:
    try:
        _refuse_bomb(text)
        root: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        draft.fault(line, Sentence("This is not YAML: {problem}.", problem=error.problem or "it cannot be read"))
        return None
    except (yaml.YAMLError, ValueError, RecursionError):
        draft.fault(None, "This is not YAML.")
        return None
    if root is not None and not isinstance(root, yaml.MappingNode):
        draft.fault(_line(root), "An inventory starts with the name of a group and a colon, such as all:.")
        return None
    return root


def _refuse_bomb(text: str) -> None:
    depth = aliases = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > _MAX_DEPTH or aliases > _MAX_ALIASES or number > _MAX_NODES:
            raise TooLarge("The file is nested too deep, or names far more than an inventory has.", code="too_large")


def _is_null(node: yaml.ScalarNode) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
