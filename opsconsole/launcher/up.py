"""``opsconsole up``: a whole console on this machine, from one command to a clean end."""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from socket import socket

from opsconsole.clock import SystemClock
from opsconsole.db.database import Database
from opsconsole.errors import Invalid
from opsconsole.inventory.executor import Executor
from opsconsole.launcher import access, broker, demo, demo_inventory, folder, greeting, simulated, web
from opsconsole.launcher.child import ChildSpec
from opsconsole.launcher.commands import beat_command, cli_command, worker_command
from opsconsole.launcher.confinement import confine
from opsconsole.launcher.database import bring_up_to_date, impatient
from opsconsole.launcher.folder import Holder, RunLock
from opsconsole.launcher.readiness import WebProbe, look_at_broker
from opsconsole.launcher.secret_keys import self_test
from opsconsole.launcher.supervisor import Supervisor
from opsconsole.launcher.workers import WorkerWatch
from opsconsole.settings import Settings, child_environment

# What a person who starts a console for himself expects; a server install is stricter unless told.
_PERSONAL = {"allow_unlisted_hosts": True, "use_ambient_keys": True, "allow_loopback": True}
_BROKER_SECONDS = 30.0
_START_SECONDS = 90.0
# Everything ends within 10 s of Ctrl-C: web and beat first, workers a second later at most, the broker when all others
# have gone.
_WEB_STOP, _WORKER_STOP, _LAST_STOP = 4.0, 7.0, 1.5
_DRAIN_SECONDS = 3.0
# A simulated host costs a worker next to nothing.
_SIMULATED_SLOTS = 500
_EDGE, _WORK, _GROUND = range(3)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be started: the settings as they hold here, and those that children must be told."""

    settings: Settings
    overrides: Mapping[str, object]
    demo_hosts: int
    simulated_hosts: int = 0
    demo_unconfined: bool = False


def make_plan(
    chosen: Mapping[str, object], demo_hosts: int, simulated_hosts: int = 0, *, demo_unconfined: bool = False
) -> Plan:
    """Returns the plan for the settings of the environment with ``chosen`` ones winning. Raises ``Invalid``."""
    settings = Settings.load(**chosen)
    if demo_hosts and simulated_hosts:
        raise Invalid("--demo and --simulate exclude each other: a console that simulates dials nobody.")
    if demo_hosts:
        demo.fleet(demo_hosts)
    overrides: dict[str, object] = {**chosen, "data_dir": settings.data_dir}
    overrides |= {name: value for name, value in _PERSONAL.items() if name not in settings.model_fields_set}
    overrides["workers"] = settings.workers or _usable_cores()
    overrides["drain_seconds"] = min(settings.drain_seconds, _DRAIN_SECONDS)
    # Ctrl-C means now; who wants to wait for commands runs the workers under a supervisor of his own.
    overrides["shutdown_policy"] = "cancel"
    if demo_hosts:
        overrides["key_files"] = {**settings.key_files, demo.CREDENTIAL: demo.key_file(settings)}
    if simulated_hosts:
        simulated.check(simulated_hosts)
        # Nobody at all is dialled then, also none of the inventory's other hosts.
        overrides["executor"] = Executor.SIMULATE.value
        overrides["simulation"] = settings.simulation or simulated.USUAL
        overrides["worker_slots"] = (
            settings.worker_slots if "worker_slots" in settings.model_fields_set else _SIMULATED_SLOTS
        )
        overrides["max_targets"] = max(settings.max_targets, simulated_hosts)
    return Plan(Settings.load(**overrides), overrides, demo_hosts, simulated_hosts, demo_unconfined)


def run(plan: Plan, say: Say, open_page: Callable[[str], object] | None = None) -> None:
    """Starts everything, says how to get in, and watches until Ctrl-C or SIGTERM; then stops everything.

    ``open_page`` shows a browser the page whose address it is given. Raises ``Conflict`` when a console runs on this
    data folder already, ``Unavailable`` when a part cannot start.
    """
    settings = plan.settings
    web.check_exposure(settings)
    folder.prepare(settings)
    with (
        RunLock(settings) as lock,
        closing(impatient(settings)) as database,
        Supervisor(folder.logs_dir(settings), say, longest_delay=settings.restart_most_seconds) as supervisor,
    ):
        if plan.demo_hosts and not plan.demo_unconfined:
            _try_confinement(settings, plan.demo_hosts)
        try:
            broker_name = _start_ground(plan, supervisor, say)
            with web.listen(settings) as listener:
                url = web.url_of(listener)
                lock.tell(Holder(os.getpid(), url))
                if _start_rest(plan, supervisor, database, listener):
                    code = access.grant(settings, database, url).code
                    for line in greeting.lines(settings, broker_name, url, code):
                        say(line)
                    for line in greeting.try_lines(settings, plan.demo_hosts, plan.simulated_hosts):
                        say(line)
                    if open_page:
                        open_page(str(access.entry_page(settings, url, code)))
                    supervisor.run()
            say("Stopping")
        finally:
            supervisor.stop()
            access.withdraw(settings, database)
    say("Stopped; nothing is left running")


def _try_confinement(settings: Settings, count: int) -> None:
    """Raises ``Unavailable`` where the demo may not run: here it is read, and not in the log of the fleet."""
    world, _ = confine(settings, demo.fleet(count))
    if world:
        world.close()


def _start_ground(plan: Plan, supervisor: Supervisor, say: Say) -> str:
    """Starts the broker while the database is brought to this version's schema; returns the broker's name."""
    name = _start_broker(plan, supervisor, say)
    bring_up_to_date(plan.settings)
    with closing(Database(plan.settings.database)) as database:
        self_test(plan.settings, database)
    supervisor.wait_ready(_BROKER_SECONDS)
    return name


def _start_rest(plan: Plan, supervisor: Supervisor, database: Database, listener: socket) -> bool:
    """Starts all that stands on broker and database. Returns False when a signal asked for the end meanwhile.

    The listening socket is ours, so that it outlives a restart of the web server.
    """
    if supervisor.stop_requested:
        return False
    if not plan.demo_hosts and demo.key_file(plan.settings).exists():
        # A former start had the demo fleet. Its hosts would be found by name and by group, and none would answer.
        with database.transaction() as session:
            demo_inventory.leave(session)
    with database.transaction() as session:
        if plan.simulated_hosts:
            simulated.enter(session, plan.simulated_hosts, SystemClock().now())
        else:
            simulated.leave(session)
    watch = WorkerWatch(plan.settings, database, SystemClock())
    watch.settle_former()
    supervisor.start(_children(plan, watch, listener))
    return supervisor.wait_ready(_START_SECONDS)


def _start_broker(plan: Plan, supervisor: Supervisor, say: Say) -> str:
    settings = plan.settings
    if not settings.embedded_broker:
        report = look_at_broker(settings)
        if report.risk:
            say(f"NOTE  {report.what} {report.risk}. {report.remedy}.")
        return report.what
    program, watch = broker.find_program(), broker.Watch(settings)
    spec = ChildSpec(
        name="broker",
        command=broker.command(settings, program),
        environment=child_environment({}),
        stage=_GROUND,
        stop_seconds=_LAST_STOP,
        ready=watch.ready,
        alive=watch.alive,
    )
    supervisor.start([spec])
    return f"embedded ({program.name})"


def _children(plan: Plan, watch: WorkerWatch, listener: socket) -> list[ChildSpec]:
    settings = plan.settings
    environment = child_environment({**plan.overrides, "port": listener.getsockname()[1]})
    descriptor = listener.fileno()
    specs = [
        ChildSpec(
            name="web",
            command=cli_command("web", "--fd", str(descriptor)),
            environment=environment,
            stop_seconds=_WEB_STOP,
            pass_fds=(descriptor,),
            ready=WebProbe(listener.getsockname()[:2], listener.family).ready,
        ),
        ChildSpec(name="beat", command=beat_command(), environment=environment, stop_seconds=_WEB_STOP),
    ]
    for number in range(1, settings.workers + 1):
        specs.append(_worker(f"worker-{number}", environment, watch))
    if plan.demo_hosts:
        specs.append(_fleet(plan, environment))
    return specs


def _worker(name: str, environment: Mapping[str, str], watch: WorkerWatch) -> ChildSpec:
    return ChildSpec(
        name=name,
        command=worker_command(name),
        environment=environment,
        stage=_WORK,
        stop_seconds=_WORKER_STOP,
        ready=watch.ready,
        alive=watch.alive,
        on_exit=watch.gone,
    )


def _fleet(plan: Plan, environment: Mapping[str, str]) -> ChildSpec:
    return ChildSpec(
        name="demo",
        command=cli_command(
            "demo-fleet", "--hosts", str(plan.demo_hosts), *(["--unconfined"] if plan.demo_unconfined else [])
        ),
        environment=environment,
        stage=_GROUND,
        stop_seconds=_LAST_STOP,
        ready=partial(_fleet_ready, plan.settings),
    )


def _fleet_ready(settings: Settings, pid: int) -> bool:
    announcement = demo.announced(settings)
    return announcement is not None and announcement.pid == pid


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
