"""What a search of a host for the mark of a run found. Pure."""

from dataclasses import dataclass

from opsconsole.sentences import Sentence

_NAMED_PROCESSES = 3


@dataclass(frozen=True, slots=True)
class LeftProcess:
    """A process of a run that is alive on its host. ``command`` is the start of its command line, safe to show."""

    pid: int
    age_seconds: int
    command: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What a search of a host for the mark of a run found: how many processes are ``alive``, and some of them.

    ``ended`` is how many it found at first when none is alive any more.
    ``problem`` is one sentence, set when the host could not tell; then nothing is known.
    """

    alive: int = 0
    processes: tuple[LeftProcess, ...] = ()
    problem: str | None = None
    ended: int = 0

    @property
    def clear(self) -> bool:
        """True when the host said that nothing with the mark is alive."""
        return self.problem is None and not self.alive

    @property
    def words(self) -> str:
        """What was found as one sentence of at most some 300 characters."""
        if self.problem is not None or not self.alive:
            return self.problem or Sentence("Nothing of the command is alive on the host.")
        named = ", ".join(f"{process.pid} {process.command}" for process in self.processes[:_NAMED_PROCESSES])
        if self.alive == 1 and named:
            return Sentence("1 process of it is alive on the host: {named}.", named=named)
        if self.alive == 1:
            return Sentence("1 process of it is alive on the host.")
        if not named:
            return Sentence("{count} processes of it are alive on the host.", count=self.alive)
        if self.alive > len(self.processes[:_NAMED_PROCESSES]):
            told = "{count} processes of it are alive on the host: {named} and others."
        else:
            told = "{count} processes of it are alive on the host: {named}."
        return Sentence(told, count=self.alive, named=named)
