"""Which groups an expression names, without looking up what is in them."""

from itertools import islice

from opsconsole.hostset.earlier import JobAlike, JobHosts, JobOutput
from opsconsole.hostset.faults import Fault
from opsconsole.hostset.items import Groups, parse_item
from opsconsole.hostset.lexer import Kind, tokens

_MOST = 1000


def groups_named(expression: str) -> set[str]:
    """Returns the names of the groups that ``expression`` refers to, ranges written out (a thousand of one at most).

    What stands before the first fault counts: an expression that cannot be read still tells of the groups in it.
    """
    found: set[str] = set()
    try:
        for token in tokens(expression):
            item = parse_item(token.text, token.at) if token.kind is Kind.ITEM else None
            if isinstance(item, Groups):
                found.update(islice(item.template.expand(), _MOST))
            elif isinstance(item, JobHosts | JobOutput | JobAlike) and isinstance(item.job, str):
                found |= groups_named(item.job)
    except Fault:
        pass
    return found
