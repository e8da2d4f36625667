"""The one composition root: settings in, web application or Celery application out."""

from functools import cached_property
from typing import TYPE_CHECKING

from opsconsole import crash
from opsconsole.clock import SystemClock
from opsconsole.credentials.cipher import Cipher
from opsconsole.db.database import Database
from opsconsole.inventory.executor import Executor
from opsconsole.jobs.simulation import Simulation
from opsconsole.runtime import Runtime
from opsconsole.settings import Settings

if TYPE_CHECKING:
    from celery import Celery
    from flask import Flask


class Console:
    """One process's console. Making it connects to nothing; frameworks are imported only when asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        Simulation.parse(settings.simulation)
        crash.arm(settings.crash_at)

    @cached_property
    def runtime(self) -> Runtime:
        """The parts shared by the edges."""
        from opsconsole.tasks.app import make_celery
        from opsconsole.tasks.dispatcher import CeleryDispatcher

        return Runtime(
            settings=self.settings,
            database=Database(self.settings.database),
            clock=SystemClock(),
            cipher=Cipher(self.settings.secret()),
            dispatcher=CeleryDispatcher(make_celery(self.settings)),
        )

    def make_wsgi_app(self) -> "Flask":
        """Returns the web application."""
        from opsconsole.web.app import create_app

        return create_app(self.runtime)

    def make_celery_app(self) -> "Celery":
        """Returns the Celery application with its tasks and the worker's own services attached."""
        from opsconsole.executors.local import LocalConnector
        from opsconsole.executors.router import Router
        from opsconsole.executors.simulate import SimulatedConnector
        from opsconsole.ssh.connector import ParamikoConnector
        from opsconsole.tasks.pool import make_offload
        from opsconsole.tasks.worker import make_worker_app

        settings = self.settings
        over_ssh = ParamikoConnector(
            allow_loopback=settings.allow_loopback,
            allowed_networks=settings.allowed_networks,
            keep_connections=settings.keep_connections,
            idle_seconds=settings.keep_connection_seconds,
            offload=make_offload(),
            age_seconds=settings.keep_connection_age_seconds,
        )
        local = LocalConnector(allowed=settings.allow_local)
        simulated = SimulatedConnector(settings.simulated_dir)
        router = Router({Executor.SSH: over_ssh, Executor.LOCAL: local, Executor.SIMULATE: simulated})
        return make_worker_app(self.runtime, router, over_ssh)


def build(settings: Settings) -> Console:
    """Returns the console that ``settings`` describe."""
    return Console(settings)
