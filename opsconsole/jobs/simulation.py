"""What simulated hosts are like, as an order or the settings say it in one line. Pure."""

import math
from dataclasses import dataclass, fields
from enum import StrEnum

from opsconsole.errors import FieldError, Invalid

_SHARES = ("failures", "unreachable", "host_keys", "hangs", "lost")
_MOST_SECONDS = 86_400.0
_MOST_SPREAD = 3.0
_MOST_SEED_CHARS = 100
_TEXT = "text:"


class Said(StrEnum):
    """What a simulated host can be made to say, whatever the command is."""

    UPTIME = "uptime"
    OS_RELEASE = "os-release"
    DF = "df"
    PACKAGES = "packages"
    APT_FAILURE = "apt-failure"
    JSON = "json"
    FLOOD = "flood"


@dataclass(frozen=True, slots=True)
class Simulation:
    """How simulated hosts behave. The same ``seed`` makes the same of each host, by its name.

    A connection takes about ``connect_seconds``, a command about ``median_seconds``; ``spread`` is how far they lie
    apart (sigma of a lognormal distribution, 0 for all alike). Then percent of the hosts: ``failures`` end with a
    status, ``unreachable`` ones let nobody in, ``host_keys`` show a host key that is not trusted, ``hangs`` never end
    by themselves, ``lost`` ones lose the connection, and ``stubborn`` ones, of those that run, ignore all but KILL.
    ``output`` is what they say: one of ``Said``, ``text:`` and a text, or what the command itself would show.
    """

    seed: str = "0"
    connect_seconds: float = 0.05
    median_seconds: float = 0.5
    spread: float = 0.5
    failures: float = 0.0
    unreachable: float = 0.0
    host_keys: float = 0.0
    hangs: float = 0.0
    lost: float = 0.0
    stubborn: float = 0.0
    output: str | None = None

    @classmethod
    def parse(cls, text: str | None) -> "Simulation":
        """Returns the meaning of ``seed=7 median_seconds=2 failures=3% output=df``; what is left out is as usual.

        Raises ``Invalid`` naming ``simulation`` for each part that has no meaning.
        """
        values: dict[str, str | float] = {}
        faults: list[str] = []
        rest = (text or "").strip()
        while rest:
            name, equals, value = rest.partition("=")
            name = name.strip()
            if not equals or name not in _NAMES:
                faults.append(f"{rest.split()[0][:40]!r} is none of {', '.join(f'{known}=' for known in _NAMES)}.")
                break
            if name == "output" and value.startswith(_TEXT):
                # The text is all that follows.
                values[name], rest = value, ""
                continue
            word, _, rest = value.partition(" ")
            rest = rest.strip()
            try:
                values[name] = _value(name, word)
            except ValueError as error:
                faults.append(str(error))
        shares = sum(float(values.get(name, 0.0)) for name in _SHARES)
        if shares > 100:
            faults.append(f"{', '.join(_SHARES)} are {shares:g}% together, which is more than all hosts.")
        if faults:
            raise Invalid(" ".join(faults), errors=[FieldError("simulation", fault) for fault in faults])
        return cls(**values)  # type: ignore[arg-type]  # Each value is of its field's kind, see _value.

    @property
    def text(self) -> str | None:
        """What ``output=text:`` says, ``None`` without it."""
        said = self.output
        return said.removeprefix(_TEXT) if said is not None and said.startswith(_TEXT) else None

    @property
    def said(self) -> Said | None:
        """What the hosts say whatever the command is, ``None`` when it is the command's to say."""
        return Said(self.output) if self.output is not None and self.text is None else None


_NAMES = tuple(item.name for item in fields(Simulation))


def _value(name: str, word: str) -> str | float:
    """Returns the value of one part. Raises ``ValueError`` with a sentence for people."""
    if name == "seed":
        if not 1 <= len(word) <= _MOST_SEED_CHARS or not word.isprintable():
            raise ValueError(f"seed= takes a word of at most {_MOST_SEED_CHARS} characters.")
        return word
    if name == "output":
        if word not in set(Said):
            raise ValueError(f"output= is one of {', '.join(Said)}, or text: and a text; {word[:40]!r} is not.")
        return word
    seconds = name.endswith("_seconds")
    most, unit = (_MOST_SECONDS, " seconds") if seconds else (_MOST_SPREAD, "") if name == "spread" else (100.0, "%")
    digits = word.removesuffix("s") if seconds else word.removesuffix("%") if unit == "%" else word
    try:
        number = float(digits)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise ValueError(f"{name}= takes a number from 0 to {most:g}{unit}; {word[:40]!r} is none.")
    return number
