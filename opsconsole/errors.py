"""The one tree of errors that a person or a client may see, each with a stable ``code``.

Edges map them once: the web to ``application/problem+json`` or an error page, the CLI to an exit code. A remote
failure (a host that refuses, a command that exits 1) is not here: it is a value on the host run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opsconsole.sentences import Sentence, joined


@dataclass(frozen=True, slots=True)
class FieldError:
    """One faulty input: the ``field`` it came in, what is wrong, and where the reader can look or what to write.

    ``column`` counts characters from 1 and is ``None`` when the whole field is meant. A ``message`` or ``hint`` with
    values in it is a ``Sentence``.
    """

    field: str
    message: str
    code: str = "invalid"
    column: int | None = None
    hint: str | None = None

    @property
    def told(self) -> Sentence:
        """The message with the field before it, for the one sentence that tells of several fields."""
        return Sentence("{field}: {message}", field=self.field, message=self.message)


def all_of(faults: Sequence[FieldError]) -> Sentence:
    """Returns what is wrong with several fields as one sentence."""
    return joined("; ", [fault.told for fault in faults])


class OpsconsoleError(Exception):
    """Base of all errors with a code. ``detail`` is one sentence for a person; it never holds a secret.

    ``raise NotFound("There is no job {job}.", job=job_id)``: further ``values`` fill the placeholders. The text that is
    raised is the one that is translated, so it is never put together with an f-string (docs/patterns.md).
    """

    code = "error"
    status = 500
    permanent = True

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        extra: Mapping[str, object] | None = None,
        **values: object,
    ) -> None:
        self.detail: str = Sentence(detail, **values)
        super().__init__(self.detail)
        self.code = code or type(self).code
        self.errors = tuple(errors)
        self.extra = dict(extra or {})


class Invalid(OpsconsoleError):
    """The input cannot be used; ``errors`` names the faulty parts."""

    code = "invalid"
    status = 422


class NotAuthenticated(OpsconsoleError):
    """Nobody is signed in, or the token is unknown, expired or revoked."""

    code = "not_authenticated"
    status = 401


class Forbidden(OpsconsoleError):
    """The person is known and may not do this."""

    code = "forbidden"
    status = 403


class NotFound(OpsconsoleError):
    """No such thing, or not one that this person may know of."""

    code = "not_found"
    status = 404


class Conflict(OpsconsoleError):
    """The world changed between the question and the order, for example the inventory between preview and submit."""

    code = "conflict"
    status = 409


class ConfirmationRequired(OpsconsoleError):
    """The order is allowed once a person has confirmed its size or danger; ``extra`` says what to type."""

    code = "confirmation_required"
    status = 428


class TooLarge(OpsconsoleError):
    """The input is over a stated limit."""

    code = "too_large"
    status = 413


class TooMany(OpsconsoleError):
    """The caller asks more often than allowed; trying later helps."""

    code = "too_many_requests"
    status = 429
    permanent = False


class Unavailable(OpsconsoleError):
    """A part the console needs (database, broker, stream capacity) does not answer; trying later helps."""

    code = "unavailable"
    status = 503
    permanent = False
