"""A worker process: the Celery application with its tasks, and the services that live as long as the process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import structlog
from celery import Celery, bootsteps
from celery.signals import beat_init, worker_shutting_down

from opsconsole.credentials.external import sources_of
from opsconsole.credentials.self_test import self_test
from opsconsole.db.database import Database
from opsconsole.db.schema import require_current
from opsconsole.errors import OpsconsoleError
from opsconsole.jobs.claims import ClaimReader
from opsconsole.jobs.conntest import ConnectionTester
from opsconsole.jobs.keyscan import KeyScanner
from opsconsole.jobs.ledger import Ledger
from opsconsole.jobs.limits import Caps
from opsconsole.jobs.look import Looker
from opsconsole.jobs.perform import Bounds, Performer
from opsconsole.jobs.ports import Connector, Dispatcher
from opsconsole.jobs.probe import Prober
from opsconsole.jobs.spool import Spool
from opsconsole.jobs.states import BrokerFault
from opsconsole.jobs.tide import Tide
from opsconsole.runtime import Runtime
from opsconsole.settings import Settings
from opsconsole.tasks.app import (
    ATTACH_TASK,
    DISPATCH_TASK,
    LOOK_TASK,
    RUN_TASK,
    SCAN_TASK,
    TEST_TASK,
    TICK_TASK,
    make_celery,
)
from opsconsole.tasks.broker_look import make_look
from opsconsole.tasks.chores import refresh_sources, tidy, tidy_files
from opsconsole.tasks.consumer import take_messages
from opsconsole.tasks.dispatcher import CeleryDispatcher
from opsconsole.tasks.housekeeping import Housekeeping, Identity
from opsconsole.tasks.order_watch import OrderWatch
from opsconsole.tasks.pool import make_offload
from opsconsole.tasks.postbox import Postbox

_log = structlog.get_logger(__name__)
# How often a worker looks whether results wait on its disk.
_REPLAY_SECONDS = 5.0
_LABEL_OPTION = "--hostname"
# The databases' largest integer.
_ID_LIMIT = 2**63
# What a process ends with that cannot work as it was set up; the command line has the same number for that.
_CANNOT_START = 5


class Services:
    """What a worker process holds besides Celery: ledger, performer, housekeeping, orders, connector."""

    def __init__(
        self,
        runtime: Runtime,
        connector: Connector,
        prober: Prober,
        dispatcher: Dispatcher,
        look: Callable[[], BrokerFault | None],
        label: str,
        intake: Callable[[bool], bool],
    ) -> None:
        settings = runtime.settings
        self._settings, self._clock = settings, runtime.clock
        self._connector = connector
        self._identity = Identity(label)
        # Each native thread has an engine of its own, so that no lock is shared between it and a greenlet.
        self._databases = [Database(settings.database, pool_size=1) for _ in range(3)]
        self._postbox = Postbox(
            dispatcher,
            look,
            look_seconds=settings.heartbeat_seconds,
        )
        self._housekeeping_offload = make_offload()
        # To remove large files takes a disk its time, for which no heartbeat may wait.
        self._files_offload = make_offload()
        tide = Tide(settings.tide_file)
        self.housekeeping = Housekeeping(
            settings,
            self._databases[0],
            runtime.clock,
            self._postbox,
            self._identity,
            tide=tide,
            broker_fault=lambda: self._postbox.fault,
            intake=intake,
            offload=self._housekeeping_offload,
        )
        self._ledger = Ledger(
            self._databases[1],
            self._postbox,
            self._claim_reader(runtime),
            now=runtime.clock.now,
            slots=lambda: self.housekeeping.live_slots,
            kick=self.housekeeping.kick,
            caps=Caps.parse(settings.limits),
            offload=make_offload(),
            tide=tide,
            spool=Spool(settings.spool_dir, offload=make_offload()),
            spool_seconds=settings.spool_seconds,
        )
        self._ended = threading.Event()
        bounds = Bounds(settings.output_head_bytes, settings.output_tail_bytes, settings.worker_dead_seconds / 2)
        sources = sources_of(settings)
        self.performer = Performer(self._ledger, connector, bounds, sources)
        self.orders = OrderWatch(
            self._databases[2], self.performer, seconds=settings.sweep_seconds, offload=make_offload()
        )
        self.looker = Looker(
            self._databases[0],
            self._claim_reader(runtime),
            connector,
            now=runtime.clock.now,
            offload=self._housekeeping_offload,
            sources=sources,
        )

        self.scanner = KeyScanner(
            self._databases[0],
            self._claim_reader(runtime),
            connector,
            now=runtime.clock.now,
            kick=self.housekeeping.kick,
            offload=self._housekeeping_offload,
        )
        self.tester = ConnectionTester(
            self._databases[0],
            self._claim_reader(runtime),
            prober,
            now=runtime.clock.now,
            kick=self.housekeeping.kick,
            offload=self._housekeeping_offload,
            sources=sources,
        )

    def _claim_reader(self, runtime: Runtime) -> ClaimReader:
        """Returns a reader of its own for each thread that reads claims: it remembers."""
        return ClaimReader(
            runtime.settings,
            runtime.cipher,
            worker_id=lambda: self._identity.id,
            worker_name=self._identity.name,
            home=Path.home(),
        )

    def start(self) -> None:
        """Registers the process and begins its loop. Raises ``Unavailable`` without a database of this version,
        and of this secret key."""
        self._housekeeping_offload(self._check_ground)
        self.housekeeping.start(self.performer)
        self.orders.start()
        self._postbox.start(changed=self.housekeeping.beat_now, back=self.housekeeping.resend)
        threading.Thread(target=self._replay, name="replay", daemon=True).start()

    def _check_ground(self) -> None:
        require_current(self._databases[0])
        with self._databases[0].read() as session:
            self_test(self._settings, session)

    def _replay(self) -> None:
        """Stores what former processes could not, now and whenever the database is back."""
        while True:
            self._ledger.replay()
            if self._ended.wait(_REPLAY_SECONDS):
                return

    def drain(self) -> None:
        """Takes no further run, lets those in hand go on for ``drain_seconds``, then ends them. Never blocks: it is
        called from a signal handler."""
        self.performer.draining.set()
        self.looker.draining.set()
        self.scanner.draining.set()
        self.tester.draining.set()
        self._ledger.leave()

    def stop(self) -> None:
        """Ends everything once no run is in hand. Celery may stop its pool before or after this: the order of steps
        that do not require each other is left to chance, so the wait has its place here."""
        self.drain()
        self.performer.await_idle()
        self.looker.await_idle()
        self.scanner.await_idle()
        self.tester.await_idle()
        self.terminate()

    def terminate(self) -> None:
        """Ends everything now; what is in hand is settled by the others."""
        self._ended.set()
        self._ledger.close()
        self.orders.stop()
        self.housekeeping.stop()
        self._postbox.close()
        self._connector.close()
        for database in self._databases:
            database.close()

    def tidy(self) -> None:
        """Does the regular cleaning, and asks the inventory's sources whose time has come."""
        self._housekeeping_offload(lambda: tidy(self._databases[0]))
        refresh_sources(self._settings, self._databases[0], self._clock, self._housekeeping_offload)
        tidy_files(
            self._settings, self._databases[0], self._clock, self._housekeeping_offload, on_disk=self._files_offload
        )


