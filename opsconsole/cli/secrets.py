"""``opsconsole secrets``: the keys that seal stored secrets, at the machine of the console."""

import json
import sys
from pathlib import Path

import click

from opsconsole.settings import Settings

_DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder of database, keys, sockets and logs."
)


@click.group()
def secrets() -> None:
    """Look after the keys that seal passwords and private keys. Run it where the console runs."""


@secrets.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_DATA_DIR
def status(*, as_json: bool, data_dir: Path | None) -> None:
    """List the data keys, and how many values each seals. Exit 1 when this secret key does not open one."""
    from opsconsole.launcher import secret_keys

    found = secret_keys.states(_settings(data_dir))
    for key in found:
        facts = {
            "key": key.id,
            "made": key.created_at.isoformat(timespec="seconds"),
            "retired": key.retired_at.isoformat(timespec="seconds") if key.retired_at else None,
            "sealed": key.sealed,
            "secret_keys": key.wraps,
            "opens": key.ours,
        }
        words = f"key {key.id}  made {facts['made']}  {key.sealed:,} sealed values"
        words += "" if key.retired_at is None else "  retired"
        words += "" if key.wraps <= 1 else f"  opened by {key.wraps} secret keys"
        words += "" if key.ours else "  NOT opened by this secret key"
        click.echo(json.dumps(facts) if as_json else words)
    if not found:
        click.echo("Nothing has been sealed yet.", err=True)
    sys.exit(0 if all(key.ours for key in found) else 1)


@secrets.command()
@click.option(
    "--new-secret-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also exchange the console's secret key for the one in this file; made when it is not there.",
)
@_DATA_DIR
def rotate(new_secret_key_file: Path | None, data_dir: Path | None) -> None:
    """Seal every secret anew with a new key, and remove the old ones. Jobs may run meanwhile."""
    from opsconsole.launcher import secret_keys

    for line in secret_keys.rotate(_settings(data_dir), new_secret_key_file):
        click.echo(line)


@secrets.command("forget-old-key")
@_DATA_DIR
def forget_old_key(data_dir: Path | None) -> None:
    """End an exchange of the secret key: what the old one opens is removed. Every process must have the new one."""
    from opsconsole.launcher import secret_keys

    click.echo(secret_keys.forget_old_key(_settings(data_dir)))


def _settings(data_dir: Path | None) -> Settings:
    return Settings.load(**({} if data_dir is None else {"data_dir": data_dir}))
