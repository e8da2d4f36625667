"""What carries out an order on each of its hosts: SSH, the worker's own machine, or a host that is only played."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import fold
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.models import Host
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.placing import Located
from opsconsole.jobs.what import What
from opsconsole.sentences import Sentence
from opsconsole.settings import Settings

MIXED = "mixed"
_NAMED_CHARS = 300


@dataclass(frozen=True, slots=True)
class Executors:
    """The executor of each host, in the order of the roster, and how the simulated ones of them behave."""

    of: list[Executor]
    simulation: str | None

    @property
    def word(self) -> str:
        """The executor of all hosts, ``mixed`` when they differ."""
        return self.of[0].value if len(set(self.of)) == 1 else MIXED

    @property
    def local(self) -> bool:
        """Whether anything is run on the worker's own machine."""
        return Executor.LOCAL in self.of


def choose(settings: Settings, options: RunOptions, located: Sequence[Located], what: What) -> Executors:
    """Returns what carries out an order for ``what`` on ``located``.

    A simulated host stays one, and on a console that simulates every host is one. Else the order says it, the host, or
    the settings. Raises ``Invalid`` for an order that says otherwise, and for one that says how simulated hosts behave
    and has none.
    """
    chosen = Executor(options.executor) if options.executor else None
    usual = Executor(settings.executor)
    if usual is Executor.SIMULATE and chosen not in {None, usual}:
        raise _fault("executor", "This console simulates all hosts (setting executor): nothing else can be chosen.")
    own = [Executor(item.entry.executor) if item.entry and item.entry.executor else None for item in located]
    if chosen not in {None, Executor.SIMULATE}:
        played = [item.spec.label for item, said in zip(located, own, strict=True) if said is Executor.SIMULATE]
        if played:
            text = Sentence(
                "{hosts} cannot be reached by {chosen}: the inventory has it as simulated.",
                hosts=fold(played)[:_NAMED_CHARS],
                chosen=chosen,
            )
            raise _fault("executor", text)
    found = [_of_host(said, chosen, usual) for said in own]
    if Executor.LOCAL in found and not settings.allow_local:
        raise _fault("executor", "This console runs nothing on its workers' own machines (setting allow_local).")
    if what.carries and set(found) != {Executor.SSH}:
        others = [item.spec.label for item, one in zip(located, found, strict=True) if one is not Executor.SSH]
        text = Sentence(
            "Files are carried over SSH alone, which {hosts} is not reached by here.", hosts=fold(others)[:_NAMED_CHARS]
        )
        raise _fault("push" if what.push else "pull", text)
    if Executor.LOCAL in found and what.raw:
        raise _fault("raw", "A raw run is for a device behind SSH; the worker's own machine is none.")
    if Executor.SIMULATE in found:
        return Executors(found, options.simulation or settings.simulation)
    if options.simulation is not None:
        raise _fault("simulation", "No host of this order is simulated: choose the executor simulate, too.")
    return Executors(found, None)


def executor_of(session: Session, settings: Settings, name: str) -> Executor:
    """Returns what a host is looked at by when no order says it."""
    own = session.scalar(select(Host.executor).where(Host.key == name.lower()))
    return _of_host(Executor(own) if own else None, None, Executor(settings.executor))


def _of_host(own: Executor | None, chosen: Executor | None, usual: Executor) -> Executor:
    if Executor.SIMULATE in {own, usual}:
        return Executor.SIMULATE
    return chosen or own or usual


def _fault(field: str, message: str) -> Invalid:
    return Invalid(message, errors=[FieldError(field, message, code="executor")])
