"""How hosts have answered, on the pages Hosts and of a host."""

from datetime import timedelta

from opsconsole.db.database import Database
from opsconsole.inventory import health
from opsconsole.inventory.health import Contact, KeyState, Verdict
from tests.functional.pages.people import Person
from tests.support.clock import START
from tests.support.factories import make_host


def test_the_pages_show_how_a_host_has_answered(database: Database, operator: Person) -> None:
    with database.transaction() as session:
        make_host(session, "web1")
        make_host(session, "web2")
        ok = Contact("web1", START, Verdict.OK, host_key=KeyState.TRUSTED, connect_ms=8)
        late = START + timedelta(minutes=5)
        bad = Contact("web1", late, Verdict.REFUSED, "auth", "The key <b> was refused.", host_key=KeyState.TRUSTED)
        health.note(session, [ok, bad])
    listed = operator.get("/hosts").text
    assert 'aria-label="last contacts, the newest last: of"' in listed
    assert 'title="it answered and did not let us in: auth"' in listed
    assert listed.count('aria-label="never met"') == 1
    page = operator.get("/hosts/web1").text
    assert "it answered and did not let us in" in page
    # Nobody's job: what was seen is told to all.
    assert "The key &lt;b&gt; was refused." in page
    assert "The last 2 contacts" in page
    assert "Nobody has tried to reach it yet." in operator.get("/hosts/web2").text
