"""The ``opsconsole`` command: one group, whose commands are imported only when one of them is called."""

import importlib
import sys
from typing import Any

import click

from opsconsole import __version__
from opsconsole.cli.exit_codes import of_error
from opsconsole.cli.help import MOST_COLUMNS, write_commands
from opsconsole.errors import OpsconsoleError

# Every start should be quick: a command's module is imported when that command is asked for.
_SECTIONS = {
    "Give orders": {
        "run": "opsconsole.cli.remote:run",
        "push": "opsconsole.cli.files:push",
        "pull": "opsconsole.cli.files:pull",
        "rerun": "opsconsole.cli.remote:rerun",
        "saved": "opsconsole.cli.saved:saved",
        "resolve": "opsconsole.cli.remote:resolve",
        "test": "opsconsole.cli.conntest:test",
    },
    "Look at jobs": {
        "jobs": "opsconsole.cli.remote:jobs",
        "attach": "opsconsole.cli.remote:attach",
        "logs": "opsconsole.cli.remote:logs",
        "search": "opsconsole.cli.search:search",
        "columns": "opsconsole.cli.columns:columns",
        "export": "opsconsole.cli.export:export",
        "timeline": "opsconsole.cli.timeline:timeline",
        "lineage": "opsconsole.cli.lineage:lineage",
        "find": "opsconsole.cli.finding:find",
        "queue": "opsconsole.cli.control:queue",
        "check": "opsconsole.cli.check:check",
        "files": "opsconsole.cli.files:files",
    },
    "Steer jobs": {
        "pause": "opsconsole.cli.control:pause",
        "resume": "opsconsole.cli.control:resume",
        "continue": "opsconsole.cli.control:proceed",
        "cancel": "opsconsole.cli.control:cancel",
        "title": "opsconsole.cli.control:title",
        "stop-all": "opsconsole.cli.control:stop_all",
        "lift": "opsconsole.cli.control:lift",
        "workers": "opsconsole.cli.workers:workers",
    },
    "Yourself": {
        "me": "opsconsole.cli.me:me",
    },
    "Hosts, and what opens them": {
        "hosts": "opsconsole.cli.hosts:hosts",
        "groups": "opsconsole.cli.groups:groups",
        "inventory": "opsconsole.cli.inventory:inventory",
        "credentials": "opsconsole.cli.credentials:credentials",
        "trust": "opsconsole.cli.trust:trust",
        "host-keys": "opsconsole.cli.host_keys:host_keys",
    },
    "The console itself, on its own machine": {
        "audit": "opsconsole.cli.audit:audit",
        "settings": "opsconsole.cli.configured:settings",
        "up": "opsconsole.cli.local:up",
        "doctor": "opsconsole.cli.local:doctor",
        "create-admin": "opsconsole.cli.people:create_admin",
        "login-link": "opsconsole.cli.people:login_link",
        "users": "opsconsole.cli.users:users",
        "token": "opsconsole.cli.tokens:token",
        "web": "opsconsole.cli.local:web",
        "worker": "opsconsole.cli.local:worker",
        "beat": "opsconsole.cli.local:beat",
        "db": "opsconsole.cli.local:db",
        "secrets": "opsconsole.cli.secrets:secrets",
        "recover": "opsconsole.cli.recover:recover",
        "bench": "opsconsole.cli.bench:bench",
        "demo-fleet": "opsconsole.cli.local:demo_fleet",
    },
}
COMMANDS = {name: place for section in _SECTIONS.values() for name, place in section.items()}


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands under their headings."""
        write_commands(_SECTIONS, self, ctx, formatter)

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


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MOST_COLUMNS})
@click.version_option(__version__, prog_name="opsconsole")
def main() -> None:
    """Run a command on many hosts over SSH, with a true result for each.

    opsconsole COMMAND --help says more of each.
    """
