"""Which hosts a credential may be used on. Whoever knows the inventory hands in what answers for its groups."""

from collections.abc import Iterable, Sequence

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import GroupResolver, Resolution, evaluate
from opsconsole.sentences import Sentence

# Written out, so that nobody gets all hosts by leaving a field empty.
EVERY_HOST = "*"
_MOST_EXPRESSIONS = 50
_MOST_CHARS = 4000
_MOST_HOSTS = 1_000_000
# An expression that covers nobody now may cover somebody later.
_EMPTY_NOW = frozenset({"no_hosts", "no_match"})


def cleaned(scope: Iterable[str], groups: GroupResolver) -> list[str]:
    """Returns the expressions of a scope as they are kept. Raises ``Invalid`` (field ``scope``) for one without
    meaning, and for none at all."""
    expressions = list(dict.fromkeys(text for text in (line.strip() for line in scope) if text))
    if not expressions:
        message = "Say on which hosts it may be used: groups, tags or names; * for every host of the inventory."
        raise Invalid(message, errors=[FieldError("scope", message, code="empty")])
    if len(expressions) > _MOST_EXPRESSIONS or sum(map(len, expressions)) > _MOST_CHARS:
        raise _invalid(
            Sentence(
                "At most {count} expressions with {limit:,} characters together.",
                count=_MOST_EXPRESSIONS,
                limit=_MOST_CHARS,
            )
        )
    for expression in expressions:
        try:
            found = _evaluate(expression, groups)
        except Invalid as error:
            if any(fault.code not in _EMPTY_NOW for fault in error.errors):
                faults = [FieldError("scope", fault.message, fault.code, hint=fault.hint) for fault in error.errors]
                raise Invalid(
                    "{expression}: {fault}", expression=expression[:100], fault=error.detail, errors=faults
                ) from None
            continue
        if any(spec.user is not None or spec.port is not None for spec in found.hosts):
            raise _invalid("Name hosts without user and port: the port is that of the inventory.")
    return expressions


def hosts_in(scope: Sequence[str], groups: GroupResolver) -> frozenset[str]:
    """Returns the names, in lower case, of the hosts that a scope covers now. Never raises: an expression that has
    lost its meaning, such as one with a group that is gone, covers nobody."""
    names: set[str] = set()
    for expression in scope:
        if expression == EVERY_HOST:
            # The same, in two thirds of the time: workers ask it again and again while jobs run.
            names.update(name.lower() for name in groups.all_names())
            continue
        try:
            names.update(spec.name.lower() for spec in _evaluate(expression, groups).hosts)
        except Invalid:
            continue
    return frozenset(names)


def _evaluate(expression: str, groups: GroupResolver) -> Resolution:
    return evaluate(expression, groups=groups, max_hosts=_MOST_HOSTS)


def _invalid(message: str) -> Invalid:
    return Invalid(message, errors=[FieldError("scope", message)])
