"""Target expressions: from what a person types to the hosts it names, and back. Pure: it does no I/O."""

from opsconsole.hostset.evaluation import evaluate, parse_host
from opsconsole.hostset.folding import fold
from opsconsole.hostset.items import FAILED_LETTERS, STATE_LETTERS
from opsconsole.hostset.model import EmptyInventory, GroupResolver, HostSpec, Resolution

__all__ = [
    "FAILED_LETTERS",
    "STATE_LETTERS",
    "EmptyInventory",
    "GroupResolver",
    "HostSpec",
    "Resolution",
    "evaluate",
    "fold",
    "parse_host",
]
