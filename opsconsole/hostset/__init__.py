"""Target expressions: from what a person types to the hosts it names, and back. Pure: it does no I/O."""

from opsconsole.hostset.earlier import FAILED_LETTERS, STATE_LETTERS, STATE_NAMES, STATES_HINT, state_letters
from opsconsole.hostset.evaluation import evaluate, parse_host
from opsconsole.hostset.folding import fold
from opsconsole.hostset.model import EmptyInventory, GroupResolver, HostSpec, Resolution, TooMuchOutput
from opsconsole.hostset.referring import groups_named
from opsconsole.hostset.suggesting import suggestions
from opsconsole.hostset.table import table

__all__ = [
    "FAILED_LETTERS",
    "STATES_HINT",
    "STATE_LETTERS",
    "STATE_NAMES",
    "EmptyInventory",
    "GroupResolver",
    "HostSpec",
    "Resolution",
    "TooMuchOutput",
    "evaluate",
    "fold",
    "groups_named",
    "parse_host",
    "state_letters",
    "suggestions",
    "table",
]
