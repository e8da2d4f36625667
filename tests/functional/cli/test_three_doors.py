"""Page, API and command line let the same orders through: none starts what another would have asked about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Role
from opsconsole.cli.client import ConsoleClient
from opsconsole.cli.main import main
from opsconsole.db.database import Database
from opsconsole.inventory.groups import set_group
from opsconsole.inventory.service import upsert_host
from opsconsole.jobs.models import Job
from opsconsole.settings import Settings
from tests.functional.api.callers import Program
from tests.functional.pages.people import Person, person_at
from tests.support.clock import START
from tests.support.factories import make_token, make_user
from tests.support.liveserver import LiveServer, serve

STARTED, ASKED, CHANGED = "started", "asked", "changed"


@dataclass
class Doors:
    """One person's ways to give an order. Each returns what became of it, and what was told."""

    person: Person
    program: Program
    database: Database
    monkeypatch: pytest.MonkeyPatch

    def page(self, targets: str, command: str, count: str = "", confirm: str = "", reason: str = "") -> tuple[str, str]:
        answer = self.person.run(targets, command, confirm=confirm, reason=reason, expect_count=count)
        outcome = {303: STARTED, 428: ASKED, 409: CHANGED}[answer.status_code]
        return outcome, unescape(answer.get_data(as_text=True))

    def api(self, targets: str, command: str, count: str = "", confirm: str = "", reason: str = "") -> tuple[str, str]:
        order = {"targets": targets, "command": command, "confirm": confirm or None, "reason": reason or None}
        expect = {"expect": {"count": int(count)}} if count else {}
        answer = self.program.post("jobs", order | expect)
        return {201: STARTED, 428: ASKED, 409: CHANGED}[answer.status_code], answer.get_data(as_text=True)

    def cli(self, targets: str, command: str, count: str = "", confirm: str = "", reason: str = "") -> tuple[str, str]:
        number = confirm.rpartition(" ")[2] or count
        words = ["run", "-w", targets, "--detach", *([f"--yes={number}"] if number else [])]
        result = CliRunner().invoke(main, [*words, *(["--reason", reason] if reason else []), "--", command])
        if result.exit_code == 0:
            return STARTED, result.output
        assert result.exit_code == 2, result.output
        assert "Nothing was started" in result.output or "to go on" in result.output or "changed" in result.output
        return (CHANGED if "changed" in result.output else ASKED), result.output

    def way(self, door: str) -> Callable[..., tuple[str, str]]:
        way: Callable[..., tuple[str, str]] = getattr(self, door)
        return way

    @property
    def jobs(self) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(Job)) or 0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"log_level": "ERROR"})


@pytest.fixture
def live(settings: Settings, database: Database) -> Iterator[LiveServer]:
    with database.transaction() as session:
        for number in range(1, 221):
            tags = {"env": "prod" if number > 218 else "test"}
            upsert_host(session, f"web{number}", tags=tags, now=START)
        session.flush()
        set_group(session, "web", ["web1", "web2", "web3"])
    with serve(settings, database) as server:
        yield server


