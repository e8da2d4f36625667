"""The options of an order: which hosts, in which waves, how long, and what when hosts fail; and the order they mean."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TextIO

import click

from opsconsole.cli.client import Body
from opsconsole.cli.password import RUN_AS, ask_password
from opsconsole.cli.seconds import Seconds
from opsconsole.errors import Invalid

P = ParamSpec("P")

_GATES = click.Choice(["auto", "on_failure", "manual"])
# Fields of the order that have an option of the same name: how the job goes over its hosts.
_SAME = (
    "concurrency",
    "max_failures",
    "at_stop",
    "waves",
    "wave_pause",
    "wave_jitter",
    "wave_gate",
    "canary",
    "canary_match",
    "canary_gate",
    "order",
    "limit_per",
    "jump",
    "retries",
    "retry_pause",
    "executor",
    "simulation",
    "interpreter",
    "stdin",
    "cwd",
    "umask",
    "run_as",
    "run_as_method",
    "run_as_credential",
    "check",
    "verify",
    "step_barrier",
)
_TIMEOUTS = ("connect", "command", "idle", "job")


def target_options(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the options that say which hosts, and how many of them at once."""
    return _added(
        command,
        click.option("-w", "targets", multiple=True, required=True, help="Hosts: web[01-20],@db, several times too."),
        click.option("-x", "exclude", multiple=True, help="Hosts to leave out; wins over -w."),
        click.option("--skip-unknown", is_flag=True, help="Leave out what the inventory does not know."),
        click.option("-f", "concurrency", type=click.IntRange(min=1), help="Hosts at once."),
        click.option("--max-failures", help="Stop when more hosts fail: 3 or 5%."),
    )


