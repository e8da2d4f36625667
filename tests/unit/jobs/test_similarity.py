"""What of a line is only this host's or this moment's, by examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.jobs.similarity import Mode, Own, clean, masked, normalised, readings

_OWN = Own(("web-eu-044.example.com", "10.31.2.180"))

_MASKED = [
    (" 10:42:01 up 3 days,  2:03,  1 user,  load average: 0.00, 0.01, 0.05",) * 2,
    ("/dev/sda1        40G   12G   26G  32% /", "/dev/sda1 ‹bytes› ‹percent› /"),
    ("udev            3.9G     0  3.9G   0% /dev", "udev ‹bytes› ‹percent› /dev"),
    ("/dev/sda1 41152736 1234567 38123456 4% /", "/dev/sda1 ‹bytes› ‹percent› /"),
    ("Mem:           15896        1234       12345          12        2316       14321", "Mem:‹bytes›"),
    ("0.00 0.01 0.05 1/123 4567", "‹load›"),
    (
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (unattended-upgr)",
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process ‹pid› (unattended-upgr)",
    ),
    (
        "Nov 22 23:36:04 web-eu-044 sshd[1234]: Accepted publickey for root from 10.0.0.1 port 52113 ssh2",
        "‹time› ‹host› sshd[‹pid›]: Accepted publickey for root from 10.0.0.1 port 52113 ssh2",
    ),
    ("Sun Nov 22 23:36:04 UTC 2026", "‹time›"),
    ("2026-11-22T23:36:04.123Z INFO ready", "‹time› INFO ready"),
    ("2026-11-22 23:36:04 GET /x", "‹time› GET /x"),
    ("[22/Nov/2026:23:36:04 +0000]", "[‹time›]"),
    ("Date: Mon, 22 Nov 2026 23:36:04 +0000", "Date: ‹time›"),
    ("started at 1795390564.25", "started at ‹time›"),
    ("[12345.678901] usb 1-1: new", "[‹time›] usb 1-1: new"),
    ("64 bytes from 10.31.2.180: icmp_seq=1 ttl=64 time=0.034 ms",) * 2,
    ("rtt min/avg/max/mdev = 0.034/0.041/0.051/0.007 ms", "rtt min/avg/max/mdev = ‹duration›"),
    ("real\t0m0.004s", "real ‹duration›"),
    ("up since 1h 3min ago", "up since ‹duration› ago"),
    ("   Active: active (running) since Sun 2026-11-22 23:36:04 UTC; 3 days ago",) * 2,
    ("   Main PID: 812 (nginx)", "   Main PID: ‹pid› (nginx)"),
    ("     Memory: 12.3M", "     Memory: ‹bytes›"),
    ("             └─812 /usr/sbin/nginx", "             └─‹pid› /usr/sbin/nginx"),
    ("Fetched 3,456 kB in 1s (4,118 kB/s)", "Fetched ‹bytes› in ‹duration› (‹bytes›/s)"),
    ("(Reading database ... 61204 files and", "(Reading database ... ‹count› files and"),
    ("link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:ff", "link/ether ‹mac› brd ‹mac›"),
    ("UUID=0a1b2c3d-1111-2222-3333-444455556666 / ext4", "UUID=‹id› / ext4"),
    ("request 3f4e8a9b2c1d77aa done", "request ‹id› done"),
    ("3f4e8a9b2c1d   nginx   3 days ago", "‹id› nginx ‹duration› ago"),
    ("WEB-EU-044.example.com and web-eu-044", "‹host› and ‹host›"),
]
_WANTED = {
    _MASKED[0][0]: " ‹time› up ‹duration›, ‹users›, load average: ‹load›",
    _MASKED[15][0]: "‹bytes› from ‹address›: icmp_seq=1 ttl=64 time=‹duration›",
    _MASKED[19][0]: "   Active: active (running) since ‹time›; ‹duration› ago",
}
# What must keep hosts apart: versions, counts, settings, digests, commits, other hosts' names, the end of a scale.
_KEPT = [
    "OpenSSL 3.0.15 3 Sep 2024 (Library: OpenSSL 3.0.15 3 Sep 2024)",
    "nginx version: nginx/1.22.1",
    "python3.11-3.11.2-6+deb12u3.x86_64",
    "Linux 6.1.0-21-amd64 #1 SMP Debian 6.1.90-1 (2024-05-03) x86_64 GNU/Linux",
    'VERSION_ID="12"',
    "3 errors",
    "0 errors",
    "exit status 5",
    "2 upgraded, 0 newly installed, 0 to remove and 31 not upgraded.",
    "TimeoutStopSec=90s",
    "shared_buffers = 128MB",
    "net.core.somaxconn = 4096",
    "d41d8cd98f00b204e9800998ecf8427e /etc/passwd",
    "3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
    "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
    "MD5 (passwd) = d41d8cd98f00b204e9800998ecf8427e",
    "nginx@sha256:3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
    "tcp 0 0 0.0.0.0:80 LISTEN",
    "nameserver 10.0.0.53",
    "web-eu-0441 xweb-eu-044 db-eu-044",
    "error 0x80070005",
    "all done: 100%",
    "built 2024-05-03",
]


@pytest.mark.parametrize(("line", "wanted"), _MASKED)
def test_readings_are_masked(line: str, wanted: str) -> None:
    assert masked(clean(line), _OWN) == _WANTED.get(line, wanted)


@pytest.mark.parametrize("line", _KEPT)
def test_statements_stay(line: str) -> None:
    assert masked(clean(line), _OWN) == line


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("\x1b[31mred\x1b[0m  ", "red"),
        ("10%\r55%\r100%\r", "100%"),
        ("plain\r", "plain"),
        ("\t indented", "\t indented"),
        ("\x1b]0;title\x07text", "text"),
    ],
)
def test_looks_go_in_clean_mode(line: str, wanted: str) -> None:
    assert clean(line) == wanted


def test_the_own_name_is_masked_as_a_word_of_its_own() -> None:
    own = Own(("10.0.0.5", "db"))
    assert masked("db db1 my-db 10.0.0.5 10.0.0.50 110.0.0.5 10.0.0.5.7", own) == (
        "‹host› db1 my-db ‹address› 10.0.0.50 110.0.0.5 10.0.0.5.7"
    )
    assert masked("a 7 b", Own(("a", "7"))) == "a 7 b"
    assert masked("İstanbul DB", Own(("db",))) == "İstanbul DB"


def test_a_host_written_with_user_and_port_is_known_by_its_bare_name() -> None:
    assert masked("box says hi", Own(("root@box:2222",))) == "‹host› says hi"


def test_readings_tell_what_was_masked_from_left_to_right() -> None:
    assert readings("took 3 ms, 12 kB at 10:42:01")[1] == [
        ("duration", "3 ms"),
        ("bytes", "12 kB"),
        ("time", "10:42:01"),
    ]


def test_each_mode_leaves_out_more() -> None:
    line = "\x1b[1mtook 3 ms\x1b[0m "
    assert [normalised(line, mode, _OWN) for mode in Mode] == [line, "took 3 ms", "took ‹duration›"]


@given(st.text(alphabet="0123456789abcdefxX:.,-+/%=[]() \tGMkBsup", max_size=300))
def test_masking_never_fails_and_is_the_same_with_and_without_readings(line: str) -> None:
    line = clean(line)
    template, found = readings(line)
    # A line that needs no closer look must come to the same by the short way.
    assert masked(line) == template
    assert template.count("‹") == len(found)
