"""A supervisor over small children, as a process of its own: ``supervised.py FOLDER SPECS-AS-JSON``.

Prints what the supervisor says, and ``READY`` with the children's process ids once all are ready.
"""

import json
import os
import sys
from pathlib import Path

from opsconsole.errors import Unavailable
from opsconsole.launcher.child import ChildSpec
from opsconsole.launcher.supervisor import Supervisor


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def spec(facts: dict[str, object]) -> ChildSpec:
    marker = facts.pop("ready_file", None)
    ready = {"ready": lambda _pid: Path(str(marker)).exists()} if marker else {}
    facts["command"] = (sys.executable, "-c", facts["command"])
    return ChildSpec(environment=dict(os.environ), **ready, **facts)  # type: ignore[arg-type]


def main() -> int:
    with Supervisor(Path(sys.argv[1]), say, longest_delay=10.0) as supervisor:
        supervisor.start([spec(facts) for facts in json.loads(sys.argv[2])])
        try:
            if supervisor.wait_ready(10):
                say("READY " + json.dumps(supervisor.pids()))
        except Unavailable as error:
            say(error.detail)
            return 5
        supervisor.run()
    say("DONE")
    return 0


if __name__ == "__main__":
    sys.exit(main())
