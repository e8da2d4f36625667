"""A value that must not be seen. Pure, and at the bottom: people's passwords and hosts' passwords both use it."""

from weakref import WeakValueDictionary


class Secret:
    """A value that never shows itself: ``repr`` and ``str`` are ``***``; ``reveal`` hands it to who needs it."""

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        _known[id(self)] = self

    def reveal(self) -> str:
        """Returns the secret in clear."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


# By identity: of two equal secrets one may go while the other stays.
_known: WeakValueDictionary[int, Secret] = WeakValueDictionary()


def known_secrets() -> frozenset[Secret]:
    """Returns the secrets that this process holds at the moment, for what has to keep them out of its logs."""
    # The references are listed at once: other threads make secrets meanwhile.
    held = (reference() for reference in _known.valuerefs())
    return frozenset(secret for secret in held if secret is not None)
