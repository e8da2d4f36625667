"""The worker process's own loop: heartbeat and, in one process at a time, sweep and reap."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

import opsconsole
from opsconsole.clock import Clock
from opsconsole.db.database import Database
from opsconsole.errors import Unavailable
from opsconsole.jobs import conntest, dispatch, drain, handover, keyscan, look, recover, timekeeping
from opsconsole.jobs.limits import Caps
from opsconsole.jobs.perform import Performer
from opsconsole.jobs.ports import Dispatcher
from opsconsole.jobs.states import BrokerFault
from opsconsole.jobs.tide import TEXTS, Tide
from opsconsole.settings import Settings

_log = structlog.get_logger(__name__)


class Identity:
    """Who this worker process is to the others. Declared gone by mistake, it goes on under a new id."""

    def __init__(self, label: str) -> None:
        self.pid = os.getpid()
        self.name = f"{socket.gethostname()}:{label}:{self.pid}"
        self.id = secrets.token_hex(8)

    def renew(self) -> None:
        """Takes a new id."""
        self.id = secrets.token_hex(8)


class Housekeeping:
    """Runs until stopped. ``kick`` makes it look for dispatchable runs at once."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Clock,
        dispatcher: Dispatcher,
        identity: Identity,
        *,
        tide: Tide,
        broker_fault: Callable[[], BrokerFault | None] = lambda: None,
        intake: Callable[[bool], bool] = lambda _: True,
        offload: Callable[[Callable[[], Any]], Any],
    ) -> None:
        """``intake`` opens or shuts the way of messages to this process and returns whether it could."""
        self._intake = intake
        self._drained = self._shut = False
        self._settings = settings
        self._database = database
        self._clock = clock
        self._dispatcher = dispatcher
        self._identity = identity
        self._broker_fault = broker_fault
        self._tide = tide
        self._offload = offload
        self._performer: Performer | None = None
        self._leader = recover.Observer(settings.worker_dead_seconds)
        self._workers = recover.Observer(settings.worker_dead_seconds)
        self._kicked = threading.Event()
        self._stop = threading.Event()
        self._stopwatch = timekeeping.Stopwatch(settings.sweep_seconds)
        self._beaten = -1e9
        self._stray: set[tuple[int, int]] = set()
        self._unsent = False
        self._unattended: list[tuple[int, int]] = []
        self._refuses = False
        self._caps = Caps.parse(settings.limits)
        self._looks: list[int] = []
        self._scans: list[int] = []
        self._tests: list[int] = []
        self.live_slots = 0
        self._thread = threading.Thread(target=self._loop, name="housekeeping", daemon=True)
        self._drainer: threading.Thread | None = None

    def start(self, performer: Performer) -> None:
        """Registers the process and starts the loop. Raises ``Unavailable`` when the database does not answer."""
        self._performer = performer
        self._offload(self._look)
        self._offload(self._register)
        self._thread.start()
        self._drainer = threading.Thread(target=self._drain, args=(performer,), name="drain", daemon=True)
        self._drainer.start()

    def kick(self) -> None:
        """Asks for a look at the jobs now."""
        self._kicked.set()

    def beat_now(self) -> None:
        """Asks for a heartbeat now: the others should know at once what it says."""
        self._beaten = -1e9
        self.kick()

    def resend(self) -> None:
        """Makes every message that waits be sent again: the broker was away and may have lost them."""
        self._unsent = True
        self.kick()

    def stop(self) -> None:
        """Ends the loop and says that this process is gone, so that nobody has to wait to find out."""
        self._stop.set()
        self._kicked.set()
        self._thread.join(timeout=5)
        if self._performer is not None and self._drainer is not None:
            self._performer.draining.set()
            self._drainer.join(timeout=5)
        try:
            self._offload(self._leave)
        except Unavailable:
            _log.warning("could not sign off: the database does not answer")

    def _look(self) -> None:
        """Finds out whether the database is the one that this machine knew."""
        with self._database.read() as session:
            self._tide.look(session)
        if self._tide.refusal is not None and not self._refuses:
            self._refuses = True
            _log.error(TEXTS[self._tide.refusal])
        self._tide.remember()

    def _register(self, former: str | None = None) -> None:
        with self._database.transaction() as session:
            recover.register(
                session,
                self._identity.id,
                name=self._identity.name,
                pid=self._identity.pid,
                slots=self._settings.worker_slots,
                version=opsconsole.__version__,
                now=self._clock.now(),
                former_id=former,
            )
            self.live_slots = dispatch.live_slots(session)

    def _leave(self) -> None:
        host = self._identity.name.split(":", 1)[0]
        with self._database.transaction() as session:
            recover.mark_gone(session, host, self._identity.pid, self._clock.now())

    def _loop(self) -> None:
        silent = False
        while not self._stop.is_set():
            kicked = self._kicked.wait(self._settings.sweep_seconds)
            self._kicked.clear()
            if self._stop.is_set():
                return
            try:
                resend, self._unsent = self._unsent, False
                published = self._offload(partial(self._round, kicked, resend))
                # Outside the native thread: the broker's sockets belong to the greenlets.
                if published:
                    self._dispatcher.publish(published)
                if self._looks:
                    self._dispatcher.publish_looks(self._looks)
                if self._scans:
                    self._dispatcher.publish_scans(self._scans)
                if self._tests:
                    self._dispatcher.publish_tests(self._tests)
                if self._unattended:
                    self._dispatcher.attach(self._unattended)
                self._heed_drain()
                silent = False
            except Unavailable as error:
                self._unsent = True
                if not silent:
                    _log.warning("housekeeping waits", reason=error.detail)
                silent = True
            except Exception:  # noqa: BLE001 - one bad round must not end the heartbeat.
                _log.exception("housekeeping round failed")

    def _heed_drain(self) -> None:
        """Takes messages, or leaves them to the others, as a person has said. The claims are gated by the row alone."""
        if self._drained == self._shut or not self._intake(not self._drained):
            return
        self._shut = self._drained
        _log.info("drained: no message is taken" if self._shut else "resumed: messages are taken again")
        self.beat_now()

    def _drain(self, performer: Performer) -> None:
        """Ends the runs in hand when the time that a stopping worker gives them is over.

        A thread of its own: the database may be away, and then the loop stands still.
        """
        performer.draining.wait()
        self._beaten = -1e9  # The others should know at once.
        self.kick()
        if self._settings.shutdown_policy == "cancel" and not self._stop.wait(self._settings.drain_seconds):
            performer.stopping.set()

    def _round(self, kicked: bool, resend: bool) -> dispatch.Published:
        # 1. Say that we live.
        monotonic = time.monotonic()
        if monotonic - self._beaten >= self._settings.heartbeat_seconds:
            self._beat()
            self._beaten = monotonic
        # 2. Look after the workers and the clock: one process at a time.
        leads = self._lead(monotonic)
        # 3. Look after the jobs: the leader always, the others when asked.
        with self._database.transaction() as session:
            self._tide.look(session)
            if self._tide.refusal is not None:
                return []
            now = self._clock.now()
            self._drained = drain.is_drained(session, self._identity.id)
            self.live_slots = dispatch.live_slots(session)
            self._unattended = handover.unattended(session, now, again=resend) if leads else []
            if resend:
                # The broker was away: what waits for it must not wait for its turn in the back-off as well.
                dispatch.republish_soon(session, now)
            self._looks = look.due(session, now) if leads or kicked else []
            self._scans = keyscan.due(session, now) if leads or kicked else []
            self._tests = conntest.due(session, now) if leads or kicked else []
            return dispatch.sweep(session, now, slots=self.live_slots, caps=self._caps) if leads or kicked else []

    def _lead(self, monotonic: float) -> bool:
        with self._database.transaction() as session:
            self._tide.look(session)
            now = self._clock.now()
            leads = self._tide.refusal is None and recover.lead(session, self._identity.id, self._leader, monotonic)
            gone = recover.reap(session, self._workers, monotonic, now) if leads else {}
        for worker_id, runs in gone.items():
            _tell_gone(worker_id, runs)
        if not leads:
            self._stopwatch.forget()
        elif passed := self._stopwatch.lap(monotonic):
            with self._database.transaction() as session:
                timekeeping.pass_time(session, passed, now)
        return leads

    def _beat(self) -> None:
        self._look()
        in_hand = set(self._performer.in_hand()) if self._performer else set()
        draining = bool(self._performer and self._performer.draining.is_set())
        now, own, refuses = self._clock.now(), self._identity.id, self._tide.refusal
        state: dict[str, Any] = {
            "busy": len(in_hand),
            "draining": draining,
            "broker_fault": self._broker_fault(),
            "refuses": refuses,
        }
        with self._database.transaction() as session:
            alive = recover.beat(session, own, now=now, **state)
            if refuses is None:
                self._stray = recover.release_stray(session, own, in_hand, self._stray, now)
        if not alive:
            _log.warning("this worker was declared gone; it goes on under a new id", name=self._identity.name)
            former = self._identity.id
            self._identity.renew()
            self._register(former)


def _tell_gone(worker_id: str, runs: int) -> None:
    """One that had nothing in hand, as after signing off, is no cause for alarm."""
    if runs:
        _log.warning("worker is gone, its runs were ended or queued again", worker=worker_id, runs=runs)
    else:
        _log.info("worker is gone, it had no run in hand", worker=worker_id)
