"""With ``accept_new`` the first key a host shows is its key from then on; a revoked key is never a first one."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from opsconsole.accounts.permissions import Actor, Role
from opsconsole.credentials.cipher import Cipher
from opsconsole.db.database import Database
from opsconsole.errors import Conflict, Forbidden, Invalid
from opsconsole.inventory import groups, host_authorities, hostkey_desk, hostkeys, service
from opsconsole.inventory.known_hosts import Authority, KnownKey
from opsconsole.jobs import transitions
from opsconsole.jobs.claims import Claim, ClaimReader
from opsconsole.jobs.launch import Launcher, Order
from opsconsole.jobs.ledger import Ledger
from opsconsole.jobs.models import HostRun
from opsconsole.jobs.notices import notices
from opsconsole.jobs.outcomes import Outcome
from opsconsole.jobs.ports import ConnectionFacts, HostKeyPolicy, Unreached
from opsconsole.jobs.spool import Spool
from opsconsole.jobs.states import Reason, RunState
from opsconsole.jobs.tide import Tide
from opsconsole.settings import Settings
from tests.support.clock import START
from tests.support.factories import actor_for, make_key, make_user

KEY, OTHER = make_key(), make_key()
CIPHER = Cipher("a secret key of the tests")


class Silent:
    """A dispatcher whose messages nobody needs here."""

    def publish(self, runs: Sequence[tuple[int, int]]) -> None:
        pass

    def nudge(self) -> None:
        pass


@pytest.fixture
def trusting(settings: Settings) -> Settings:
    changed = {"allow_unlisted_hosts": True, "use_ambient_keys": True, "host_key_policy": "accept_new"}
    return settings.model_copy(update=changed)


@pytest.fixture
def ledger(database: Database, trusting: Settings, tmp_path: Path) -> Iterator[Ledger]:
    reader = ClaimReader(trusting, CIPHER, worker_id=lambda: "w1", worker_name="worker-1", home=tmp_path)
    made = Ledger(
        database,
        Silent(),
        reader,
        now=lambda: START,
        slots=lambda: 10,
        kick=lambda: None,
        offload=_here,
        tide=Tide(trusting.tide_file),
        spool=Spool(trusting.spool_dir, offload=_here),
        spool_seconds=3.0,
    )
    yield made
    made.close()


def _here(write: Callable[[], object]) -> object:
    return write()


def claim(database: Database, settings: Settings, ledger: Ledger) -> Claim:
    """Launches a job on web1 and claims its only run."""
    with database.transaction() as session:
        actor = actor_for(make_user(session, role=Role.OPERATOR))
        job, _ = Launcher(settings, CIPHER).launch(session, Order(targets="web1", command="id"), actor, now=START)
        run = session.query(HostRun).filter_by(job_id=job.id).one()
        transitions.apply(session, [transitions.Change(run.id, job.id, RunState.QUEUED)], START)
    claimed = ledger.take(run.id, run.attempt)
    assert claimed is not None
    return claimed


def open_gate(ledger: Ledger, claimed: Claim, key: KnownKey) -> bool:
    facts = ConnectionFacts(
        address="127.0.0.1", host_key=key, host_key_new=key not in claimed.target.known_keys, reused=False, connect_ms=5
    )
    return ledger.open_gate(claimed, facts, deadline=time.monotonic() + 30)


def test_the_first_key_is_kept(database: Database, trusting: Settings, ledger: Ledger) -> None:
    first = claim(database, trusting, ledger)
    assert (first.target.known_keys, first.target.host_key_policy) == ((), HostKeyPolicy.ACCEPT_NEW)
    assert open_gate(ledger, first, KEY)
    with database.read() as session:
        [row] = hostkey_desk.keys(session)
        assert (row.address, row.port, row.status, row.source) == ("web1", 22, "trusted", "accept_new")
    assert claim(database, trusting, ledger).target.known_keys == (KEY,)


def test_two_first_contacts_at_once_keep_one_key(database: Database, trusting: Settings, ledger: Ledger) -> None:
    one, two = claim(database, trusting, ledger), claim(database, trusting, ledger)
    assert open_gate(ledger, one, KEY)
    open_gate(ledger, two, OTHER)
    assert claim(database, trusting, ledger).target.known_keys == (KEY,)


def test_the_nearest_says_how_a_key_is_judged(database: Database, trusting: Settings, ledger: Ledger) -> None:
    """The host before its groups, they before the console; as it was when the job was launched."""
    boss = Actor(1, "boss", Role.ADMIN)

    def policy() -> HostKeyPolicy:
        return claim(database, trusting, ledger).target.host_key_policy

    with database.transaction() as session:
        service.add_host(session, "web1", {}, actor=boss, now=START)
        groups.add_group(session, "web", {"hosts": ["web1"]}, actor=boss, now=START)
        groups.add_group(session, "all", {"children": ["web"], "host_key_policy": "strict"}, actor=boss, now=START)
    assert policy() is HostKeyPolicy.STRICT
    with database.transaction() as session:
        values = {"host_key_policy": "pinned"}
        groups.change_group(session, "web", values, version=None, actor=boss, now=START)
    assert policy() is HostKeyPolicy.PINNED
    with database.transaction() as session:
        values = {"host_key_policy": "accept_new"}
        service.change_host(session, "web1", values, version=None, actor=boss, now=START)
        order = Order(targets="web1", command="id")
        (planned,) = Launcher(trusting, CIPHER).plan(session, order, boss)["hosts"]
        assert planned["host_key_policy"] == "accept_new"
    assert policy() is HostKeyPolicy.ACCEPT_NEW
    with database.transaction() as session, pytest.raises(Invalid):
        service.change_host(session, "web1", {"host_key_policy": "never"}, version=None, actor=boss, now=START)


def test_where_a_key_was_revoked_nothing_is_accepted_unasked(
    database: Database, trusting: Settings, ledger: Ledger
) -> None:
    with database.transaction() as session:
        text = f"@revoked web1 {KEY.algorithm} {KEY.key}\n"
        hostkeys.seed_known_hosts(session, text, now=START)
    target = claim(database, trusting, ledger).target
    assert (target.known_keys, target.host_key_policy) == ((), HostKeyPolicy.STRICT)


def test_where_keys_are_pinned_the_workers_known_hosts_adds_none(
    database: Database, trusting: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"web* {KEY.algorithm} {KEY.key}\n")
    with database.transaction() as session:
        boss = Actor(1, "boss", Role.ADMIN)
        service.add_host(session, "web1", {"host_key_policy": "pinned"}, actor=boss, now=START)
    assert claim(database, trusting, ledger).target.known_keys == ()


def test_where_keys_are_pinned_only_those_that_a_person_decided_on_count(
    database: Database, trusting: Settings, ledger: Ledger
) -> None:
    boss = Actor(1, "boss", Role.ADMIN)
    with database.transaction() as session:
        service.add_host(session, "web1", {}, actor=boss, now=START)
        hostkeys.remember(session, "web1", 22, KEY, source=hostkeys.Source.ACCEPT_NEW, now=START)
    assert claim(database, trusting, ledger).target.known_keys == (KEY,)
    with database.transaction() as session:
        values = {"host_key_policy": "pinned"}
        service.change_host(session, "web1", values, version=None, actor=boss, now=START)
    assert claim(database, trusting, ledger).target.known_keys == ()
    with database.transaction() as session:
        hostkeys.remember(session, "web1", 22, OTHER, source=hostkeys.Source.IMPORT, now=START)
    assert claim(database, trusting, ledger).target.known_keys == (OTHER,)
    with database.transaction() as session:
        # What it showed before and nobody pinned is no alarm, and may be confirmed.
        hostkeys.offer(session, "web1", 22, KEY, now=START)
        assert hostkeys.known(session, [("web1", 22)])[("web1", 22)].alarms == ()
        hostkey_desk.trust(session, [hostkey_desk.KeyRef("web1", 22, hostkeys.fingerprint(KEY))], actor=boss, now=START)
    assert set(claim(database, trusting, ledger).target.known_keys) == {KEY, OTHER}


def test_who_may_vouch_for_a_host_and_what_is_revoked_for_it(
    database: Database, trusting: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    boss = Actor(1, "boss", Role.ADMIN)
    mine, own, gone = make_key(), make_key(), make_key()
    with database.transaction() as session:
        service.add_host(session, "web1", {"address": "10.0.0.1"}, actor=boss, now=START)
        for patterns, key, revoked in (("web?,db1", mine, False), ("10.*", mine, False), ("*", gone, True)):
            line = f"{key.algorithm} {key.key} of the team"
            host_authorities.add(session, patterns, line, revoked=revoked, source="page", actor=boss, now=START)
        with pytest.raises(Conflict):
            host_authorities.add(
                session, "10.*", f"{mine.algorithm} {mine.key}", revoked=False, source="page", actor=boss, now=START
            )
    (tmp_path / ".ssh").mkdir()
    marked = f"@cert-authority web1 {own.algorithm} {own.key}\n@cert-authority * {gone.algorithm} {gone.key}\n"
    (tmp_path / ".ssh" / "known_hosts").write_text(marked)
    target = claim(database, trusting, ledger).target
    assert target.authorities == (Authority(mine, ("web1", "10.0.0.1")), Authority(own, ("web1",)))
    assert target.revoked_keys == (gone,)
    # Where hosts have certificates, one without is not taken at its word.
    assert target.host_key_policy is HostKeyPolicy.STRICT
    with database.transaction() as session:
        for row in host_authorities.listed(session)[:2]:
            host_authorities.revoke(session, row.id, actor=boss, now=START)
    target = claim(database, trusting, ledger).target
    assert target.authorities == (Authority(own, ("web1",)),)
    assert set(target.revoked_keys) == {mine, gone}
    with database.transaction() as session:
        values = {"host_key_policy": "pinned"}
        service.change_host(session, "web1", values, version=None, actor=boss, now=START)
    target = claim(database, trusting, ledger).target
    assert target.authorities == ()
    assert set(target.revoked_keys) == {mine, gone}


def test_after_an_authority_is_revoked_no_key_is_accepted_unasked(
    database: Database, trusting: Settings, ledger: Ledger
) -> None:
    boss = Actor(1, "boss", Role.ADMIN)
    with database.transaction() as session:
        line = f"{OTHER.algorithm} {OTHER.key}"
        row = host_authorities.add(session, "web*", line, revoked=False, source="page", actor=boss, now=START)
        host_authorities.revoke(session, row.id, actor=boss, now=START)
    target = claim(database, trusting, ledger).target
    assert (target.authorities, target.revoked_keys) == ((), (OTHER,))
    assert target.host_key_policy is HostKeyPolicy.STRICT


def test_only_whole_lines_make_an_authority(database: Database) -> None:
    key = f"{KEY.algorithm} {KEY.key}"
    boss, li = Actor(1, "boss", Role.ADMIN), Actor(2, "li.wei", Role.OPERATOR)
    for patterns, text, actor, error in (
        ("*", key, li, Forbidden),
        ("", key, boss, Invalid),
        ("a b", key, boss, Invalid),
        ("*", "ssh-ed25519", boss, Invalid),
        ("*", "ssh-ed25519 AAAA", boss, Invalid),
        ("*", f"@revoked * {key}", boss, Invalid),
        ("*\n@cert-authority", key, boss, Invalid),
    ):
        with database.transaction() as session, pytest.raises(error):
            host_authorities.add(session, patterns, text, revoked=False, source="api", actor=actor, now=START)
    with database.read() as session:
        assert host_authorities.listed(session) == []


def test_after_a_changed_key_nothing_connects_there_until_somebody_decides(
    database: Database, trusting: Settings, ledger: Ledger
) -> None:
    first = claim(database, trusting, ledger)
    open_gate(ledger, first, KEY)
    second = claim(database, trusting, ledger)
    changed = Unreached(Reason.HOST_KEY_CHANGED, "changed", offered=OTHER)
    ledger.finish(second, Outcome(RunState.UNREACHABLE, changed.reason, changed.detail), unreached=changed)
    blocked = claim(database, trusting, ledger).problem
    assert blocked is not None
    assert (blocked.reason, blocked.retryable) == (Reason.HOST_KEY_CHANGED, False)
    assert hostkeys.fingerprint(OTHER) in blocked.detail
    with database.read() as session:
        (told,) = [one for one in notices(session, dead_seconds=15) if one["code"] == "host_keys_changed"]
        assert "web1" in told["text"]
    with database.transaction() as session:
        wanted = [hostkey_desk.KeyRef("web1", 22, hostkeys.fingerprint(OTHER))]
        hostkey_desk.revoke(session, wanted, actor=Actor(1, "boss", Role.ADMIN), now=START)
    after = claim(database, trusting, ledger)
    assert after.problem is None
    assert after.target.known_keys == (KEY,)


def test_the_workers_own_known_hosts_is_taken_over_when_needed(
    database: Database, trusting: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"web* {KEY.algorithm} {KEY.key}\n")
    assert claim(database, trusting, ledger).target.known_keys == (KEY,)
    with database.read() as session:
        assert [(row.address, row.source) for row in hostkey_desk.keys(session)] == [("web1", "known_hosts")]
