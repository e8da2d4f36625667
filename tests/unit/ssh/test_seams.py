"""Every non-public part of paramiko that the product stands on is still there, with the same parameters."""

import ast
import inspect
from pathlib import Path

import paramiko
import paramiko.agent
import paramiko.auth_handler
import paramiko.packet
import paramiko.transport
import pytest

from opsconsole.ssh import seams
from opsconsole.ssh.channel import RunChannel
from opsconsole.ssh.prover import Prover
from opsconsole.ssh.transport import ClientTransport
from opsconsole.ssh.wire import Packets

_REAL = {
    "ChannelMap": paramiko.transport.ChannelMap,
    "Transport": paramiko.Transport,
    "Channel": paramiko.Channel,
    "AuthHandler": paramiko.auth_handler.AuthHandler,
    "AgentSSH": paramiko.agent.AgentSSH,
}


def _declared() -> list[tuple[str, ast.FunctionDef]]:
    tree = ast.parse(Path(seams.__file__).read_text())
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert {node.name for node in classes} == set(_REAL)
    return [(node.name, child) for node in classes for child in node.body if isinstance(child, ast.FunctionDef)]


@pytest.mark.parametrize(("owner", "method"), _declared(), ids=lambda value: getattr(value, "name", value))
def test_a_declared_method_exists_with_its_parameters(owner: str, method: ast.FunctionDef) -> None:
    real = inspect.signature(getattr(_REAL[owner], method.name))
    assert list(real.parameters) == [argument.arg for argument in method.args.args]


@pytest.mark.parametrize(
    ("ours", "real"),
    [
        (ClientTransport, paramiko.Transport),
        (RunChannel, paramiko.Channel),
        (Prover, paramiko.auth_handler.AuthHandler),
        (Packets, paramiko.packet.Packetizer),
    ],
)
def test_what_is_overridden_is_called_by_paramiko(ours: type, real: type) -> None:
    source = inspect.getsource(inspect.getmodule(real) or real) + inspect.getsource(paramiko.transport)
    private = {
        name for name in vars(ours) if name.startswith("_") and not name.startswith("__") and hasattr(real, name)
    }
    for name in private:
        assert source.count(name) > 1, name


def test_the_algorithms_that_are_offered() -> None:
    offered = {*ClientTransport._preferred_ciphers, *ClientTransport._preferred_macs, *ClientTransport._preferred_kex}
    assert not [name for name in offered if any(old in name for old in ("cbc", "3des", "md5", "sha1", "arcfour"))]
    assert set(ClientTransport._preferred_ciphers) <= set(paramiko.Transport._cipher_info)
    assert set(ClientTransport._preferred_macs) <= set(paramiko.Transport._mac_info)
    assert set(ClientTransport._preferred_kex) <= set(ClientTransport._kex_info)
    assert ClientTransport._preferred_kex[0] == "curve25519-sha256"
