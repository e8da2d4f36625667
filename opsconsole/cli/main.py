"""The ``opsconsole`` command: one group, whose commands are imported only when one of them is called."""

import importlib
import sys
from typing import Any

import click

from opsconsole import __version__
from opsconsole.cli.exit_codes import of_error
from opsconsole.errors import OpsconsoleError

# Every start should be quick: a command's module is imported when that command is asked for.
COMMANDS = {
    "up": "opsconsole.cli.local:up",
    "web": "opsconsole.cli.local:web",
    "worker": "opsconsole.cli.local:worker",
    "beat": "opsconsole.cli.local:beat",
    "db": "opsconsole.cli.local:db",
    "doctor": "opsconsole.cli.local:doctor",
    "secrets": "opsconsole.cli.secrets:secrets",
    "recover": "opsconsole.cli.recover:recover",
    "create-admin": "opsconsole.cli.people:create_admin",
    "login-link": "opsconsole.cli.people:login_link",
    "run": "opsconsole.cli.remote:run",
    "push": "opsconsole.cli.files:push",
    "pull": "opsconsole.cli.files:pull",
    "files": "opsconsole.cli.files:files",
    "resolve": "opsconsole.cli.remote:resolve",
    "jobs": "opsconsole.cli.remote:jobs",
    "logs": "opsconsole.cli.remote:logs",
    "attach": "opsconsole.cli.remote:attach",
    "pause": "opsconsole.cli.control:pause",
    "resume": "opsconsole.cli.control:resume",
    "continue": "opsconsole.cli.control:proceed",
    "cancel": "opsconsole.cli.control:cancel",
    "check": "opsconsole.cli.check:check",
    "rerun": "opsconsole.cli.remote:rerun",
    "saved": "opsconsole.cli.saved:saved",
    "lineage": "opsconsole.cli.lineage:lineage",
    "timeline": "opsconsole.cli.timeline:timeline",
    "queue": "opsconsole.cli.control:queue",
    "stop-all": "opsconsole.cli.control:stop_all",
    "lift": "opsconsole.cli.control:lift",
    "hosts": "opsconsole.cli.hosts:hosts",
    "groups": "opsconsole.cli.groups:groups",
    "inventory": "opsconsole.cli.inventory:inventory",
    "credentials": "opsconsole.cli.credentials:credentials",
    "trust": "opsconsole.cli.trust:trust",
    "host-keys": "opsconsole.cli.host_keys:host_keys",
    "test": "opsconsole.cli.conntest:test",
    "token": "opsconsole.cli.tokens:token",
    "bench": "opsconsole.cli.bench:bench",
    "demo-fleet": "opsconsole.cli.local:demo_fleet",
}


class Commands(click.Group):
    """A group that knows its commands by name and imports them when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the command, or ``None`` when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; an error with a code becomes its sentence on stderr and an exit status."""
        try:
            return super().invoke(ctx)
        except OpsconsoleError as error:
            click.echo(f"opsconsole: {error.detail}", err=True)
            for fault in error.errors:
                if fault.hint:
                    click.echo(f"  {fault.hint}", err=True)
            sys.exit(of_error(error))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="opsconsole")
def main() -> None:
    """Run a command on many hosts over SSH, with a true result for each."""
