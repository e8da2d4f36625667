"""What hosts get from their groups."""

from sqlalchemy.orm import Session

from opsconsole.db.database import Database
from opsconsole.inventory.groups import set_group
from opsconsole.inventory.inherited import Inherited, inherited
from opsconsole.inventory.models import GroupLink, HostGroup
from opsconsole.inventory.profile import Profile
from opsconsole.inventory.profiles import profiles_of
from tests.support.factories import make_host


def _group(session: Session, name: str, hosts: list[str], *, jump: str | None = None) -> HostGroup:
    group = set_group(session, name, hosts)
    group.jump = jump
    session.flush()
    return group


def test_the_nearest_group_counts_and_of_equally_near_ones_the_first_by_name(database: Database) -> None:
    with database.transaction() as session:
        ids = {name: make_host(session, name).id for name in ("a", "b", "c", "d")}
        world = _group(session, "world", [], jump="far")
        europe = _group(session, "europe", ["c"], jump="near")
        # b is in a silent group inside of europe, which is inside of world; the circle must not matter.
        silent = _group(session, "silent", ["b", "d"])
        _group(session, "asia", ["d"], jump="east")
        _group(session, "africa", ["d"], jump="south")
        links = [(world, europe), (europe, silent), (silent, world)]
        session.add_all(GroupLink(parent_id=up.id, child_id=down.id, position=0) for up, down in links)
        session.flush()
        found = inherited(session, list(ids.values()), "jump")
        assert found == {
            ids["b"]: Inherited("near", "europe"),
            ids["c"]: Inherited("near", "europe"),
            ids["d"]: Inherited("south", "africa"),
        }
        assert inherited(session, list(ids.values()), "profile") == {}


def test_a_profile_comes_from_the_host_or_its_group(database: Database) -> None:
    with database.transaction() as session:
        for name in ("old", "new", "plain"):
            make_host(session, name)
        make_host(session, "own").profile = "legacy"
        _group(session, "switches", ["old", "own"]).profile = "legacy"
        _group(session, "servers", ["new"]).profile = "modern"
        session.flush()
        found = profiles_of(session, ["OLD", "new", "plain", "own", "unlisted"])
        assert found == {"old": Profile.LEGACY, "new": Profile.MODERN, "own": Profile.LEGACY}
