"""How much confirmation an order wants."""

import time

import pytest

from opsconsole.jobs.guard import Tiers, assess, confirmed


@pytest.mark.parametrize(
    ("count", "protected", "inventory", "command", "tier", "confirm"),
    [
        (1, 0, 0, "uptime", 0, None),
        (10, 0, 0, "uptime", 0, None),
        (11, 0, 0, "uptime", 1, None),
        (99, 0, 0, "uptime", 1, None),
        (100, 0, 0, "uptime", 2, "100"),
        (1, 1, 50, "uptime", 0, None),
        (2, 1, 50, "uptime", 2, "2"),
        (999, 0, 10_000, "uptime", 2, "999"),
        (1000, 0, 10_000, "uptime", 3, "RUN 1000"),
        (150, 0, 200, "uptime", 3, "RUN 150"),
        (100, 0, 200, "uptime", 2, "100"),
        (99, 0, 100, "uptime", 1, None),
        (1, 0, 0, "reboot", 0, None),
        (2, 0, 0, "reboot", 3, "RUN 2"),
    ],
)
def test_tiers(count: int, protected: int, inventory: int, command: str, tier: int, confirm: str | None) -> None:
    risk = assess(count, listed=min(count, inventory), protected=protected, inventory=inventory, command=command)
    assert (risk.tier, risk.confirm) == (tier, confirm)
    assert bool(risk.reasons) is (tier >= 2)


def test_hosts_divide_by_the_tag_that_tells_production() -> None:
    tiers = Tiers(protected=("prod", "zone=red"))
    by = {"dc": {"eu": 5}, "env": {"dev": 1, "prod": 2, "test": 1}}
    told = [tuple(part.values()) for part in tiers.split(by, 5)]
    assert told == [("prod", 2, True), ("dev", 1, False), ("test", 1, False), ("", 1, False)]
    assert [part["name"] for part in tiers.split({"env": {"dev": 2}, "zone": {"blue": 1, "red": 1}}, 2)] == [
        "red",
        "blue",
    ]
    assert [part["protected"] for part in tiers.split({"env": {"dev": 2}}, 2)] == [False]
    assert tiers.split({"dc": {"eu": 5}}, 5) == []


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf /",
        "rm -rf /*",
        "sudo rm -r -f / ; true",
        "mkfs.ext4 /dev/sda1",
        "dd if=/dev/zero of=/dev/sda",
        "shutdown -h now",
        "iptables -F",
        "systemctl stop sshd",
        "service ssh stop",
    ],
)
def test_known_mistakes_want_the_strongest_word(command: str) -> None:
    assert assess(2, listed=0, protected=0, inventory=0, command=command).confirm == "RUN 2"


@pytest.mark.parametrize("command", ["rm -rf /tmp/x", "echo mkfsx", "dd if=/dev/sda of=disk.img", "journalctl -u sshd"])
def test_ordinary_commands_do_not(command: str) -> None:
    assert assess(2, listed=0, protected=0, inventory=0, command=command).tier == 0


def test_a_hostile_command_is_looked_at_quickly() -> None:
    began = time.process_time()
    for command in ("rm -" * 65536, "rm -" + "a" * 262144, "dd " * 87381, "iptables" + " " * 262144):
        assess(2, listed=0, protected=0, inventory=0, command=command)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("typed", "accepted"),
    [("RUN 1000", True), (" run 1000 ", True), ("1000", False), ("RUN 999", False), ("", False), (None, False)],
)
def test_what_is_typed_must_fit(typed: str | None, accepted: bool) -> None:
    assert confirmed(assess(1000, listed=0, protected=0, inventory=0, command="x"), typed, "patching") is accepted


def test_small_orders_want_nothing() -> None:
    assert confirmed(assess(1, listed=0, protected=0, inventory=0, command="x"), None, None)


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_the_strongest_word_wants_a_reason_too(reason: str | None) -> None:
    risk = assess(1000, listed=0, protected=0, inventory=0, command="x")
    assert risk.reason_required
    assert not confirmed(risk, "RUN 1000", reason)


def test_hosts_outside_the_inventory_are_no_share_of_it() -> None:
    assert assess(500, listed=0, protected=0, inventory=20, command="uptime").confirm == "500"


@pytest.mark.parametrize(
    ("count", "protected", "tier"), [(2, 0, 0), (3, 0, 1), (5, 0, 2), (2, 1, 2), (8, 0, 3), (7, 0, 2)]
)
def test_a_console_may_have_tiers_of_its_own(count: int, protected: int, tier: int) -> None:
    tiers = Tiers(hosts=(3, 5, 8))
    risk = assess(count, listed=count, protected=protected, inventory=1000, command="uptime", tiers=tiers)
    assert risk.tier == tier


def test_a_share_of_its_own_is_told() -> None:
    tiers = Tiers(hosts=(3, 500, 1000), share=0.2)
    assert assess(200, listed=200, protected=0, inventory=1000, command="x", tiers=tiers).tier == 1
    risk = assess(201, listed=201, protected=0, inventory=1000, command="x", tiers=tiers)
    assert (risk.tier, risk.reasons) == (3, ("more than 20% of the inventory",))


def test_tags_of_production() -> None:
    tiers = Tiers(protected=("live", "env=prod"))
    assert tiers.protects({"stage": "live"})
    assert tiers.protects({"env": "prod"})
    assert not tiers.protects({"stage": "prod", "live": "no"})
    assert Tiers().protects({"any": "prod"})
