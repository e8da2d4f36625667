"""``opsconsole host-keys``: the host keys the console knows, listed and decided on over its API."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from opsconsole.cli import inventory
from opsconsole.cli.client import Body, ConsoleClient, open_client
from opsconsole.cli.edge import edge
from opsconsole.cli.exit_codes import ExitCode
from opsconsole.cli.terminal import harmless
from opsconsole.errors import Invalid
from opsconsole.settings import Settings

_STATUSES = ("waiting", "trusted", "offered", "alarm", "revoked")
_ALARM = "alarm"
# What one request of the API takes.
_AT_ONCE = 1000
_MOST_CHARS = 20_000
_POLL_SECONDS = 0.5


@click.group(name="host-keys")
def host_keys() -> None:
    """List the host keys that the console knows, and decide about them."""


@host_keys.command(name="list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only these; waiting is alarm and offered.")
@click.option("-q", default="", metavar="TEXT", help="A part of a host name, an address or a fingerprint.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def list_(*, status: str | None, q: str, as_json: bool) -> int:
    """List host keys, those that raised an alarm first."""
    with open_client(Settings.load()) as client:
        found = _keys(client, status=status, q=q)
    for key in found:
        click.echo(json.dumps(key) if as_json else harmless(_line(key)))
    if not found and (q or status) and not as_json:
        click.echo("No host key fits.", err=True)
    return ExitCode.OK


@host_keys.command()
@click.argument("wanted", nargs=-1, metavar="[HOST | FINGERPRINT]...")
@click.option("--all", "everything", is_flag=True, help="All keys of first contacts; changed ones are to be named.")
@click.option("--yes", is_flag=True, help="Do not ask. Compare the fingerprints before you write this.")
@edge
def trust(wanted: tuple[str, ...], *, everything: bool, yes: bool) -> int:
    """Trust keys that hosts have shown, after a look at their fingerprints.

    A changed key is trusted only when its host or fingerprint is named; the old one is then revoked.
    """
    if everything == bool(wanted):
        raise Invalid("Name hosts or fingerprints, or say --all.")
    with open_client(Settings.load()) as client:
        waiting = _keys(client, status="offered" if everything else "waiting")
        chosen = waiting if everything else _named(client, waiting, wanted, "revoked", "trusted")
        return _carry_out(client, "trust", chosen, yes=yes)


@host_keys.command()
@click.argument("wanted", nargs=-1, required=True, metavar="HOST | FINGERPRINT...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@edge
def revoke(wanted: tuple[str, ...], *, yes: bool) -> int:
    """Revoke keys: whoever shows one is refused from now on. A host stands for its keys that are not revoked yet."""
    with open_client(Settings.load()) as client:
        kept = [key for key in _keys(client) if key["status"] != "revoked"]
        return _carry_out(client, "revoke", _named(client, kept, wanted), yes=yes)


@host_keys.command()
@click.argument("wanted", nargs=-1, required=True, metavar="HOST | FINGERPRINT...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@edge
def remove(wanted: tuple[str, ...], *, yes: bool) -> int:
    """Forget keys: whoever shows one again is met as if for the first time."""
    with open_client(Settings.load()) as client:
        return _carry_out(client, "remove", _named(client, _keys(client), wanted), yes=yes)


@host_keys.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--skip-faulty", is_flag=True, help="Leave out lines with faults instead of refusing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@edge
def import_(file: Path, **options: Any) -> int:
    """Read a known_hosts FILE (- is stdin): say what changes, ask, then do exactly that."""
    return inventory.bring(file, wanted="known-hosts", prune=False, **options)


@host_keys.command()
@click.argument("expression")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and host.")
@edge
def scan(expression: str, *, as_json: bool) -> int:
    """Have the workers collect the keys of EXPRESSION's hosts, as ssh-keyscan does, through jump hosts too.

    What they show awaits a decision: see list --status waiting, and trust. Exit code 3 when a host showed none.
    """
    with open_client(Settings.load()) as client:
        told = client.post("host-keys/scan", {"targets": expression})
        while told["done"] < told["count"]:
            time.sleep(_POLL_SECONDS)
            told = client.get(f"host-keys/scans/{told['scan']}")
    for host in told["hosts"]:
        keys = f"keys: {host['found']}" if host["found"] else host["detail"] or "no key"
        click.echo(json.dumps(host) if as_json else harmless(f"{host['host']:<32} {keys}"))
    return ExitCode.OK if all(host["found"] for host in told["hosts"]) else ExitCode.UNREACHED


@host_keys.group()
def authorities() -> None:
    """Who may vouch for hosts by certificates (@cert-authority), and keys revoked for many hosts (@revoked)."""


@authorities.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@edge
def list_authorities(*, as_json: bool) -> int:
    """List them as they were added."""
    with open_client(Settings.load()) as client:
        for row in client.get("host-keys/authorities")["authorities"]:
            text = f"{row['id']:>4}  {row['status']:<8} {row['algorithm']:<20} {row['fingerprint']}  {row['patterns']}"
            click.echo(json.dumps(row) if as_json else harmless(text))
    return ExitCode.OK


@authorities.command()
@click.argument("patterns")
@click.argument("file", type=click.File())
@click.option("--revoked", is_flag=True, help="The key counts for nothing there, as a host's or as a signer's.")
@edge
def add(patterns: str, file: TextIO, *, revoked: bool) -> int:
    """Let the public key in FILE (.pub; - is stdin) sign certificates of hosts that PATTERNS of known_hosts match."""
    order = {"patterns": patterns, "key": file.read(_MOST_CHARS), "revoked": revoked}
    with open_client(Settings.load()) as client:
        row = client.post("host-keys/authorities", order)
    click.echo(f"{row['id']}  {row['fingerprint']}")
    return ExitCode.OK


@authorities.command(name="revoke")
@click.argument("number", type=int)
@edge
def revoke_authority(number: int) -> int:
    """Revoke authority NUMBER: no certificate it signed counts any more."""
    with open_client(Settings.load()) as client:
        client.post(f"host-keys/authorities/{number}/revoke", {})
    return ExitCode.OK


@authorities.command(name="remove")
@click.argument("number", type=int)
@edge
def remove_authority(number: int) -> int:
    """Forget authority or revocation NUMBER."""
    with open_client(Settings.load()) as client:
        client.delete(f"host-keys/authorities/{number}")
    return ExitCode.OK


def decide(client: ConsoleClient, decision: str, keys: Sequence[Body]) -> None:
    """Sends ``trust``, ``revoke`` or ``remove`` for keys as the API told them."""
    names = [{name: key[name] for name in ("address", "port", "fingerprint")} for key in keys]
    for start in range(0, len(names), _AT_ONCE):
        client.post(f"host-keys/{decision}", {"keys": names[start : start + _AT_ONCE]})


def _carry_out(client: ConsoleClient, decision: str, chosen: Sequence[Body], *, yes: bool) -> int:
    for key in chosen:
        click.echo(harmless(_line(key)))
    if not chosen:
        click.echo("No host key awaits a decision here.", err=True)
        return ExitCode.REFUSED
    if not yes:
        if not sys.stdin.isatty():
            click.echo("Add --yes to do it without being asked.", err=True)
            return ExitCode.REFUSED
        if not click.confirm(f"{decision.capitalize()} {len(chosen)}?", default=False, err=True):
            return ExitCode.REFUSED
    decide(client, decision, chosen)
    done = {"trust": "trusted", "revoke": "revoked", "remove": "removed"}[decision]
    click.echo(f"{len(chosen)} {done}.")
    return ExitCode.OK


def _keys(client: ConsoleClient, **filters: str | None) -> list[Body]:
    found: list[Body] = []
    given = {name: value for name, value in filters.items() if value}
    while True:
        page = client.get("host-keys", **given, limit=_AT_ONCE, offset=len(found))["host_keys"]
        found += page
        if len(page) < _AT_ONCE:
            return found


def _named(client: ConsoleClient, keys: Sequence[Body], wanted: Sequence[str], *also: str) -> list[Body]:
    """Returns the keys that the words stand for; a fingerprint may also be one with a status of ``also``."""
    chosen: list[Body] = []
    for word in wanted:
        matching = [key for key in keys if word in _words(key)]
        if not matching and word.startswith("SHA256:"):
            matching = [key for status in also for key in _keys(client, status=status, q=word) if word in _words(key)]
        if not matching:
            raise Invalid(f"No such host key is there to decide about: {word[:200]}")
        chosen += [key for key in matching if key not in chosen]
    return chosen


def _words(key: Body) -> set[str]:
    return {key["fingerprint"], key["address"], f"{key['address']}:{key['port']}", *key["hosts"]}


def _line(key: Body) -> str:
    place = f"{key['address']}:{key['port']}"
    hosts = f"  {' '.join(key['hosts'][:3])}" if key["hosts"] else ""
    warning = "   CHANGED: not the key trusted before; nothing connects there" if key["status"] == _ALARM else ""
    return f"{key['status']:<8} {place:<24} {key['algorithm']:<20} {key['fingerprint']}{hosts}{warning}"
