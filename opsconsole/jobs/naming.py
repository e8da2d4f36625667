"""How people name hosts of a job that exists: as its roster does, in short, or several at once by ranges and
patterns."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import EmptyInventory, HostSpec, evaluate
from opsconsole.jobs.models import HostRun, Job
from opsconsole.sentences import Sentence

_NAMED_AT_MOST = 5
_SEVERAL = frozenset("[*?,;!&^~( \n")
_LEAST_LIMIT = 10_000


def places(session: Session, job: Job, names: Sequence[str]) -> list[int]:
    """Returns the places in the roster of the named hosts, each once.

    A name is one of the roster's, or a bare name or address where only one host has it (``web1`` for
    ``root@web1:2222``), or an expression over the roster: ``web[18-20]``, ``web*``, ``web[1-9]!web3``. Raises
    ``Invalid`` for a host that is not in the job, a name that several have, or an expression that is faulty.
    """
    roster = _Roster(session, job)
    found: dict[int, None] = {}
    for name in names:
        found |= dict.fromkeys(roster.places(name))
    return list(found)


def those_of(session: Session, job: Job, expression: str) -> list[int]:
    """Returns the places in the roster of the hosts that an expression means, as a filter does: what it means besides
    them is passed over. Raises ``Invalid`` for an expression that is faulty."""
    return _Roster(session, job).those_of(expression)


def ambiguous(job: Job, name: str, hosts: Sequence[str]) -> Invalid:
    """Returns the error for a short name that several hosts of the job have."""
    some = ", ".join(hosts[:_NAMED_AT_MOST]) + (", ..." if len(hosts) > _NAMED_AT_MOST else "")
    message = Sentence(
        "Several hosts of job {job} are {name}: {some}. Name one of them in full.",
        job=job.id,
        name=name[:100],
        some=some[:300],
    )
    return Invalid(message, code="ambiguous_host", errors=[FieldError("hosts", message, code="ambiguous_host")])


class _Roster(EmptyInventory):
    """The hosts of a job by all that they may be called; patterns look through their bare names."""

    def __init__(self, session: Session, job: Job) -> None:
        rows = session.execute(select(HostRun.host, HostRun.i, HostRun.address).where(HostRun.job_id == job.id)).all()
        self._job = job
        self._limit = max(len(rows), _LEAST_LIMIT)
        self._by_label = {host.lower(): i for host, i, _ in rows}
        self._by_bare: dict[str, dict[int, str]] = {}
        self._bare_names: dict[str, None] = {}
        for host, i, address in rows:
            after_user = host.lower().rpartition("@")[2]
            name = after_user.rpartition(":")[0] or after_user if host.count(":") == 1 else after_user
            self._bare_names[name] = None
            for bare in {name, after_user, address.lower()}:
                self._by_bare.setdefault(bare, {})[i] = host

    def all_names(self) -> Sequence[str]:
        """Returns the bare names of the roster."""
        return list(self._bare_names)

    def places(self, name: str) -> list[int]:
        """Returns the places that ``name`` stands for. Raises ``Invalid``."""
        key = name.lower()
        if key in self._by_label or key in self._by_bare or not _SEVERAL.intersection(name):
            return [self._one(name)]
        specs = self._meant(name)
        missing = [spec.label for spec in specs if not self._all(spec.key)]
        if missing:
            raise self._unknown(missing)
        if "*" in name or "?" in name or "~" in name:
            return [i for spec in specs for i in self._all(spec.key)]
        return [self._one(spec.label) for spec in specs]

    def those_of(self, expression: str) -> list[int]:
        """Returns the places of all hosts of the roster that ``expression`` means. Raises ``Invalid``."""
        return list(dict.fromkeys(i for spec in self._meant(expression) for i in self._all(spec.key)))

    def _meant(self, expression: str) -> Sequence[HostSpec]:
        try:
            return evaluate(expression, groups=self, max_hosts=self._limit).hosts
        except Invalid as error:
            faults = [replace(fault, field="hosts") for fault in error.errors]
            raise Invalid(error.detail, errors=faults) from None

    def _all(self, key: str) -> list[int]:
        return [self._by_label[key]] if key in self._by_label else list(self._by_bare.get(key, ()))

    def _one(self, name: str) -> int:
        key = name.lower()
        if key in self._by_label:
            return self._by_label[key]
        found = self._by_bare.get(key)
        if found is None:
            raise self._unknown([name])
        if len(found) > 1:
            raise ambiguous(self._job, name, list(found.values()))
        return next(iter(found))

    def _unknown(self, names: Sequence[str]) -> Invalid:
        message = Sentence(
            "Not a host of job {job}: {hosts}", job=self._job.id, hosts=", ".join(names[:_NAMED_AT_MOST])[:200]
        )
        return Invalid(message, errors=[FieldError("hosts", message, code="unknown_hosts")])
