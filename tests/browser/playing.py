"""Jobs of which some hosts run, for the tests of their pages."""

from collections.abc import Callable

from opsconsole.jobs.launch import Order
from tests.functional.api.play import Play
from tests.support.liveserver import LiveServer

Players = Callable[[int], Play]


def started(live: LiveServer, play: Players, count: int = 6, running: int = 3) -> tuple[int, Play]:
    """A job of which some hosts run."""
    typed = f"RUN {count}" if count >= 1000 else str(count)
    order = Order(targets=f"web[1-{count}]", command="uptime", max_failures="50%", confirm=typed, reason="a test")
    job = live.launch(order)
    workers = play(job)
    workers.start(*range(running))
    return job, workers
