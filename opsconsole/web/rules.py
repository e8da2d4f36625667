"""What this console is set to: the rules that people meet, their values and where each comes from, in words.

Only what says how the console behaves towards people and hosts is told. Addresses, keys and paths of the installation
are not: some carry secrets, and none answers a question that somebody has while giving an order.
"""

from pathlib import Path
from typing import Any

from flask_babel import gettext, ngettext

from opsconsole.settings import Settings
from opsconsole.web.view_models import duration, number, size

SECTIONS: dict[str, tuple[str, ...]] = {
    "orders": (
        "max_targets", "max_command_bytes", "concurrency", "max_concurrency", "limits",
        "connect_timeout", "command_timeout", "kill_grace",
    ),
    "confirmation": ("tier_hosts", "tier_share", "protected_tags"),
    "hosts": (
        "allow_unlisted_hosts", "allow_loopback", "allowed_networks", "allow_local", "executor", "jump",
        "source_programs", "source_urls",
    ),
    "login": ("ssh_user", "ssh_port", "credential", "use_ambient_keys", "host_key_policy"),
    "keeping": (
        "output_head_bytes", "output_tail_bytes", "max_file_bytes", "max_pull_files", "max_pull_bytes",
        "files_keep_days", "files_spare_bytes",
    ),
    "sessions": ("session_idle_minutes", "session_hours"),
}  # fmt: skip
# Milliseconds in one of what the setting counts.
_TIMES = {
    "connect_timeout": 1000,
    "command_timeout": 1000,
    "kill_grace": 1000,
    "session_idle_minutes": 60_000,
    "session_hours": 3_600_000,
}
# Of these, nothing means that there is no bound.
_UNBOUNDED = {"command_timeout", "limits", "allowed_networks"}


def told(settings: Settings) -> list[dict[str, Any]]:
    """Returns the settings in the order of the page, in the words of the API, in English."""
    return [
        {
            "name": name,
            "section": section,
            "variable": Settings.variable(name),
            "value": _plain(getattr(settings, name)),
            "source": settings.source(name),
            "meaning": Settings.model_fields[name].description or "",
        }
        for section, names in SECTIONS.items()
        for name in names
    ]


def shown(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Returns the same by section, with value and meaning in the reader's language."""
    meant = meanings()
    rows = [{**row, "meaning": meant[row["name"]], "value": _worded(row)} for row in told(settings)]
    return {section: [row for row in rows if row["section"] == section] for section in SECTIONS}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _worded(row: dict[str, Any]) -> str:
    name, value = row["name"], row["value"]
    if isinstance(value, bool):
        return str(gettext("yes") if value else gettext("no"))
    if value in (None, [], 0):
        return str(gettext("no limit") if name in _UNBOUNDED else gettext("none"))
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if name.endswith("_bytes"):
        return size(value)
    if name in _TIMES:
        return duration(value * _TIMES[name])
    if name == "files_keep_days":
        return str(ngettext("%(n)s day", "%(n)s days", 1 if value == 1 else 2, n=f"{value:g}"))
    if name == "tier_share":
        return f"{value:g} %"
    # A port is a name, not a count.
    return number(value) if isinstance(value, int) and name != "ssh_port" else str(value)


def meanings() -> dict[str, str]:
    """Returns what each setting means in the reader's language. A test holds the English to ``Settings``' own."""
    return {
        "max_targets": gettext("Hosts of one job at most."),
        "max_command_bytes": gettext("Size of a command at most."),
        "concurrency": gettext("Hosts of one job at once when the job does not say."),
        "max_concurrency": gettext("What a job may ask for at most."),
        "limits": gettext("Hosts in flight over all jobs at most: tag dc=20,group db=2,jump bastion=50,user=500."),
        "connect_timeout": gettext("Seconds to reach a host and log in."),
        "command_timeout": gettext("Seconds a command may take; 0 means none."),
        "kill_grace": gettext("Seconds between TERM and KILL."),
        "tier_hosts": gettext(
            "Hosts from which an order waits a moment, wants its count typed, wants RUN and a reason."
        ),
        "tier_share": gettext("Percent of the inventory beyond which an order wants RUN and a reason."),
        "protected_tags": gettext("Tags of hosts in production, of whom two want their count typed: prod,env=live."),
        "allow_unlisted_hosts": gettext("Names outside the inventory may be targets."),
        "allow_loopback": gettext("Hosts may resolve to loopback addresses."),
        "allowed_networks": gettext(
            "When set, hosts must resolve into one of these networks: 10.0.0.0/8,192.168.0.0/16."
        ),
        "allow_local": gettext("Admins may run commands on the workers' own machines."),
        "executor": gettext("What carries out runs where neither order nor host says it; simulate plays every host."),
        "jump": gettext("Jump hosts for all hosts whose inventory and run name none: user@bastion:22,inner."),
        "source_programs": gettext(
            "Programs that may tell hosts (inventory sources), by full path, separated by commas."
        ),
        "source_urls": gettext(
            "Addresses below which inventory sources may read: https://cmdb.example.net/inventory/."
        ),
        "ssh_user": gettext("Remote user when none is named; default is the worker's own user."),
        "ssh_port": gettext("Port when neither the target nor the inventory names one."),
        "credential": gettext("Used where neither job nor host nor group says one: cred:NAME, key:NAME."),
        "use_ambient_keys": gettext("Workers may use their own user's ssh-agent and default keys."),
        "host_key_policy": gettext("What to do with a new host key, where neither the host nor a group of it says it."),
        "output_head_bytes": gettext("Kept of the start of a host's output."),
        "output_tail_bytes": gettext("Kept of the end of a host's output."),
        "max_file_bytes": gettext("Size of an uploaded file at most."),
        "max_pull_files": gettext("Files that are taken from one host of a job at most."),
        "max_pull_bytes": gettext("Bytes that are taken from one host of a job at most."),
        "files_keep_days": gettext("Files that nobody used for so long are removed."),
        "files_spare_bytes": gettext("So much of the disk of files_dir is left free."),
        "session_idle_minutes": gettext("An unused sign-in ends after this."),
        "session_hours": gettext("Any sign-in ends after this."),
    }