@pytest.fixture
def doors(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Doors:
    with live.database.transaction() as session:
        user: User = make_user(session, "li.wei", Role.OPERATOR)
        token = make_token(session, user)
    monkeypatch.setenv("OPSCONSOLE_URL", live.url)
    monkeypatch.setenv("OPSCONSOLE_TOKEN", token)
    program = Program(live.app.test_client(), user, token)
    return Doors(person_at(live.app, live.runtime, user), program, live.database, monkeypatch)


@pytest.mark.parametrize("door", ["page", "api", "cli"])
def test_the_same_word_is_wanted_at_every_door(doors: Doors, door: str) -> None:
    give = doors.way(door)
    sure = {"reason": "change 17"}
    for targets, command, confirm, reason in (
        ("web[1-100]", "uptime", "100", {}),
        ("web[219-220]", "uptime", "2", {}),
        ("web[1-2]", "echo ok; reboot", "RUN 2", sure),
        ("web[1-150]", "uptime", "RUN 150", sure),
    ):
        before = doors.jobs
        wrong = confirm.replace("1", "3").replace("2", "4")
        assert give(targets, command)[0] == ASKED, targets
        assert give(targets, command, **reason)[0] == ASKED, targets
        assert give(targets, command, confirm=wrong, **reason)[0] == ASKED, targets
        if reason:
            assert give(targets, command, confirm=confirm)[0] == ASKED, targets
        assert doors.jobs == before, targets
        outcome, told = give(targets, command, confirm=confirm, **reason)
        assert (outcome, doors.jobs) == (STARTED, before + 1), told
    assert give("web[1-10]", "uptime")[0] == STARTED
    assert give("web218", "reboot")[0] == STARTED


@pytest.mark.parametrize("door", ["page", "api", "cli"])
def test_a_fleet_that_changed_meanwhile_starts_nothing(doors: Doors, door: str) -> None:
    seen = doors.program.post("resolve", {"targets": "@web", "command": "uptime"}).json

    def change() -> None:
        with doors.database.transaction() as session:
            set_group(session, "web", ["web1", "web2", "web4"])

    if door == "cli":
        real = ConsoleClient.launch

        def late(client: ConsoleClient, *args: object, **options: object) -> object:
            change()
            return real(client, *args, **options)  # type: ignore[arg-type]

        doors.monkeypatch.setattr(ConsoleClient, "launch", late)
        outcome, told = doors.cli("@web", "uptime")
        assert ("+ web4" in told, "- web3" in told) == (True, True)
    elif door == "api":
        change()
        expect = {"count": seen["count"], "digest": seen["digest"], "hosts": seen["folded"]}
        answer = doors.program.post("jobs", {"targets": "@web", "command": "uptime", "expect": expect})
        outcome = CHANGED if answer.status_code == 409 else STARTED
        assert (answer.json["added"], answer.json["removed"]) == (["web4"], ["web3"])
    else:
        change()
        shown = {"expect_count": seen["count"], "expect_digest": seen["digest"], "expect_hosts": seen["folded"]}
        answer = doors.person.run("@web", "echo kept", **shown)
        outcome, told = {409: CHANGED}.get(answer.status_code, STARTED), unescape(answer.get_data(as_text=True))
        assert "web4" in told
        assert 'New:</span> <span class="mono">web4' in told
        assert 'Gone:</span> <span class="mono">web3' in told
        assert "echo kept</textarea>" in told
        # What is shown now is what the next press stands for.
        assert 'name="expect_hosts" value="web[1-2,4]"' in told
    assert (outcome, doors.jobs) == (CHANGED, 0)


@pytest.mark.parametrize("door", ["page", "api", "cli"])
def test_unknown_names_block_until_they_are_left_out(doors: Doors, door: str) -> None:
    order = {"targets": "web[1-2],wbe3,db1", "command": "uptime"}
    if door == "cli":
        words = ["run", "-w", order["targets"], "--detach"]
        refused = CliRunner().invoke(main, [*words, "--", "uptime"])
        assert refused.exit_code == 2
        assert "wbe3: did you mean web3?" in refused.output
        assert doors.jobs == 0
        done = CliRunner().invoke(main, [*words, "--skip-unknown", "--", "uptime"])
        assert done.exit_code == 0, done.output
        assert "Not in the inventory (2), left out: db1,wbe3" in done.output
    elif door == "api":
        assert doors.program.post("jobs", order).json["errors"][0]["code"] == "unknown_hosts"
        seen = doors.program.post("resolve", {**order, "skip_unknown": True}).json
        assert (seen["count"], seen["unknown_count"], seen["unknown_blocks"]) == (2, 2, False)
        assert seen["unknown_suggestions"] == [{"unknown": "wbe3", "use": "web3"}]
        assert doors.jobs == 0
        assert doors.program.post("jobs", {**order, "skip_unknown": True}).status_code == 201
    else:
        page = unescape(doors.person.run(order["targets"]).get_data(as_text=True))
        assert "Not in the inventory, so nothing runs." in page
        assert 'did you mean <span class="mono">web3' in page
        assert doors.jobs == 0
        assert doors.person.run(order["targets"], skip_unknown="yes").status_code == 303
    assert doors.jobs == 1
    with doors.database.read() as session:
        assert session.get_one(Job, 1).folded == "web[1-2]"


def test_saved_commands_on_the_command_line(doors: Doors) -> None:
    def cli(*words: str) -> Result:
        return CliRunner().invoke(main, ["saved", *words])

    made = cli("add", "-w", "@web", "--notes", "why", "disk space", "--", "df", "-h")
    assert made.exit_code == 0, made.output
    assert cli("add", "-w", "@web", "Disk Space", "--", "uptime").exit_code == 2
    fixed = cli("add", "--static", "-w", "@web", "-f", "1", "fixed", "--script", "/nonexistent")
    assert fixed.exit_code == 2
    assert cli("add", "--static", "-w", "@web", "fixed", "-f", "1", "--", "df -i").exit_code == 0
    with doors.database.transaction() as session:
        set_group(session, "web", ["web1", "web2", "web4"])
    for name in ("DISK space", "fixed"):
        done = cli("run", name, "--detach")
        assert done.exit_code == 0, done.output
    with doors.database.read() as session:
        jobs = [session.get_one(Job, number) for number in (1, 2)]
    assert [(job.folded, job.command, job.title) for job in jobs] == [
        ("web[1-2,4]", "df -h", "disk space"),
        ("web[1-3]", "df -i", "fixed"),
    ]
    changed = cli("add", "--replace", "-w", "web[1-150]", "disk space", "--", "uptime")
    assert changed.exit_code == 0, changed.output
    refused = cli("run", "disk space", "--detach")
    assert (refused.exit_code, "Add --yes=150 and --reason" in refused.output) == (2, True)
    assert cli("run", "disk space", "--detach", "--yes=150", "--reason", "why").exit_code == 0
    listed = cli("list").output.splitlines()
    assert [line.split()[0] for line in listed] == ["#1", "#2"]
    assert "fixed hosts: web[1-3]" in cli("show", "fixed").output
    assert cli("remove", "fixed", "--yes").exit_code == 0
    assert "There is no saved command fixed." in cli("run", "fixed").output
    assert doors.jobs == 3
