"""Which format a text is in, and its reader."""

from collections.abc import Callable, Mapping
from ipaddress import ip_address

from opsconsole.errors import FieldError, Invalid, TooLarge
from opsconsole.inventory.draft import Draft, TooManyFaults
from opsconsole.inventory.formats import Format
from opsconsole.inventory.importers.ansible_ini import read_ansible_ini
from opsconsole.inventory.importers.ansible_yaml import read_ansible_list, read_ansible_yaml
from opsconsole.inventory.importers.etc_hosts import read_etc_hosts
from opsconsole.inventory.importers.own_json import is_own, read_own_json
from opsconsole.inventory.importers.ssh_config import read_ssh_config
from opsconsole.inventory.importers.tables import read_csv, read_pasted, read_xlsx

# What Excel calls Unicode text.
_UTF16, _UTF16_MARKS = "utf-16", (b"\xff\xfe", b"\xfe\xff")
MAX_BYTES = 8 * 1024 * 1024

_TEXTS: dict[Format, Callable[[str, Draft], None]] = {
    Format.CSV: read_csv,
    Format.PASTED: read_pasted,
    Format.ANSIBLE_INI: read_ansible_ini,
    Format.ANSIBLE_YAML: read_ansible_yaml,
    Format.ANSIBLE_JSON: read_ansible_list,
    Format.JSON: read_own_json,
    Format.ETC_HOSTS: read_etc_hosts,
}
_BY_ENDING = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".xlsx": Format.XLSX,
    ".xlsm": Format.XLSX,
    ".yml": Format.ANSIBLE_YAML,
    ".yaml": Format.ANSIBLE_YAML,
    ".json": Format.ANSIBLE_JSON,
    ".ini": Format.ANSIBLE_INI,
}


def read(wanted: Format, content: bytes, files: Mapping[str, str] | None = None) -> Draft:
    """Returns what ``content`` says, with the faults of its lines. ``files`` are what an ssh_config may include.

    Raises ``TooLarge`` beyond a bound, ``Invalid`` for what is not in the format at all.
    """
    if len(content) + sum(len(text) for text in (files or {}).values()) > MAX_BYTES:
        raise TooLarge("An import has {limit} MiB at most.", limit=MAX_BYTES // 1024 // 1024)
    draft = Draft()
    try:
        if wanted is Format.XLSX:
            read_xlsx(content, draft)
        elif wanted is Format.SSH_CONFIG:
            read_ssh_config(_text(content), draft, files)
        elif wanted is Format.KNOWN_HOSTS:
            draft.known_hosts = _text(content)
        else:
            _TEXTS[wanted](_text(content), draft)
    except TooManyFaults:
        draft.notice("Reading stopped after a hundred faults.")
    draft.leave_out_faulty()
    return draft


def guess(file_name: str, content: bytes) -> Format:
    """Returns the format that a file most likely is in, by its name, else by how it looks."""
    name = file_name.lower().rpartition("/")[2]
    for ending, found in _BY_ENDING.items():
        if name.endswith(ending):
            return Format.JSON if found is Format.ANSIBLE_JSON and is_own(content) else found
    if name in {"known_hosts", "ssh_known_hosts"}:
        return Format.KNOWN_HOSTS
    if name == "hosts" and (file_name.endswith("etc/hosts") or _has_addresses_first(content)):
        return Format.ETC_HOSTS
    if name in {"config", "ssh_config"}:
        return Format.SSH_CONFIG
    return _by_look(content)


def _has_addresses_first(content: bytes) -> bool:
    """Returns whether most lines are an address and names: Ansible's inventories are often called ``hosts`` too."""
    rows = [line.split("#")[0].split() for line in _decoded(content[:65536]).splitlines()]
    rows = [row for row in rows if row]
    return 2 * sum(len(row) > 1 and _is_address(row[0]) for row in rows) > len(rows)


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def _decoded(content: bytes) -> str:
    return content.decode(_UTF16 if content.startswith(_UTF16_MARKS) else "utf-8-sig", "replace")


def _by_look(content: bytes) -> Format:
    if content.startswith(b"PK\x03\x04"):
        return Format.XLSX
    lines = [line.strip() for line in _decoded(content[:65536]).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    words = [line.split() for line in lines[:200]]
    if not lines:
        return Format.PASTED
    if lines[0].startswith("{"):
        return Format.JSON if is_own(content) else Format.ANSIBLE_JSON
    if any(line.startswith("[") and line.endswith("]") for line in lines):
        return Format.ANSIBLE_INI
    if any(len(row) > 1 and row[0].lower() in {"host", "match"} for row in words):
        return Format.SSH_CONFIG
    if any(len(row) > 2 and row[1].startswith(("ssh-", "ecdsa-", "sk-")) for row in words):
        return Format.KNOWN_HOSTS
    if lines[0].rstrip().endswith(":") or lines[0] == "---":
        return Format.ANSIBLE_YAML
    if all(row[0][0].isdigit() or ":" in row[0] for row in words) and all(len(row) > 1 for row in words):
        return Format.ETC_HOSTS
    return Format.PASTED


def _text(content: bytes) -> str:
    try:
        text = content.decode(_UTF16 if content.startswith(_UTF16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError:
        message = "This is not text in UTF-8. Save it as UTF-8, or convert it, from GBK for one: iconv -f GBK -t UTF-8."
        raise Invalid(message, errors=[FieldError("content", message, code="not_text")]) from None
    if "\0" in text:
        message = "This is not text: it holds NUL bytes."
        raise Invalid(message, errors=[FieldError("content", message, code="not_text")])
    return text
