"""What ``--help`` looks like: commands and options under headings, in whole sentences, as wide as the terminal."""

from collections.abc import Iterable, Mapping

import click

# Wider lines are hard to read, however wide the terminal is.
MOST_COLUMNS = 110
_OTHERS = "Options"
_BESIDES = 24

# Where an option of an order stands, by the name of its value.
_OPTION_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Which hosts": ("targets", "exclude", "skip_unknown"),
    "Files": ("mode", "owner", "preserve", "make_folders"),
    "What is run": (
        *("interpreter", "script", "args", "stdin", "stdin_file", "cwd", "umask", "env"),
        *("durable", "raw", "raw_typed", "executor", "simulation"),
    ),
    "Before and after it": ("check", "verify", "step_barrier"),
    "As whom": (
        *("user", "credential", "ask_password"),
        *("run_as", "run_as_method", "run_as_credential", "ask_run_as_password"),
    ),
    "In which order, and how many at once": (
        *("concurrency", "order", "limit_per", "priority", "waves", "wave_pause", "wave_jitter", "wave_gate"),
        *("canary", "canary_match", "canary_gate"),
    ),
    "When it stops": (
        *("max_failures", "ignore_unreachable", "at_stop"),
        *("command_timeout", "idle_timeout", "job_timeout"),
    ),
    "The way to the hosts": ("jump", "connect_timeout", "retries", "retry_pause"),
    "Giving the order": (
        *("states", "hosts", "find", "re", "case", "found", "title", "static", "notes", "replacing", "asking"),
        *("dry_run", "yes", "reason", "detach"),
    ),
    "What is shown": ("gathered", "diff", "alike", "quiet", "largest", "colour", "as_json", "follow", "stream", "step"),
}


def write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Writes the options of a command under their headings; one without a heading stands under the last."""
    records: dict[str, list[tuple[str, str]]] = {}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
        if record is not None:
            # Two flags may set one value.
            records.setdefault(param.name or "", []).append(record)
    for title, names in _OPTION_SECTIONS.items():
        _write(formatter, title, [record for name in names for record in records.pop(name, ())])
    _write(formatter, _OTHERS, [record for rest in records.values() for record in rest])


def unsectioned(names: Iterable[str]) -> set[str]:
    """Returns which of these values of options have no heading."""
    return set(names) - {name for names in _OPTION_SECTIONS.values() for name in names}


def write_commands(
    sections: Mapping[str, Iterable[str]], group: click.Group, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Writes the commands of ``group`` under the headings of ``sections``, each with its first sentence, whole."""
    for title, names in sections.items():
        found = [(name, group.get_command(ctx, name)) for name in names]
        rows = [(name, first_sentence(one)) for name, one in found if one is not None and not one.hidden]
        _write(formatter, title, rows)


def first_sentence(command: click.Command) -> str:
    """Returns the first sentence of a command's help."""
    paragraph = " ".join((command.help or "").split("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return sentence + "." if stop else paragraph


def _write(formatter: click.HelpFormatter, title: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows, col_max=_BESIDES)
