"""The product's code holds none of the calls that make consoles like this one unsafe."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture.project import files, relative

_SUBPROCESS = {"run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput"}
_BANNED_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
_BANNED_MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "jsonpickle", "imp", "commands"}
_BANNED_NAMES = {"AutoAddPolicy", "WarningPolicy"}
_SSH_PROGRAMS = {"ssh", "scp", "sftp", "sshpass", "rsync"}
_SECRETS_ONLY = ("accounts", "audit", "credentials", "web")


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module


def _unsafe_call(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    name = _dotted(node.func)
    if name in _BANNED_CALLS:
        return f"calls {name}"
    for keyword in node.keywords:
        if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
            return f"calls {name} with a shell"
    return None


def _ssh_program(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call) or _dotted(node.func).rpartition(".")[2] not in _SUBPROCESS or not node.args:
        return None
    command = node.args[0]
    first = command.elts[0] if isinstance(command, ast.List | ast.Tuple) and command.elts else command
    if isinstance(first, ast.Constant) and Path(str(first.value)).name in _SSH_PROGRAMS:
        return f"starts {first.value}: host names reach a command line"
    return None


def _banned_module(node: ast.AST) -> str | None:
    for name in _imported(node):
        if name.partition(".")[0] in _BANNED_MODULES:
            return f"imports {name}"
    return None


def _trusting_policy(node: ast.AST) -> str | None:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", getattr(node, "name", None))
    return f"uses {name}: any host key would be trusted" if name in _BANNED_NAMES else None


def _markup(node: ast.AST) -> str | None:
    called = _dotted(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
    return "makes Markup outside a template" if called == "Markup" else None


def findings(rule: Callable[[ast.AST], str | None], source: str) -> list[str]:
    """Returns what ``rule`` says about the nodes of ``source``, each with its line."""
    nodes = ast.walk(ast.parse(source))
    return [f"{getattr(node, 'lineno', 0)}: {said}" for node in nodes if (said := rule(node))]


@pytest.mark.parametrize("rule", [_unsafe_call, _ssh_program, _banned_module, _trusting_policy, _markup])
def test_no_unsafe_call_in_the_product(rule: Callable[[ast.AST], str | None]) -> None:
    found = [
        f"{relative(path)}:{finding}"
        for path in files("opsconsole", "migrations", suffix=".py")
        for finding in findings(rule, path.read_text(encoding="utf-8"))
    ]
    assert not found, found


@pytest.mark.parametrize("package", _SECRETS_ONLY)
def test_tokens_and_keys_come_from_secrets_never_from_random(package: str) -> None:
    for path in files(f"opsconsole/{package}", suffix=".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert "random" not in list(_imported(node)), f"{relative(path)} imports random"


@pytest.mark.parametrize(
    ("rule", "planted"),
    [
        (_unsafe_call, "subprocess.run('ls', shell=True)"),
        (_unsafe_call, "subprocess.Popen(x, shell=flag)"),
        (_unsafe_call, "os.system('ls')"),
        (_unsafe_call, "eval(text)"),
        (_unsafe_call, "yaml.load(text)"),
        (_ssh_program, "subprocess.run(['ssh', host])"),
        (_ssh_program, "Popen(('/usr/bin/scp', host))"),
        (_banned_module, "from pickle import loads"),
        (_trusting_policy, "client.set_missing_host_key_policy(paramiko.AutoAddPolicy())"),
        (_trusting_policy, "from paramiko import AutoAddPolicy"),
        (_markup, "Markup(output)"),
    ],
)
def test_the_rules_catch_what_they_are_for(rule: Callable[[ast.AST], str | None], planted: str) -> None:
    assert findings(rule, planted)
