"""The names of the formats in which an inventory is read and written: the same for pages, API and command line."""

from enum import StrEnum


class Format(StrEnum):
    """The formats that can be imported."""

    CSV = "csv"
    PASTED = "pasted"
    XLSX = "xlsx"
    ANSIBLE_INI = "ansible-ini"
    ANSIBLE_YAML = "ansible-yaml"
    ANSIBLE_JSON = "ansible-json"
    JSON = "json"
    ETC_HOSTS = "etc-hosts"
    SSH_CONFIG = "ssh-config"
    KNOWN_HOSTS = "known-hosts"


class ExportFormat(StrEnum):
    """The formats that can be exported."""

    CSV = "csv"
    XLSX = "xlsx"
    ANSIBLE_INI = "ansible-ini"
    ANSIBLE_YAML = "ansible-yaml"
    SSH_CONFIG = "ssh-config"
    ETC_HOSTS = "etc-hosts"
    JSON = "json"

    @property
    def mimetype(self) -> str:
        """What the file is, for a browser."""
        return {
            "csv": "text/csv",
            "json": "application/json",
            "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }.get(self.value, "text/plain")

    @property
    def file_name(self) -> str:
        """A name for the file."""
        names = {"ansible-ini": "inventory.ini", "ansible-yaml": "inventory.yaml", "ssh-config": "ssh_config"}
        return names.get(self.value) or {"etc-hosts": "hosts.txt"}.get(self.value, f"hosts.{self.value}")


AUTO = "auto"
# What an import may be asked for: a format, or the one that the text looks like.
IMPORTS = (AUTO, *(form.value for form in Format))
EXPORTS = tuple(form.value for form in ExportFormat)