def login_options(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the options that say as whom and with what."""
    return _added(
        command,
        click.option("--title", help="Title of the job; default is the command."),
        click.option("--user", "-l", help="Remote user."),
        click.option("--credential", help="auto, ambient, key:NAME or cred:NAME (a stored one)."),
        click.option("--ask-password", is_flag=True, help="Ask for a password (or read a line of stdin) for this job."),
    )


def what_options(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the options that say how COMMAND is run: who reads it, with which arguments and input, where, by what, and
    what is run before and after it."""
    return _added(
        command,
        click.option("--interpreter", help="Program that reads COMMAND as a script: 'python3 -u'."),
        click.option("--script", type=click.File("r"), help="File with the script; COMMAND are then its arguments."),
        click.option("--arg", "args", multiple=True, metavar="WORD", help="Argument of the script, several times too."),
        click.option("--stdin", metavar="TEXT", help="What the command reads."),
        click.option(
            "--stdin-file", type=click.File("r"), help="File with what the command reads; - is our own input."
        ),
        click.option("--cwd", metavar="FOLDER", help="Folder to run it in."),
        click.option("--umask", metavar="OCTAL", help="Such as 027."),
        click.option("--env", multiple=True, metavar="NAME=VALUE", help="Variable of its environment."),
        click.option("--durable", is_flag=True, help="The command outlives its worker and is taken up again."),
        click.option("--raw", is_flag=True, help="For network devices: over a terminal, with no guard on the host."),
        click.option("--raw-typed", is_flag=True, help="With --raw: line by line at the prompt, without trying exec."),
        click.option(
            "--executor", type=click.Choice(["ssh", "local", "simulate"]), help="What carries it out on all hosts."
        ),
        click.option("--simulation", metavar="TEXT", help="Of simulated hosts: 'seed=7 failures=3% output=df'."),
        click.option(
            "--check",
            metavar="TEXT",
            help="Run before COMMAND: exit 0 goes on, 77 means nothing to do, anything else fails the host.",
        ),
        click.option("--verify", metavar="TEXT", help="Run after COMMAND; the host fails unless it exits 0."),
        click.option(
            "--step-barrier", type=click.Choice(["host", "wave"]), help="wave: all hosts of a wave pass a step first."
        ),
        become_options,
    )


def become_options(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the options that say as which other account."""
    return _added(
        command,
        click.option("--run-as", metavar="USER", help="Account it runs as, when not the login's."),
        click.option("--run-as-method", type=click.Choice(["sudo", "su"]), help="How it becomes that; sudo."),
        click.option("--run-as-credential", help="With what: none, login, cred:NAME or password."),
        click.option("--ask-run-as-password", is_flag=True, help="Ask for its password, given once on each host."),
    )


def text_of(command: tuple[str, ...], options: dict[str, Any]) -> str:
    """Returns the command's text, and puts what the files of ``options`` hold where their texts are.

    Raises ``Invalid`` when there is none, or for options that exclude each other.
    """
    if options["stdin_file"] is not None:
        if options["stdin"] is not None:
            raise Invalid("--stdin and --stdin-file exclude each other.")
        options["stdin"] = _read(options["stdin_file"], "--stdin-file")
    if options["script"] is not None:
        options["args"] = (*options["args"], *command)
        return _read(options["script"], "--script")
    if not command:
        raise Invalid("Give a command after --, or a file with --script.")
    return " ".join(command)


def _read(file: TextIO, option: str) -> str:
    try:
        return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{option}: {file.name} cannot be read as text.") from error


def _variables(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise Invalid(f"--env is NAME=VALUE: {text[:40]!r} has no equals sign.")
        found[name] = value
    return found


def control_options(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the options that say in which waves, within which times, and what when something goes wrong."""
    return _added(
        command,
        click.option("--waves", help="Sizes of the waves: '1 5 10% *2 +5'; the last repeats."),
        _seconds("--wave-pause", "wave_pause", help="Between two waves."),
        _seconds("--wave-jitter", "wave_jitter", help="At most so many random seconds more."),
        click.option("--wave-gate", type=_GATES, help="Who lets the next wave go."),
        click.option("--canary", help="Hosts that go first: 3, 'random 3' or 'each dc'."),
        click.option("--canary-match", metavar="REGEX", help="What each canary must print."),
        click.option("--canary-gate", type=_GATES, help="Who lets the rest go after the canary."),
        click.option("--order", help="given, random, or 'spread TAG'."),
        click.option("--limit-per", metavar="TAG=N", help="At most N hosts at once per value of TAG; group=N, jump=N."),
        click.option("--jump", "-J", metavar="HOSTS", help="Jump hosts to all hosts: user@bastion:22,inner; or none."),
        click.option("--retries", type=click.IntRange(min=0), help="Try failed connections again so often."),
        _seconds("--retry-pause", "retry_pause", help="Before the first retry; each further one doubles."),
        _seconds("--connect-timeout", "connect_timeout", help="To reach a host and log in."),
        _seconds("--timeout", "command_timeout", help="Of the command; 0 means none."),
        _seconds("--idle-timeout", "idle_timeout", help="Without output; 0 means none."),
        _seconds("--job-timeout", "job_timeout", help="Of the whole job; 0 means none."),
        click.option("--at-stop", type=click.Choice(["finish", "kill"]), help="Fate of running hosts at a stop."),
        click.option("--ignore-unreachable", is_flag=True, help="Unreachable hosts do not count as failed."),
        click.option("--priority", type=click.Choice(["low", "normal", "high"]), help="high: approvers and admins."),
    )


def order_of(command: str, options: Mapping[str, Any]) -> Body:
    """Returns the order as the API takes it; what was not given is left to the console. Asks for the password.

    Raises ``Invalid`` for options that exclude each other.
    """
    order = question_of(command, options) | {
        name: options[name] for name in ("title", "user", "credential", "priority") if options[name] is not None
    }
    if options["ask_password"]:
        if options["credential"] not in {None, "password"}:
            raise Invalid("--ask-password and --credential exclude each other.")
        order |= {"credential": "password", "password": ask_password()}
    if options["ask_run_as_password"]:
        if options["run_as_credential"] not in {None, "password"}:
            raise Invalid("--ask-run-as-password and --run-as-credential exclude each other.")
        order |= {"run_as_credential": "password", "run_as_password": ask_password(RUN_AS)}
    return order


def question_of(command: str, options: Mapping[str, Any]) -> Body:
    """Returns what ``resolve`` is asked about an order: hosts, command, and how the job goes over them."""
    question = {name: options.get(name) for name in _SAME} | {
        "targets": ",".join(options["targets"]),
        "exclude": ",".join(options["exclude"]),
        "skip_unknown": True if options.get("skip_unknown") else None,
        "command": command,
        "count_unreachable": False if options.get("ignore_unreachable") else None,
        **{name: True if options.get(name) else None for name in ("durable", "raw", "raw_typed")},
        "args": list(options.get("args") or ()),
        "env": _variables(options.get("env") or ()),
        "timeouts": {
            f"{name}_ms": round(options[f"{name}_timeout"] * 1000)
            for name in _TIMEOUTS
            if options.get(f"{name}_timeout") is not None
        },
    }
    return {name: value for name, value in question.items() if value not in (None, {}, [])}


def _seconds(option: str, name: str, **more: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    return click.option(option, name, type=Seconds(name), metavar="SECONDS", help=more.get("help"))


def _added(command: Callable[P, None], *options: Callable[[Callable[P, None]], Callable[P, None]]) -> Callable[P, None]:
    for option in reversed(options):
        command = option(command)
    return command
