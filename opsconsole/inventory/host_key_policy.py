"""How the key that a host shows is judged. Pure."""

from enum import StrEnum


class HostKeyPolicy(StrEnum):
    """What to do with a host key that the console has not seen before; a changed key is refused by all.

    ``strict`` lets a person decide; ``accept_new`` takes the first key a host shows. With ``pinned`` nothing but the
    keys that a person decided on or imported counts: neither what was accepted at a first meeting, nor the worker's
    known_hosts, nor a certificate authority.
    """

    STRICT = "strict"
    ACCEPT_NEW = "accept_new"
    PINNED = "pinned"
