"""How dangerous an order is, and what a person must type before it runs. Pure rules, decided on the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from opsconsole.jobs.danger import found_in
from opsconsole.sentences import Sentence

# Below this size a share of the inventory says nothing: two of three hosts are not half a fleet.
_SHARE_COUNTS_FROM = 100
# So long a job of tier 1 waits at least where a person watches it, who may stop it. The leader counts that look by
# look, of each at most the slack; its first look may come at once, so one slack is given away.
COUNTDOWN_MS = 3000
COUNTDOWN_SLACK_MS = 1000

_HALF = 0.5
_TELLS = ("env", "environment", "stage")
_PARTS = 20


@dataclass(frozen=True, slots=True)
class Tiers:
    """Where the tiers begin: with so many ``hosts`` the first, the second and the third, which more than a ``share`` of
    the inventory has too. Hosts with one of the ``protected`` tags, ``prod`` or ``env=prod``, are in production."""

    hosts: tuple[int, int, int] = (11, 100, 1000)
    share: float = 0.5
    protected: tuple[str, ...] = ("prod",)

    def protects(self, tags: Mapping[str, object]) -> bool:
        """Returns whether a host with these tags is in production."""
        return any(self._names(key, value) for key, value in tags.items())

    def split(self, by: Mapping[str, Mapping[str, int]], count: int) -> list[dict[str, object]]:
        """Returns how ``count`` hosts divide by the tag that tells production, what is in production first: of each
        value its ``name``, ``count`` and whether it is ``protected``; ``by`` counts the values of each tag. Hosts
        without the tag have an empty name. Empty where no tag tells."""
        told = [key for key, counts in by.items() if any(self._names(key, value) for value in counts)]
        # Where none of them is in production, the tag by which it is usually told still shows what they are.
        key = next(iter(told or [name for name in _TELLS if name in by]), None)
        if key is None:
            return []
        parts = [(self._names(key, value), n, value) for value, n in by[key].items()]
        rest = count - sum(by[key].values())
        if rest > 0:
            parts.append((False, rest, ""))
        parts.sort(key=lambda part: (not part[0], not part[2], -part[1], part[2]))
        return [{"name": value, "count": n, "protected": protected} for protected, n, value in parts[:_PARTS]]

    def _names(self, key: str, value: object) -> bool:
        return str(value) in self.protected or f"{key}={value}" in self.protected


@dataclass(frozen=True, slots=True)
class Risk:
    """``tier`` 0 to 3; ``confirm`` is what must be typed, ``None`` when nothing is; tier 3 also wants a reason."""

    tier: int
    reasons: tuple[Sentence, ...]
    confirm: str | None

    @property
    def counts_down(self) -> bool:
        """True when a person who watches has a moment to stop it before it starts."""
        return self.tier == 1

    @property
    def reason_required(self) -> bool:
        """True when a person must say why."""
        return self.tier == 3

    def to_json(self) -> dict[str, object]:
        """Returns the object of the contract."""
        return {
            "tier": self.tier,
            "reasons": list(self.reasons),
            "confirm": self.confirm,
            "reason_required": self.reason_required,
        }


def assess(count: int, *, listed: int, protected: int, inventory: int, command: str, tiers: Tiers = Tiers()) -> Risk:
    """Returns the risk of running ``command`` on ``count`` hosts: ``listed`` are known, ``protected`` in production.

    ``command`` is every text of the order, one below the other.

    ``inventory`` is the number of known hosts. The tiers are those of docs/safety: 0 runs at once, 1 is a notice,
    2 wants the count typed, 3 wants ``RUN <count>`` typed.
    """
    reasons = []
    told_from, count_from, run_from = tiers.hosts
    tier = 0 if count < told_from else 1
    if count >= count_from or (protected and count > 1):
        tier = 2
        reasons.append(
            Sentence("{count} production hosts", count=protected)
            if protected
            else Sentence("{count} hosts", count=count)
        )
    dangers = found_in(command) if count > 1 else ()
    over_share = listed >= _SHARE_COUNTS_FROM and listed > ceil(inventory * tiers.share)
    if count >= run_from or dangers or over_share:
        tier = 3
        reasons.extend(Sentence(danger) for danger in dangers)
        if over_share:
            if tiers.share == _HALF:
                reasons.append(Sentence("more than half of the inventory"))
            else:
                reasons.append(Sentence("more than {share} of the inventory", share=f"{tiers.share:.0%}"))
    confirm = {2: str(count), 3: f"RUN {count}"}.get(tier)
    return Risk(tier, tuple(reasons), confirm)


def confirmed(risk: Risk, typed: str | None, reason: str | None) -> bool:
    """Returns whether ``typed`` and ``reason`` are what ``risk`` asks for; case and outer space do not matter."""
    if risk.reason_required and not (reason or "").strip():
        return False
    return risk.confirm is None or (typed or "").strip().upper() == risk.confirm
