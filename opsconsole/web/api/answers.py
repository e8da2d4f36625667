"""What all answers of the API have in common, and how they count hosts."""

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of what the API gives: more fields may come, none of these goes."""

    model_config = ConfigDict(extra="allow")


class Counts(Answer):
    """Hosts by state. They always sum to the number of targets."""

    q: int
    c: int
    r: int
    o: int
    f: int
    k: int
    u: int
    x: int
    s: int
    l: int  # noqa: E741  the contract's letter for "lost"
