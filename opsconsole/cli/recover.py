"""What a person does after the database was restored from an older copy."""

import sys
from pathlib import Path

import click

from opsconsole.settings import Settings


@click.command()
@click.option("--hold", is_flag=True, help="Hold everything until a person has looked. The only way there is.")
@click.option("--reason", default="restored from a backup", show_default=True, help="Shown to all while it is held.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of database, keys, sockets and logs.")
def recover(hold: bool, reason: str, data_dir: Path | None) -> None:
    """Make a database that was restored from a backup safe to start from.

    Stop the console and all workers first. Commands that ran when the copy was made become lost; jobs with hosts that
    had not started are paused, because they may have run since; nothing starts until an administrator lifts the hold.
    """
    if not hold:
        raise click.UsageError("say --hold: this puts the whole console on hold")
    from opsconsole.launcher.restore import hold_console

    chosen = {} if data_dir is None else {"data_dir": data_dir}
    for line in hold_console(Settings.load(**chosen), reason):
        click.echo(line)
    sys.stdout.flush()
