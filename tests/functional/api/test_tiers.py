"""A console with tiers of its own: API and pages ask for the same confirmation, and reruns too."""

from collections.abc import Callable

import pytest

from opsconsole.accounts.permissions import Role
from opsconsole.jobs.states import RunState
from opsconsole.settings import Settings
from tests.functional.api.conftest import Browser, Play, Program


@pytest.fixture
def settings(settings: Settings) -> Settings:
    own = {"tier_hosts": (3, 5, 8), "protected_tags": ("env=live",)}
    return settings.model_copy(update=own)


def test_the_settings_decide_at_every_door(
    program: Callable[..., Program],
    operator: Program,
    browser: Callable[..., Browser],
    play: Callable[[int], Play],
) -> None:
    asked = {}
    for hosts in (2, 3, 5, 8):
        risk = operator.post("resolve", {"targets": f"web[1-{hosts}]", "command": "uptime"}).json["risk"]
        asked[hosts] = (risk["tier"], risk["confirm"])
    assert asked == {2: (0, None), 3: (1, None), 5: (2, "5"), 8: (3, "RUN 8")}
    order = {"targets": "web[1-5]", "command": "uptime"}
    assert operator.post("jobs", order).status_code == 428
    job = operator.post("jobs", {**order, "confirm": "5"}).json["id"]
    play(job).start(*range(5))
    for i in range(5):
        play(job).end(i, state=RunState.FAILED)
    assert operator.post(f"jobs/{job}/rerun", {"states": ["f"]}).status_code == 428
    assert operator.post(f"jobs/{job}/rerun", {"states": ["f"], "confirm": 5}).status_code == 201
    # The tag of production is another one, too.
    admin = program(Role.ADMIN)
    for name, env in (("db1", "live"), ("db2", "prod"), ("db3", "prod")):
        assert admin.post("inventory/hosts", {"name": name, "tags": {"env": env}}).status_code == 201
    tiers = [
        operator.post("resolve", {"targets": targets, "command": "uptime"}).json["risk"]["tier"]
        for targets in ("db[2-3]", "db[1-2]")
    ]
    assert tiers == [0, 2]
    page = browser(Role.OPERATOR).client.get("/run?targets=web[1-8]&command=uptime").text
    assert "RUN 8" in page
