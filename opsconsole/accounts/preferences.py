"""How a person wants to see and use the pages: kept with the person, so that every browser of theirs shows the same."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from opsconsole.errors import FieldError, Invalid

# What the browser asks for, or one that the pages speak.
Language = Literal["browser", "en", "zh"]
Theme = Literal["system", "light", "dark"]
Contrast = Literal["normal", "high"]
# Whether single keys are shortcuts; those with Ctrl always are.
Keys = Literal["on", "off"]
CHOICES: Mapping[str, tuple[str, ...]] = {
    "language": get_args(Language),
    "theme": get_args(Theme),
    "contrast": get_args(Contrast),
    "keys": get_args(Keys),
}


@dataclass(frozen=True, slots=True)
class Preferences:
    """The choice for each name of ``CHOICES``; the first of each is what holds until somebody chooses."""

    language: str = "browser"
    theme: str = "system"
    contrast: str = "normal"
    keys: str = "on"

    @classmethod
    def stored(cls, kept: Mapping[str, str] | None) -> "Preferences":
        """Returns what a person's row says; a word that this version does not know counts as not chosen."""
        return cls(**{name: word for name, word in (kept or {}).items() if word in CHOICES.get(name, ())})

    def changed(self, said: Mapping[str, str]) -> "Preferences":
        """Returns these with what ``said`` says instead. Raises ``Invalid`` for a word that is none of a choice's."""
        for name, word in said.items():
            if word not in CHOICES.get(name, ()):
                raise Invalid("There is no such choice.", errors=[FieldError(name, "There is no such choice.")])
        return Preferences(**{**asdict(self), **said})


UNCHOSEN = Preferences()
