"""Days and times as people write them in filters."""

from datetime import UTC, datetime, timedelta

from opsconsole.errors import FieldError, Invalid

_DAY = len("2026-01-01")


def moment(name: str, text: str, *, end: bool = False) -> datetime:
    """Returns the moment that the filter ``name`` says, in UTC: a day or a time, in UTC unless it says otherwise.

    With ``end`` a day alone means the end of it. Raises ``Invalid`` for what is neither.
    """
    try:
        found = datetime.fromisoformat(text)
        whole = timedelta(days=1) if end and len(text) == _DAY else timedelta()
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC) + whole
    except (ValueError, OverflowError):
        message = "Give a day or a time, such as 2026-11-23 or 2026-11-23T14:00+01:00."
        raise Invalid(message, errors=[FieldError(name, message)]) from None
