"""The options that choose hosts of a job by what they wrote."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import click

from opsconsole.errors import Invalid

P = ParamSpec("P")
_NAMES = ("find", "re", "case", "found")


def wrote_options(command: Callable[P, None]) -> Callable[P, None]:
    """Adds ``--find`` and what goes with it."""
    which = click.Choice(["with", "without"])
    options = [
        click.option("--find", help="Only hosts with this TEXT in their output."),
        click.option("-E", "--re", "re", is_flag=True, help="The text of --find is a regular expression (RE2)."),
        click.option("-s", "--case", "case", is_flag=True, help="Upper and lower case differ for --find."),
        click.option("--found", type=which, help="Hosts with a hit for --find (usual), or without."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def wrote_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is chosen in the words of the API, empty for all hosts. Raises ``Invalid`` where ``--find`` is
    missing."""
    given = {name: options[name] for name in _NAMES if options[name]}
    if given and "find" not in given:
        raise Invalid("--re, --case and --found say how to look: add --find TEXT.")
    return given
