"""Which jump hosts lead to a host."""

import pytest
from sqlalchemy.orm import Session

from opsconsole.db.database import Database
from opsconsole.errors import Invalid
from opsconsole.inventory.groups import set_group
from opsconsole.inventory.service import locate
from opsconsole.inventory.ways import find_ways
from tests.support.factories import make_host


def host(session: Session, name: str, jump: str | None = None) -> None:
    make_host(session, name).jump = jump


def group(session: Session, name: str, jump: str, *hosts: str) -> None:
    set_group(session, name, hosts).jump = jump


def ways(session: Session, *names: str, chosen: str | None = None, default: str | None = None) -> list[tuple[str, str]]:
    session.flush()
    entries = locate(session, names)
    found = find_ways(session, [(name, entries.get(name)) for name in names], chosen=chosen, default=default)
    return [(way.text or "direct", way.source) for way in found]


def test_the_nearest_word_counts(database: Database) -> None:
    with database.transaction() as session:
        host(session, "own", "ops@Edge:2222,inner")
        host(session, "grouped")
        host(session, "direct", "none")
        group(session, "eu", "bastion", "own", "grouped", "direct")
        names = ("own", "grouped", "direct", "unlisted")
        assert ways(session, *names) == [
            ("ops@Edge:2222,inner", "host"),
            ("bastion", "group eu"),
            ("direct", "host"),
            ("direct", ""),
        ]
        assert ways(session, *names, default="gate")[3] == ("gate", "console")
        assert ways(session, *names, chosen="mine", default="gate") == [("mine", "run")] * 4
        assert ways(session, *names, chosen="none", default="gate") == [("direct", "run")] * 4


def test_a_jump_host_is_reached_by_its_own_way_and_never_through_itself(database: Database) -> None:
    with database.transaction() as session:
        host(session, "web", "inner")
        host(session, "inner", "middle")
        host(session, "middle")
        host(session, "outer")
        group(session, "dmz", "outer", "middle", "outer")
        group(session, "all", "outer,inner", "inner", "outer")
        assert ways(session, "web", "inner", "outer") == [
            ("outer,middle,inner", "host"),
            ("outer,middle", "host"),
            ("direct", "group all"),
        ]
        # A host that stands on its own way is reached by the part before it.
        assert ways(session, "outer", "middle", chosen="outer,middle") == [("direct", "run"), ("outer", "run")]
        assert ways(session, "web", "gate", default="gate") == [("outer,middle,inner", "host"), ("direct", "console")]


def test_what_has_no_end_is_refused(database: Database) -> None:
    with database.transaction() as session:
        host(session, "a", "b")
        host(session, "b", "a")
        host(session, "narrow", "x,y,z,long")
        host(session, "x", "p,q")
        with pytest.raises(Invalid, match="circle") as raised:
            ways(session, "a")
        assert raised.value.errors[0].field == "jump"
        with pytest.raises(Invalid, match="More than 5"):
            ways(session, "narrow")
        for text in ("not a host!", "none,inner"):
            with pytest.raises(Invalid):
                ways(session, "web", chosen=text)
        assert ways(session, "narrow", chosen="None") == [("direct", "run")]
