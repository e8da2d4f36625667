"""What all that the API takes is made of: texts, names of hosts and states, and the bases of bodies and queries."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _no_nul(value: object) -> object:
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("holds a NUL byte")
    return value


Text = Annotated[str, BeforeValidator(_no_nul)]
NumberOrText = Annotated[str, BeforeValidator(_as_text)]
Hosts = Annotated[
    list[Text] | None,
    Field(description="Hosts of the job; also ranges and patterns: `web[18-20]`, `web*`.", max_length=100_000),
]
Letters = Annotated[
    str,
    Field(description="States by letter or name: `f,k`, `fk`, `failed,timed_out`; empty means all.", max_length=200),
]


StepName = Literal["check", "act", "verify"]


class Question(BaseModel):
    """Base of what the API takes in queries and headers, where others may have put something too."""

    model_config = ConfigDict(extra="ignore", str_max_length=1_048_576)


class Body(Question):
    """Base of what the API takes as JSON: it holds nothing else than what is named."""

    model_config = ConfigDict(extra="forbid")
