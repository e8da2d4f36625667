"""What every edge is given: the parts one process is made of. Types only; ``bootstrap`` makes them."""

from dataclasses import dataclass

from opsconsole.clock import Clock
from opsconsole.credentials.cipher import Cipher
from opsconsole.db.database import Database
from opsconsole.jobs.ports import Dispatcher
from opsconsole.settings import Settings


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of one process. Holding them connects to nothing."""

    settings: Settings
    database: Database
    clock: Clock
    cipher: Cipher
    dispatcher: Dispatcher