def make_worker_app(runtime: Runtime, connector: Connector, prober: Prober) -> Celery:
    """Returns the Celery application of a worker process. Services start with the worker, not with this call."""
    # Beat keeps its schedule there.
    runtime.settings.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    app = make_celery(runtime.settings)
    dispatcher = CeleryDispatcher(app)
    running: list[Services] = []

    class ServicesStep(bootsteps.StartStopStep):
        """Starts the services before the consumer takes its first message, and stops them after it took its last."""

        requires = ("celery.worker.components:Timer",)

        def start(self, parent: Any) -> None:
            label = str(parent.hostname).split("@", 1)[0]
            look = make_look(runtime.settings, app)
            services = Services(runtime, connector, prober, dispatcher, look, label, partial(take_messages, parent))
            with _leaving_with_a_sentence():
                services.start()
            running.append(services)

        def stop(self, parent: Any) -> None:
            while running:
                running.pop().stop()

        def terminate(self, parent: Any) -> None:
            while running:
                running.pop().terminate()

    class BrokerIsBackStep(bootsteps.StartStopStep):
        """Celery starts its consumer's steps anew after each loss of the broker's connection."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:
            for services in running:
                services.housekeeping.resend()

    app.steps["worker"].add(ServicesStep)
    app.steps["consumer"].add(BrokerIsBackStep)
    _add_tasks(app, running)
    _add_questions(app, running)

    @beat_init.connect(weak=False)
    def on_beat_init(**_: object) -> None:
        # It opens no secret itself, but whoever gave it the wrong key gave it to others, too.
        with _leaving_with_a_sentence(), runtime.database.read() as session:
            self_test(runtime.settings, session)

    @worker_shutting_down.connect(weak=False)
    def on_shutting_down(**_: object) -> None:
        for services in running:
            services.drain()

    return app


@contextmanager
def _leaving_with_a_sentence() -> Iterator[None]:
    """Turns an error that a person can mend into one line of the log and the end of the process: Celery would write its
    own traceback around it."""
    try:
        yield
    except OpsconsoleError as error:
        _log.critical(error.detail, code=error.code)
        raise SystemExit(_CANNOT_START) from None


def _add_tasks(app: Celery, running: list[Services]) -> None:
    @app.task(name=RUN_TASK, shared=False)
    def run(*words: object, **named: object) -> None:
        for services, (run_id, attempt) in product(running, _numbers(2, words, named)):
            services.performer.perform(run_id, attempt)

    @app.task(name=ATTACH_TASK, shared=False)
    def attach(*words: object, **named: object) -> None:
        for services, (run_id, fence) in product(running, _numbers(2, words, named)):
            services.performer.attach(run_id, fence)

    @app.task(name=DISPATCH_TASK, shared=False)
    def look_for_work() -> None:
        for services in running:
            services.orders.kick()
            services.housekeeping.kick()

    @app.task(name=TICK_TASK, shared=False)
    def tick() -> None:
        for services in running:
            services.tidy()


def _add_questions(app: Celery, running: list[Services]) -> None:
    @app.task(name=LOOK_TASK, shared=False)
    def look(*words: object, **named: object) -> None:
        for services, (run_id,) in product(running, _numbers(1, words, named)):
            services.looker.look(run_id)

    @app.task(name=SCAN_TASK, shared=False)
    def scan(*words: object, **named: object) -> None:
        for services, (scan_id,) in product(running, _numbers(1, words, named)):
            services.scanner.scan(scan_id)

    @app.task(name=TEST_TASK, shared=False)
    def test(*words: object, **named: object) -> None:
        for services, (test_id,) in product(running, _numbers(1, words, named)):
            services.tester.test(test_id)


def _numbers(count: int, words: tuple[object, ...], named: object) -> list[tuple[int, ...]]:
    """Returns what a message says, or nothing when it says other than ``count`` numbers that a row may have."""
    said = tuple(word for word in words if type(word) is int and 0 < word < _ID_LIMIT)
    if not named and len(said) == len(words) == count:
        return [said]
    _log.warning("message with other than the numbers of a run was dropped")
    return []


def worker_arguments(settings: Settings, label: str) -> list[str]:
    """Returns the arguments of Celery's worker command for a process called ``label``."""
    return [
        "worker",
        f"{_LABEL_OPTION}={label}@%h",
        f"--loglevel={settings.log_level}",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
