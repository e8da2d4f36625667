"""Folding: what it looks like, that reading it gives the same hosts, and that it stays quick."""

import random
import time
from collections.abc import Sequence

import pytest

from opsconsole.hostset import EmptyInventory, evaluate, fold


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        ([], ""),
        (["db1"], "db1"),
        (["web02", "web01", "web03", "db"], "db,web[01-03]"),
        (["web1", "web1", "web2"], "web[1-2]"),
        (["n9", "n10", "n11"], "n[9-11]"),
        (["n2", "n01", "n001"], "n[2,01,001]"),
        (["n1", "n3", "n5"], "n[1,3,5]"),
        (["root@w1:22", "root@w2:22", "w1", "w2"], "root@w[1-2]:22,w[1-2]"),
        (["w1:22", "w1:23"], "w1:22,w1:23"),
        (["[fe80::1]:22", "fe80::2", "fe80::1"], "fe80::1,[fe80::1]:22,fe80::2"),
        (["web9.eu", "web10.eu", "web10.us"], "web[9-10].eu,web10.us"),
        ([f"127.0.{a}.{b}" for a in range(2) for b in range(1, 251)], "127.0.[0-1].[1-250]"),
        ([f"r{a}n{b}" for a in (1, 2) for b in (1, 2)] + ["r3n1"], "r[1-2]n[1-2],r3n1"),
        (["2001-01-" + "9" * 30], "2001-01-" + "9" * 30),
        (["a,b", "x[1"], "a,b,x[1"),  # not names, yet no reason to fail
    ],
)
def test_fold(names: list[str], folded: str) -> None:
    assert fold(names) == folded


SHAPES: dict[str, Sequence[str]] = {
    "one range": [f"web{i:04d}" for i in range(5000)],
    "gaps": [f"web{i * 3}" for i in range(5000)],
    "addresses": [f"127.0.{a}.{b}" for a in range(20) for b in range(1, 251)],
    "scattered": [f"10.{i * 7919 % 251}.{i * 104729 % 241}.{i * 1299709 % 239}" for i in range(5000)],
    "three axes": [f"dc{a}r{b}n{c}" for a in range(5) for b in range(20) for c in range(50)],
    "identifiers": [f"i-{i * 0x9E3779B97F4A7C15 % 2**64:016x}" for i in range(5000)],
    "ports": [f"root@web{i}:{2200 + i % 3}" for i in range(5000)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_folding_5000_names_is_quick_and_loses_nothing(shape: str) -> None:
    names = list(SHAPES[shape])
    random.Random(1).shuffle(names)
    # The least of a few runs is what the work takes; the others had a busy machine beside them.
    spent = []
    for _ in range(4):
        started = time.process_time()
        folded = fold(names)
        spent.append(time.process_time() - started)
    assert min(spent) < 0.2
    assert sorted(evaluate(folded, groups=EmptyInventory()).labels) == sorted(set(names))
