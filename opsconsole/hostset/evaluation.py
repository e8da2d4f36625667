"""From an expression to its hosts: operators from left to right, counting before expanding, all faults reported."""

from collections.abc import Callable, Iterable

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset.faults import Fault
from opsconsole.hostset.items import parse_host_item
from opsconsole.hostset.lexer import Kind, Token, tokens
from opsconsole.hostset.model import GroupResolver, HostSpec, Resolution
from opsconsole.hostset.operands import HEAVY, Operands, too_many
from opsconsole.hostset.sets import HostMap, apply, covered_by, unite
from opsconsole.sentences import Sentence

MAX_TEXT = 256 * 1024
MAX_DEPTH = 32
MAX_FAULTS = 20
_NOTHING_HINT = "The groups are empty, or the operators leave nothing over."
_LEFT_HINT = (
    "To leave hosts out, write them into the exclude field, or name first what they are taken from: web[1-9]!web3"
)


def evaluate(
    targets: str,
    exclude: str = "",
    *,
    groups: GroupResolver,
    max_hosts: int = 10_000,
    suggestions: Callable[[], Iterable[str]] = tuple,
) -> Resolution:
    """Returns the hosts that ``targets`` names without those that ``exclude`` names, in the order written.

    ``suggestions`` gives the known group names, asked only when one is unknown. Raises Invalid with a FieldError for
    each problem (field ``targets`` or ``exclude``, column, hint, code); an empty result is a problem too.
    """
    operands = Operands(groups, max_hosts, suggestions)
    errors: list[FieldError] = []
    field = _Field("targets", targets, operands, errors)
    hosts = field.evaluate()
    without = _Field("exclude", exclude, operands, errors).evaluate()
    if not errors and not field.seen:
        hint = "Write host names, addresses or groups: web[01-20],db1"
        errors.append(FieldError("targets", "No target is given.", code="empty", hint=hint))
    if errors:
        raise Invalid(_summary(errors), errors=errors)
    return _resolution(field, hosts, without, max_hosts)


def parse_host(text: str) -> HostSpec:
    """Returns the one host that ``text`` names: name, address, user@name:port; no ranges. Raises Invalid."""
    try:
        return parse_host_item(text)
    except Fault as fault:
        raise Invalid(fault.message, errors=[_field_error("host", text, fault)]) from None


def _resolution(field: "_Field", hosts: HostMap, without: HostMap, max_hosts: int) -> Resolution:
    excluded = {key: spec for key, spec in field.removed.items() if key not in hosts}
    covered = covered_by(without)
    taken = {key: spec for key, spec in hosts.items() if covered(spec)}
    left = tuple(spec for key, spec in hosts.items() if key not in taken)
    if not left:
        hint = Sentence("The exclude field takes out all {count:,}.", count=len(taken)) if taken else _NOTHING_HINT
        error = FieldError("targets", "The targets name no host at all.", code="no_hosts", hint=hint)
        raise Invalid(error.message, errors=[error])
    if len(left) > max_hosts:
        fault = too_many(len(left), max_hosts, 0)
        error = FieldError("targets", fault.message, code=fault.code, hint=fault.hint)
        raise Invalid(error.message, errors=[error])
    return Resolution(left, tuple((excluded | taken).values()), field.duplicates)


