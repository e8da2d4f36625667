"""A value that must not be seen. Pure, and at the bottom: people's passwords and hosts' passwords both use it."""


class Secret:
    """A value that never shows itself: ``repr`` and ``str`` are ``***``; ``reveal`` hands it to who needs it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Returns the secret in clear."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)
