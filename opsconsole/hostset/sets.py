"""Ordered sets of hosts and the operators on them; each host is kept as it was first written."""

from collections.abc import Callable, Iterable

from opsconsole.hostset.model import HostSpec

HostMap = dict[str, HostSpec]
_Parts = tuple[str, str | None, int | None]


def unite(hosts: HostMap, more: Iterable[HostSpec]) -> int:
    """Adds ``more`` to ``hosts`` in place; returns how many of them were there already."""
    repeated = 0
    for spec in more:
        key = spec.key
        if key in hosts:
            repeated += 1
        else:
            hosts[key] = spec
    return repeated


def apply(operator: str, left: HostMap, right: HostMap) -> tuple[HostMap, HostMap]:
    """Returns ``left`` operator ``right``, and what a difference took out of the left side.

    A host without user and port on the right stands for that host with any: ``root@web[1-3]!web2`` drops root@web2.
    For ``^`` this holds in both directions.
    """
    inside = _select(left, covered_by(right), wanted=True)
    if operator == "&":
        return inside, {}
    if operator == "!":
        return {key: spec for key, spec in left.items() if key not in inside}, inside
    return _select(left, _related_to(right), wanted=False) | _select(right, _related_to(left), wanted=False), {}


def covered_by(hosts: HostMap) -> Callable[[HostSpec], bool]:
    """Returns the test whether a host is named by the set, with the same user and port or without them."""
    named = {_parts(spec) for spec in hosts.values()}

    def covered(spec: HostSpec) -> bool:
        # Nearly all hosts are named without user and port, and then there is one way to name them.
        if spec.user is None and spec.port is None:
            return (spec.name.lower(), None, None) in named
        return not named.isdisjoint(_wider(spec))

    return covered


def _related_to(hosts: HostMap) -> Callable[[HostSpec], bool]:
    covered = covered_by(hosts)
    wider = {wide for spec in hosts.values() for wide in _wider(spec)}
    return lambda spec: covered(spec) or _parts(spec) in wider


def _select(hosts: HostMap, test: Callable[[HostSpec], bool], *, wanted: bool) -> HostMap:
    return {key: spec for key, spec in hosts.items() if test(spec) is wanted}


def _parts(spec: HostSpec) -> _Parts:
    return spec.name.lower(), spec.user and spec.user.lower(), spec.port


def _wider(spec: HostSpec) -> set[_Parts]:
    name, user, port = _parts(spec)
    return {(name, user, port), (name, None, port), (name, user, None), (name, None, None)}
