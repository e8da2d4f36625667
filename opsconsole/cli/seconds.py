"""Durations on the command line: seconds, within the bounds that the console sets."""

import math
from typing import Any

import click

from opsconsole.jobs.options import SECONDS


class Seconds(click.FloatRange):
    """A number of seconds of the time ``name``. ``nan`` and ``inf`` are no durations, though Python reads them."""

    def __init__(self, name: str) -> None:
        low, high = SECONDS[name]
        super().__init__(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the seconds; whatever is no finite number within the bounds is a usage error."""
        seconds: float = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        if not (self.min or 0) <= seconds <= (self.max or 0):
            self.fail(f"Must lie between {self.min:g} and {self.max:g} seconds, is {value}.", param, ctx)
        return seconds
