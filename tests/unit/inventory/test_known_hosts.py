"""known_hosts as OpenSSH reads it; the hashed names and fingerprints are ssh-keygen's own."""

import time

import pytest

from opsconsole.inventory.known_hosts import KnownHosts, KnownKey, entries, fingerprint, lookup
from tests.support.factories import make_key

# What `ssh-keygen -t ed25519`, `ssh-keygen -l` and `ssh-keygen -H` wrote for web1 and [web2]:2222.
KEY = KnownKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIO7kDoQjmO4zL09CADgI2cRdwZPJ3UBSV1QeYG8LD8fO")
FINGERPRINT = "SHA256:UwxBTTTNyUZ7mFIVddfaXV5KrllpXo8Gf6/Dz7O10zA"
HASHED = (
    "|1|2K/oREKUYlZFUpQH0+37DqnEl8Q=|FlXv4Y1+OvzJ2ij93Zbb8PW31yU=",
    "|1|AAO3lFv+W93qQYl6FPUs5Le7f0Q=|Y+hE+UVi3rHQ05Tk1Zb826vUTSU=",
)
OTHER = make_key()
RSA = make_key("ssh-rsa")


def line(names: str, key: KnownKey = KEY, marker: str = "") -> str:
    return f"{marker} {names} {key.algorithm} {key.key} a comment\n".lstrip()


def test_the_fingerprint_is_what_ssh_keygen_shows() -> None:
    assert fingerprint(KEY) == FINGERPRINT


def test_hashed_names_are_found() -> None:
    text = "".join(line(name) for name in HASHED)
    assert lookup(text, "web1", 22) == (KEY,)
    assert lookup(text, "Web2", 2222) == (KEY,)
    assert lookup(text, "web1", 2222) == ()
    assert lookup(text, "web2", 22) == ()
    assert lookup(text + line(HASHED[0], KEY, "@revoked"), "web1", 22) == ()


def test_plain_names_and_ports() -> None:
    text = line("web1,10.0.0.1,[web1]:2222,fe80::1,[fe80::2]:22022")
    for address, port in [("web1", 22), ("10.0.0.1", 22), ("WEB1", 2222), ("fe80::1", 22), ("fe80::2", 22022)]:
        assert lookup(text, address, port) == (KEY,)
    for address, port in [("web1", 2223), ("10.0.0.1", 2222), ("web", 22), ("web11", 22), ("fe80::2", 22)]:
        assert lookup(text, address, port) == ()


def test_all_keys_of_a_host_in_the_order_of_the_file() -> None:
    text = line("web1", RSA) + line("other", OTHER) + line("web1", KEY) + line("web1", KEY)
    assert lookup(text, "web1", 22) == (RSA, KEY)


@pytest.mark.parametrize(
    ("patterns", "address", "port", "found"),
    [
        ("*.example.com", "a.example.com", 22, True),
        ("*.example.com", "A.Example.Com", 22, True),
        ("*.example.com", "example.com", 22, False),
        ("web?", "web1", 22, True),
        ("web?", "web12", 22, False),
        ("[*.example.com]:2222", "a.example.com", 2222, True),
        ("[*.example.com]:2222", "a.example.com", 22, False),
        ("*", "anything", 2222, True),
        ("*.example.com,!bad.example.com", "good.example.com", 22, True),
        ("*.example.com,!bad.example.com", "bad.example.com", 22, False),
        ("!bad.example.com,*.example.com", "bad.example.com", 22, False),
        ("!bad.example.com", "good.example.com", 22, False),
    ],
)
def test_wildcards_and_negation(patterns: str, address: str, port: int, found: bool) -> None:
    assert lookup(line(patterns), address, port) == ((KEY,) if found else ())


def test_revoked_keys_are_never_trusted() -> None:
    text = line("web1") + line("web1", OTHER) + line("*", KEY, "@revoked")
    assert lookup(text, "web1", 22) == (OTHER,)


def test_certificate_authorities_are_no_host_keys() -> None:
    assert lookup(line("*", KEY, "@cert-authority") + line("web1", OTHER), "web1", 22) == (OTHER,)


@pytest.mark.parametrize(
    "nonsense",
    [
        "# a comment",
        "",
        "web1",
        "web1 ssh-ed25519",
        "web1 1024 35 1234567890",
        "web1 ssh-ed25519 notbase64!",
        "web1 ssh-ed25519 AAAA",
        f"web1 ssh-rsa {KEY.key}",
        f"@unknown-marker web1 ssh-ed25519 {KEY.key}",
        f"|1|bad|hash ssh-ed25519 {KEY.key}",
        f"|1|é|hash ssh-ed25519 {KEY.key}",
        "\0\x1b]0;x\a",
    ],
)
def test_nonsense_is_passed_over(nonsense: str) -> None:
    assert lookup(nonsense + "\n" + line("web1", OTHER), "web1", 22) == (OTHER,)


def test_entries_tell_what_can_be_listed() -> None:
    text = line("web1,[web2]:2222") + "\n# note\n" + line("|1|c2FsdA==|aGFzaA==") + line("*.x,web3,!web4")
    assert [(entry.line, entry.plain_names()) for entry in entries(text)] == [
        (1, (("web1", 22), ("web2", 2222))),
        (4, ()),
        (5, ()),
    ]


def test_many_hosts_are_found_quickly() -> None:
    text = "".join(line(f"host{number}") for number in range(5000))
    start = time.process_time()
    known = KnownHosts(text)
    assert all(known.keys(f"host{number}", 22) == (KEY,) for number in range(5000))
    assert time.process_time() - start < 2


def test_a_hostile_pattern_takes_no_long_time() -> None:
    start = time.process_time()
    assert lookup(line("*a" * 60 + "b"), "a" * 250, 22) == ()
    assert time.process_time() - start < 1
