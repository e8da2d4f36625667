"""What simulated hosts are like, as an order or the settings say it in one line. Pure."""

import math
from dataclasses import dataclass, fields
from enum import StrEnum

from opsconsole.errors import FieldError, Invalid
from opsconsole.sentences import Sentence, joined

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
        faults: list[Sentence] = []
        rest = (text or "").strip()
        while rest:
            name, equals, value = rest.partition("=")
            name = name.strip()
            if not equals or name not in _NAMES:
                known = ", ".join(f"{name}=" for name in _NAMES)
                faults.append(Sentence("{value!r} is none of {known}.", value=rest.split()[0][:40], known=known))
                break
            if name == "output" and value.startswith(_TEXT):
                # The text is all that follows.
                values[name], rest = value, ""
                continue
            word, _, rest = value.partition(" ")
            rest = rest.strip()
            try:
                values[name] = _value(name, word)
            except Invalid as error:
                faults += [Sentence(fault.message) for fault in error.errors]
        shares = sum(float(values.get(name, 0.0)) for name in _SHARES)
        if shares > 100:
            text = "{names} are {shares:g}% together, which is more than all hosts."
            faults.append(Sentence(text, names=", ".join(_SHARES), shares=shares))
        if faults:
            raise Invalid(joined(" ", faults), errors=[FieldError("simulation", fault) for fault in faults])
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
    """Returns the value of one part. Raises ``Invalid``."""
    if name == "seed":
        if not 1 <= len(word) <= _MOST_SEED_CHARS or not word.isprintable():
            raise _fault(Sentence("seed= takes a word of at most {limit} characters.", limit=_MOST_SEED_CHARS))
        return word
    if name == "output":
        if word not in set(Said):
            text = "output= is one of {known}, or text: and a text; {word!r} is not."
            raise _fault(Sentence(text, known=", ".join(Said), word=word[:40]))
        return word
    seconds = name.endswith("_seconds")
    most, unit = (_MOST_SECONDS, " seconds") if seconds else (_MOST_SPREAD, "") if name == "spread" else (100.0, "%")
    digits = word.removesuffix("s") if seconds else word.removesuffix("%") if unit == "%" else word
    try:
        number = float(digits)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise _fault(
            Sentence(
                "{name}= takes a number from 0 to {limit}; {word!r} is none.",
                name=name,
                limit=f"{most:g}{unit}",
                word=word[:40],
            )
        )
    return number


def _fault(message: str) -> Invalid:
    return Invalid(message, errors=[FieldError("simulation", message)])
