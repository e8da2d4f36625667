"""What simulated hosts are like, as text; and that a seed always makes the same of them."""

from collections import Counter

import pytest

from opsconsole.errors import Invalid
from opsconsole.executors.fake_host import FakeHost, Fate
from opsconsole.executors.fake_shell import End, Say, Wait, steps
from opsconsole.jobs.ports import Stream
from opsconsole.jobs.simulation import Simulation


def test_what_is_left_out_is_as_usual() -> None:
    assert Simulation.parse(None) == Simulation.parse("  ") == Simulation()


def test_shares_and_seconds_may_carry_their_unit() -> None:
    said = Simulation.parse("seed=blue median_seconds=2s failures=3% unreachable=1 spread=0")
    assert (said.seed, said.median_seconds, said.failures, said.unreachable, said.spread) == (
        "blue",
        2.0,
        3.0,
        1.0,
        0.0,
    )


def test_a_text_is_all_that_follows() -> None:
    said = Simulation.parse("failures=1% output=text:all is well seed=2")
    assert (said.text, said.said, said.seed) == ("all is well seed=2", None, "0")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("speed=3", "'speed=3' is none of seed="),
        ("failures=lots", "failures= takes a number from 0 to 100%"),
        ("median_seconds=-1", "median_seconds= takes a number"),
        ("failures=nan", "failures= takes a number"),
        ("output=poem", "output= is one of uptime"),
        ("failures=60% hangs=60%", "120% together"),
        ("seed=", "seed= takes a word"),
    ],
)
def test_what_has_no_meaning_is_told(text: str, told: str) -> None:
    with pytest.raises(Invalid) as error:
        Simulation.parse(text)
    assert told in error.value.detail
    assert {fault.field for fault in error.value.errors} == {"simulation"}


def test_a_seed_and_a_name_make_the_same_host_each_time() -> None:
    simulation = Simulation.parse("seed=a failures=50%")
    first, again = FakeHost("web1", simulation), FakeHost("web1", simulation)
    assert (first.fate, first.os, first.run_seconds) == (again.fate, again.os, again.run_seconds)
    others = {FakeHost("web1", Simulation(seed=str(seed))).run_seconds for seed in range(20)}
    assert len(others) == 20


def test_shares_are_those_that_were_asked_for() -> None:
    simulation = Simulation.parse("failures=20% unreachable=10% hangs=5% lost=5% host_keys=5%")
    fates = Counter(FakeHost(f"web{number}", simulation).fate for number in range(4000))
    shares = {fate: round(count / 40) for fate, count in fates.items()}
    for fate, asked in ((Fate.FAILS, 20), (Fate.UNREACHABLE, 10), (Fate.HANGS, 5), (Fate.LOST, 5), (Fate.HOST_KEY, 5)):
        assert abs(shares[fate] - asked) <= 2


def test_the_median_of_the_times_is_the_one_that_was_asked_for() -> None:
    simulation = Simulation.parse("median_seconds=3 spread=0.8")
    times = sorted(FakeHost(f"web{number}", simulation).run_seconds for number in range(1001))
    assert 2.7 < times[500] < 3.3
    assert times[0] < 1.0 < 9.0 < times[-1]


def _played(command: str, simulation: str = "", name: str = "web1") -> tuple[str, str, int | None, float]:
    """Returns what a command says on both streams, its status and its seconds."""
    said: dict[Stream, bytes] = {Stream.STDOUT: b"", Stream.STDERR: b""}
    status, seconds = None, 0.0
    for step in steps(command.encode(), FakeHost(name, Simulation.parse(f"median_seconds=0 {simulation}"))):
        match step:
            case Say(stream, data):
                said[stream] += data
            case Wait(more):
                seconds += more
            case End(code):
                status = code
    return said[Stream.STDOUT].decode(), said[Stream.STDERR].decode(), status, seconds


@pytest.mark.parametrize(
    ("command", "out", "err", "status"),
    [
        ("echo one two", "one two\n", "", 0),
        ("echo 'a;b'; exit 3", "a;b\n", "", 3),
        ("echo bad >&2", "", "bad\n", 0),
        ("false && echo no || echo yes", "yes\n", "", 0),
        ("# a comment\necho $HOSTNAME # no\n", "web1 # no\n", "", 0),
        ("sudo -n hostname | tr a-z A-Z", "web1\n", "", 0),
        ("LANG=C hostname 2>/dev/null", "web1\n", "", 0),
        ("cat /nowhere", "", "cat: /nowhere: No such file or directory\n", 1),
        ("systemctl restart nginx", "simulated: systemctl restart nginx\n", "", 0),
        ("for i in 1 2; do echo $i; done", "simulated: for i in 1 2; do echo $i; done\n", "", 0),
        ("echo 'open", "", "sh: 1: Syntax error: Unterminated quoted string\n", 2),
        ("", "", "", 0),
    ],
)
def test_a_command_is_played(command: str, out: str, err: str, status: int) -> None:
    assert _played(command)[:3] == (out, err, status)


def test_a_text_that_waits_takes_that_time_and_no_other() -> None:
    assert _played("sleep 5; echo done", "median_seconds=3 spread=0")[3] == 5.0
    assert _played("echo done", "median_seconds=3 spread=0")[3] == 3.0


def test_known_commands_look_like_themselves() -> None:
    assert "load average:" in _played("uptime")[0]
    assert "PRETTY_NAME=" in _played("cat /etc/os-release")[0]
    assert _played("df -h")[0].startswith("Filesystem")
    assert _played("dpkg -l")[0].count("\n") == 2000
    assert "upgraded" in _played("apt-get -y upgrade")[0]


def test_packages_differ_a_little_between_few_kinds_of_hosts() -> None:
    lists = Counter(_played("rpm -qa", name=f"web{number}")[0] for number in range(60))
    assert 2 <= len(lists) <= 9
    first, second = [set(text.splitlines()) for text in list(lists)[:2]]
    assert first != second


def test_uptime_differs_from_host_to_host() -> None:
    assert len({_played("uptime", name=f"web{number}")[0] for number in range(50)}) == 50


@pytest.mark.parametrize(
    ("output", "said", "status"),
    [
        ("df", "Filesystem", 0),
        ("json", '{"host": "web1"', 0),
        ("text:so it is", "so it is\n", 0),
        ("flood", "000001", 0),
    ],
)
def test_what_is_said_can_be_chosen(output: str, said: str, status: int) -> None:
    out, _, code, _ = _played("reboot", f"output={output}")
    assert out.startswith(said)
    assert code == status


def test_a_failing_apt_finds_its_lock_taken() -> None:
    _, err, status, _ = _played("apt-get update", "failures=100%")
    assert status == 100
    assert "Could not get lock" in err
