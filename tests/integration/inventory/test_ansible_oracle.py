"""Ansible itself says what its files mean: ``ansible-inventory --list`` is asked about the same text."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opsconsole.inventory.draft import Draft
from opsconsole.inventory.formats import Format
from opsconsole.inventory.importers.reading import read

INI = """\
# the fleet
lonely.example.com ansible_port=2022
[web]
www[01:12:3].example.com:2222 dc=eu
www-[a:f].example.com ansible_host=10.0.0.9   # six of them
10.1.2.3 ansible_user='ops team'
[web:vars]
ansible_user=deploy
role="web"
[db]
db[8:11] ansible_port=2201
[db:vars]
ansible_user = dba
ansible_port=22
[prod:children]
web
everything_db
[everything_db:children]
db
[prod:vars]
ansible_user=nobody
ansible_ssh_private_key_file=~/.ssh/prod
dc=us
[all:vars]
ansible_port=2000
ansible_user=root
; the end
[late:vars]
ansible_user=late
[late]
db8
tail1
"""
YAML = """\
all:
  vars:
    ansible_user: root
  hosts:
    mail.example.com: {ansible_port: 2525}
  children:
    web:
      vars: {ansible_user: deploy, dc: eu}
      hosts:
        w[1:3].example.com:
          ansible_port: 2200
        w2.example.com: {ansible_user: bob}
      children:
        web_eu:
          vars: {ansible_user: eu, ansible_group_priority: 2}
          hosts: {e1: , w1.example.com: }
        web_blue:
          vars: {ansible_user: blue}
          hosts: {e1: }
    db:
      hosts:
        "db[01:03]": &db {ansible_host: 10.0.0.7}
        dbx: *db
"""


def ansible(text: str, name: str, folder: Path) -> dict[str, Any]:
    """Returns the answer of ``ansible-inventory --list``."""
    path = folder / name
    path.write_text(text)
    environment = {**os.environ, "HOME": str(folder), "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "LC_ALL": "C.UTF-8"}
    program = Path(sys.executable).with_name("ansible-inventory")
    done = subprocess.run(
        [program, "-i", path, "--list"], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def agree(draft: Draft, answer: dict[str, Any]) -> None:
    """Compares hosts, direct members, groups in groups, and the variables that win."""
    assert draft.faults == []
    hostvars = answer.pop("_meta")["hostvars"]
    built_in = {"all", "ungrouped"}
    members = {name: set(group.get("hosts", [])) for name, group in answer.items() if name not in built_in}
    everybody = set().union(*members.values(), answer.get("ungrouped", {}).get("hosts", []), hostvars)
    assert set(draft.hosts) == {name.lower() for name in everybody}
    inside = {name: set(group.get("children", [])) for name, group in answer.items() if name not in built_in}
    assert {name: set(group.children) for name, group in draft.groups.items()} == inside
    assert {name: set(group.hosts) for name, group in draft.groups.items()} == members
    for name, host in draft.hosts.items():
        wanted = hostvars.get(name, {})
        found = (host.values.get("address"), host.values.get("port"), host.values.get("user"), host.identity)
        names = ("ansible_host", "ansible_port", "ansible_user", "ansible_ssh_private_key_file")
        assert found == tuple(wanted.get(item) for item in names), name
        tags = {key: str(value) for key, value in wanted.items() if not key.startswith("ansible_")}
        assert host.values.get("tags", {}) == tags, name


@pytest.mark.parametrize(
    ("form", "name", "text"),
    [
        (Format.ANSIBLE_INI, "hosts.ini", INI.replace("'ops team'", "opsteam")),
        (Format.ANSIBLE_YAML, "hosts.yaml", YAML),
    ],
)
def test_hosts_groups_and_variables_are_as_ansible_has_them(form: Format, name: str, text: str, tmp_path: Path) -> None:
    answer = ansible(text, name, tmp_path)
    agree(read(form, text.encode()), answer)


def test_its_own_answer_reads_as_the_file_it_is_about(tmp_path: Path) -> None:
    text = INI.replace("'ops team'", "opsteam")
    answer = ansible(text, "hosts.ini", tmp_path)
    from_list = read(Format.ANSIBLE_JSON, json.dumps(answer).encode())
    agree(from_list, answer)
    from_file = read(Format.ANSIBLE_INI, text.encode())
    assert {key: host.values for key, host in from_list.hosts.items()} == {
        key: host.values for key, host in from_file.hosts.items()
    }