class _Frame:
    """The state of one pair of parentheses: what is gathered so far, and the operator that waits for an operand."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.hosts: HostMap | None = None
        self.operator: Token | None = None
        self.parted = True


class _Field:
    """One field on its way from text to hosts; faults in items are gathered, faults in the structure end it."""

    def __init__(self, name: str, text: str, operands: Operands, errors: list[FieldError]) -> None:
        self.name = name
        self.text = text
        self.duplicates = 0
        self.removed: HostMap = {}
        self.seen = False
        self._operands = operands
        self._errors = errors
        self._frames = [_Frame(0)]

    def evaluate(self) -> HostMap:
        """Returns the hosts; adds what is wrong to the list of errors instead of raising."""
        try:
            if len(self.text) > MAX_TEXT:
                message = Sentence("The text has more than {limit} characters.", limit=MAX_TEXT)
                raise Fault("too_long", message, MAX_TEXT, "Use ranges, or make a group of the hosts.")
            for token in tokens(self.text):
                self._take(token)
            return self._finish()
        except Fault as fault:
            self._report(fault)
            return {}

    def _report(self, fault: Fault) -> None:
        self._errors.append(_field_error(self.name, self.text, fault))

    def _take(self, token: Token) -> None:
        frame = self._frames[-1]
        match token.kind:
            case Kind.BLANK:
                frame.parted = True
            case Kind.COMMA:
                if frame.operator is not None:
                    raise _missing_operand(frame.operator)
                frame.parted = True
            case Kind.OPERATOR:
                self._operator(frame, token)
            case Kind.ITEM:
                self._check_parted(frame, token)
                self._apply(frame, self._item(token))
            case Kind.OPEN:
                self._check_parted(frame, token)
                if len(self._frames) > MAX_DEPTH:
                    raise Fault(
                        "too_deep",
                        Sentence("More than {limit} parentheses are open.", limit=MAX_DEPTH),
                        token.at,
                    )
                self._frames.append(_Frame(token.at))
            case Kind.CLOSE:
                self._close(token)

    def _operator(self, frame: _Frame, token: Token) -> None:
        if frame.operator is not None:
            raise Fault(
                "missing_operand",
                Sentence(
                    "Nothing stands between {operator} and {token}.", operator=frame.operator.text, token=token.text
                ),
                token.at,
            )
        if frame.hosts is None:
            message = Sentence("There is nothing before the {token}.", token=token.text)
            hint = "The exclude field names what to leave out, without a !." if self.name == "exclude" else _LEFT_HINT
            raise Fault("leading_operator", message, token.at, hint)
        frame.operator = token

    def _check_parted(self, frame: _Frame, token: Token) -> None:
        self.seen = True
        if not frame.parted and frame.operator is None:
            hint = "Put a comma, a space or an operator (! & ^) before it."
            raise Fault("missing_separator", "Two targets touch each other here.", token.at, hint)

    def _item(self, token: Token) -> Iterable[HostSpec]:
        try:
            return self._operands.hosts(token.text, token.at)
        except Fault as fault:
            if fault.final:
                raise
            self._report(fault)
            if len(self._errors) >= MAX_FAULTS:
                raise Fault("too_many_problems", "Reading stopped here: too many problems.", token.at) from None
            return ()

    def _apply(self, frame: _Frame, operand: Iterable[HostSpec]) -> None:
        hosts = {} if frame.hosts is None else frame.hosts
        if frame.operator is None:
            self.duplicates += unite(hosts, operand)
        else:
            self._operands.charge(HEAVY, frame.operator.at)
            right: HostMap = {}
            unite(right, operand)
            hosts, removed = apply(frame.operator.text, hosts, right)
            self.removed |= removed
        frame.hosts, frame.operator, frame.parted = hosts, None, False

    def _close(self, token: Token) -> None:
        if len(self._frames) == 1:
            raise Fault("unopened_parenthesis", "This parenthesis closes nothing.", token.at, "Delete it.")
        frame = self._frames.pop()
        if frame.operator is not None:
            raise _missing_operand(frame.operator)
        if frame.hosts is None:
            raise Fault("missing_operand", "There is nothing between the parentheses.", frame.at)
        self._apply(self._frames[-1], frame.hosts.values())

    def _finish(self) -> HostMap:
        frame = self._frames[-1]
        if frame.operator is not None:
            raise _missing_operand(frame.operator)
        if len(self._frames) > 1:
            raise Fault("unclosed_parenthesis", "This parenthesis is never closed.", frame.at, "Add the missing ).")
        return frame.hosts or {}


def _missing_operand(operator: Token) -> Fault:
    return Fault(
        "missing_operand",
        Sentence("There is nothing after the {operator}.", operator=operator.text),
        operator.at,
        "Name hosts after it.",
    )


def _field_error(field: str, text: str, fault: Fault) -> FieldError:
    line = text.count("\n", 0, fault.at) + 1
    message = fault.message if line == 1 else Sentence("Line {line}: {fault}", line=line, fault=fault.message)
    return FieldError(field, message, code=fault.code, column=fault.at + 1, hint=fault.hint)


def _summary(errors: list[FieldError]) -> str:
    first = errors[0].message
    return first if len(errors) == 1 else Sentence("{fault} ({count} more)", fault=first, count=len(errors) - 1)
