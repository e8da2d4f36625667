"""The files of an order: which they are, whether what carries out the job can carry them, and what a run is told."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.errors import FieldError, Invalid
from opsconsole.files import service as files
from opsconsole.files.models import JobFile, UploadedFile
from opsconsole.files.store import Store
from opsconsole.inventory.executor import Executor
from opsconsole.jobs import carried
from opsconsole.jobs.executing import Executors
from opsconsole.jobs.models import Job, SavedCommand
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.transfer import Pull, Push, PushedFile, Transfer
from opsconsole.jobs.variables import render
from opsconsole.jobs.what import What
from opsconsole.sentences import Sentence
from opsconsole.settings import Settings


def usable(session: Session, digests: Collection[str], actor: Actor) -> Mapping[str, UploadedFile]:
    """Returns those of the files with these digests that ``actor`` may have pushed: a digest alone gives no right.

    They are those that they gave, that a job of theirs carried, or that a saved command names, which are everybody's to
    run; who may see all jobs may rerun them, so all files are theirs to use.
    """
    own = select(JobFile.sha256).join(Job, Job.id == JobFile.job_id)
    own = own.where(Job.created_by_id == actor.user_id, JobFile.sha256.in_(digests)).distinct()
    shared = set(session.scalars(own))
    if actor.may(Permission.VIEW_SAVED):
        shared |= saved_files(session)
    return files.known(session, digests, actor, shared=shared)


def saved_files(session: Session) -> set[str]:
    """Returns the digests of the files that saved commands name."""
    orders = session.scalars(select(SavedCommand.order))
    return {str(item.get("file")) for order in orders for item in order.get("push") or ()}


def with_files(session: Session, what: What, actor: Actor) -> What:
    """Returns ``what`` with the names and sizes of its files. Raises ``Invalid`` for one that is not there for
    ``actor``."""
    if not what.push:
        return what
    known = usable(session, {item["file"] for item in what.push}, actor)
    for item in what.push:
        if item["file"] not in known:
            called = item.get("name") or f"{item['file'][:16]}..."
            raise _fault(
                "push",
                Sentence("The file {called} is not kept here for you (any more): upload it first.", called=called),
                code="no_file",
            )
    full = (carried.completed(item, known[item["file"]].name, known[item["file"]].size) for item in what.push)
    return replace(what, push=tuple(full))


def check(what: What, options: RunOptions, executors: Executors) -> None:
    """Raises ``Invalid`` where files cannot be carried in the way that is wanted."""
    if not what.carries:
        return
    if options.durable:
        message = "Files are carried by the connection itself, so a job of files cannot outlive it (durable)."
        raise _fault(
            "durable",
            Sentence("{fault} A push that was cut off goes on where it was when it is run again.", fault=message),
        )
    others = {executor.value for executor in executors.of} - {Executor.SSH.value}
    if others:
        message = Sentence("Files are carried over SSH alone: the executor {others} carries none.", others=min(others))
        raise _fault("pull" if what.pull else "push", message)


class Run(Protocol):
    """What is to be known of a run."""

    @property
    def job_id(self) -> int:
        """Its job."""

    @property
    def i(self) -> int:
        """Its host's place in the roster."""

    @property
    def mark(self) -> str:
        """What is left of it on the host is known by."""

    @property
    def variables(self) -> dict[str, str] | None:
        """The values of its host's variables."""


def transfer(settings: Settings, command: str, what: What, run: Run) -> Transfer:
    """Returns what a run carries."""
    store = Store(settings.files, spare_bytes=settings.files_spare_bytes)
    if run.variables is not None:
        what = render(command, what, run.variables)[1]
    if what.pull:
        into = store.pulled(run.job_id, run.i)
        most, size = settings.max_pull_files, settings.max_pull_bytes
        return Pull(run.mark, what.pull, into, most, size, settings.files_spare_bytes)
    return Push(run.mark, tuple(_pushed(store, item) for item in what.push), what.make_folders)


def _pushed(store: Store, item: Mapping[str, Any]) -> PushedFile:
    mode = int(item["mode"], 8) if item.get("mode") else None
    return PushedFile(store.blob(item["file"]), item["file"], item["size"], item["to"], mode, item.get("owner"))


def _fault(field: str, message: str, *, code: str = "invalid") -> Invalid:
    return Invalid(message, errors=[FieldError(field, message, code=code)])
