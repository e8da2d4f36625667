"""``--help``: everything stands under a heading, and no sentence is cut."""

import click
import pytest

from opsconsole.cli.edge import CommandLine
from opsconsole.cli.help import first_sentence, unsectioned
from opsconsole.cli.main import COMMANDS, main


def _help(*words: str, columns: int = 80) -> str:
    # A command keeps the help option that it was first asked for, so it is asked for as the product does.
    names = main.context_settings["help_option_names"]
    context = click.Context(main, info_name="opsconsole", terminal_width=columns, help_option_names=names)
    command: click.Command = main
    for word in words:
        command = _found(word) if command is main else command.commands[word]  # type: ignore[attr-defined]
        context = click.Context(command, parent=context, info_name=word)
    return command.get_help(context)


def _found(*words: str) -> click.Command:
    command: click.Command | None = main
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    return command


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_every_command_is_told_in_a_whole_sentence(columns: int) -> None:
    text = _help(columns=columns)
    # Lines may be broken behind a hyphen, too.
    plain = "".join(text.split())
    for name in COMMANDS:
        command = _found(name)
        assert command.hidden or f"{name}{first_sentence(command)}".replace(" ", "") in plain, name
    assert "..." not in plain.replace("[ARGS]...", "")
    assert max(map(len, text.splitlines())) <= columns


@pytest.mark.parametrize(
    "words", [("run",), ("push",), ("pull",), ("rerun",), ("saved", "add"), ("saved", "run")], ids=" ".join
)
def test_the_options_of_an_order_stand_under_headings(words: tuple[str, ...]) -> None:
    command = _found(*words)
    assert isinstance(command, CommandLine)
    options = {param.name or "" for param in command.params if isinstance(param, click.Option)}
    assert unsectioned(options) == set()
    assert " ".join(_help(*words).split("\nOptions:\n")[1].split()) == "-h, --help Show this message and exit."


def test_files_are_offered_no_options_that_they_cannot_have() -> None:
    for name in ("push", "pull"):
        text = _help(name)
        assert "COMMAND" not in text
        for option in ("--durable", "--raw", "--check", "--verify", "--executor", "--simulation"):
            assert f"{option} " not in text
