"""The load of the kill loop: jobs of mixed length, some of them cancelled, whatever breaks off meanwhile."""

import random
import shlex
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

from opsconsole.cli.bench_product import CREDENTIAL, Product
from opsconsole.errors import Conflict, Unavailable
from opsconsole.hostset import fold
from opsconsole.jobs.states import JobState

_LOOK_SECONDS = 0.3
_AGAIN_SECONDS = 0.2
_GIVE_UP_SECONDS = 120.0
# What the commands do between their two marks, and how often each is chosen. Runs of a job differ in length by number.
_BODIES = {
    "true": 4,
    "sleep 0.$((${OPSC_RUN%-*} % 10))": 3,
    "sleep $((${OPSC_RUN%-*} % 6))": 3,
    "seq 1 2000; sleep 1; seq 1 2000": 1,
}
_FAILS = 0.1
# What is special about some orders (up to which chance), and what is done to jobs at once and how often.
_KINDS: tuple[tuple[float, dict[str, object]], ...] = (
    (0.2, {"durable": True}),
    (0.35, {"waves": "3 *2", "wave_gate": "auto"}),
    (0.5, {"retries": 2, "priority": "high"}),
)
_VERBS: dict[tuple[str, ...], int] = {(): 17, ("cancel",): 2, ("pause", "resume"): 1}


class Load:
    """Keeps ``jobs`` jobs under way in a thread of its own until left; the last ones are then still under way."""

    def __init__(self, product: Product, marks: Path, jobs: int, choice: random.Random) -> None:
        self._client = product.client
        self._targets = fold(product.fleet.addresses)
        self._count = len(product.fleet.addresses)
        self._marks = marks
        self._jobs = jobs
        self._choice = choice
        # Of every order that was given, whether or not its answer arrived at the first try.
        self.keys: list[str] = []
        self.cut_off = 0
        self._stop = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            active: list[int] = []
            while not self._stop.is_set():
                active = [job for job in active if not self._ended(job)]
                active += [self._order() for _ in range(self._jobs - len(active))]
                self._stop.wait(_LOOK_SECONDS)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever started us.
            self._fault = error

    def _ended(self, job: int) -> bool:
        return JobState(self._insist(lambda: self._client.status(job))["state"]).terminal

    def _order(self) -> int:
        key = str(uuid.UUID(int=self._choice.getrandbits(128)))
        self.keys.append(key)
        order: dict[str, object] = {
            "targets": self._targets,
            "command": self._command(key),
            "credential": f"key:{CREDENTIAL}",
            "concurrency": self._choice.randint(5, 2 * self._count),
            "reason": "kill loop",
            "confirm": str(self._count) if self._count >= 100 else None,
        }
        chance = self._choice.random()
        order |= next((more for most, more in _KINDS if chance < most), {})
        job = int(self._insist(lambda: self._client.launch(order, key=key))["id"])
        for verb in self._choice.choices(list(_VERBS), list(_VERBS.values()))[0]:
            self._insist(partial(self._client.post, f"jobs/{job}/{verb}", {}))
        return job

    def _command(self, key: str) -> str:
        body = self._choice.choices(list(_BODIES), list(_BODIES.values()))[0]
        status = 3 if self._choice.random() < _FAILS else 0
        file = shlex.quote(str(self._marks / key))
        return (
            f'echo "start $OPSC_RUN" >> {file}\n{body}\n'
            f'echo "end $OPSC_RUN" >> {file}\necho "done $OPSC_RUN"\nexit {status}'
        )

    def _insist(self, ask: Callable[[], Any]) -> Any:
        """Returns the answer to ``ask``, which is asked again while the console is being killed."""
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        while True:
            try:
                return ask()
            except (Unavailable, Conflict):
                if time.monotonic() > deadline:
                    raise
                self.cut_off += 1
                time.sleep(_AGAIN_SECONDS)
