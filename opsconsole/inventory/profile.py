"""Which algorithms are spoken with a host. Pure."""

from enum import StrEnum


class Profile(StrEnum):
    """``modern`` is what is safe today. ``legacy`` adds what old devices need: SHA-1 in key exchange and host
    keys, and CBC."""

    MODERN = "modern"
    LEGACY = "legacy"
