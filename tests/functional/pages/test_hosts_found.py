"""The Hosts view of a job's page finds hosts by what they wrote, without script."""

import re
from collections.abc import Callable

from opsconsole.jobs.states import RunState
from tests.functional.api.play import Play
from tests.functional.pages.people import Person

Players = Callable[[int], Play]


def test_the_hosts_are_found_by_what_they_wrote(operator: Person, play: Players) -> None:
    job = operator.job("web[1-3]", "uptime")
    workers = play(job)
    workers.start(0, 1, 2)
    for place, said in enumerate((b"No <space> left\n", b"fine\n", b"no <SPACE> left\n")):
        workers.write(place, said)
        workers.end(place, output_digest=str(place) * 64)

    def shown(query: str) -> list[str]:
        page = operator.text(f"/jobs/{job}?view=hosts&{query}")
        return re.findall(r'class="hrow" href="/jobs/\d+/h/(\w+)', page)

    assert shown("find=%3Cspace%3E") == ["web1", "web3"]
    assert shown("find=%3Cspace%3E&hits=without") == ["web2"]
    assert shown("find=%3Cspace%3E&case=1") == ["web1"]
    assert shown("find=^fine$&re=1") == ["web2"]
    page = operator.text(f"/jobs/{job}?view=hosts&find=%3Cspace%3E&hits=without&re=1")
    assert "Only hosts without “&lt;space&gt;” in their output." in page
    # The filter goes along: to the export in the words of the API, to the other views in those of the page.
    assert re.search(r'/export\?format=csv[^"]*find=%3Cspace%3E&amp;found=without&amp;re=1', page)
    assert re.search(r'data-view="overview" href="[^"]*find=%3Cspace%3E&amp;hits=without&amp;re=1', page)
    groups = operator.text(f"/jobs/{job}?view=groups&mode=exact&find=fine")
    assert re.findall(r'class="grp"', groups) == ['class="grp"']
    refused = operator.text(f"/jobs/{job}?view=groups&find=(&re=1")
    assert "This is not a regular expression." in refused
    refused = operator.text(f"/jobs/{job}?view=hosts&find=(&re=1")
    assert "This is not a regular expression." in refused
    assert 'class="hrow" href' not in refused
    # Nothing was looked for: there is nothing to say of hosts with it, nor to export.
    assert "Only hosts with" not in refused
    assert '<details class="menu" id="export" hidden>' in refused


def test_a_rerun_means_the_hosts_that_are_shown(operator: Person, play: Players) -> None:
    job = operator.job("web[1-3]", "uptime")
    workers = play(job)
    workers.start(0, 1, 2)
    for place, said in enumerate((b"no space left\n", b"fine\n", b"no space left\n")):
        workers.write(place, said)
        workers.end(place, output_digest=str(place) * 64)
    page = operator.text(f"/jobs/{job}?find=space&hits=without")
    assert '<input type="hidden" name="find" value="space">' in page
    # The counters are of all hosts, which beside a search is not what a rerun would touch.
    assert re.search(r'name="state" value="o">.*OK</label>', page)
    assert re.search(r'name="state" value="o">.*OK <span class="num"', operator.text(f"/jobs/{job}"))
    for hits, hosts in (("without", "web2"), ("with", r"web1\s+web3")):
        form = operator.text(f"/run?from={job}&state=o&find=space&hits={hits}")
        assert re.search(rf'name="targets"[^>]*>\s*{hosts}\s*</textarea>', form)
    for q, hosts in (("web3", "web3"), ("web[2-3]", r"web2\s+web3")):
        form = operator.text(f"/run?from={job}&state=o&q={q}")
        assert re.search(rf'name="targets"[^>]*>\s*{hosts}\s*</textarea>', form)
    form = operator.text(f"/run?from={job}&state=o&find=space&q=web[2-3]")
    assert re.search(r'name="targets"[^>]*>\s*web3\s*</textarea>', form)
    assert '<input type="hidden" name="q" value="web3">' in operator.text(f"/jobs/{job}?view=hosts&q=web3")


def test_an_order_that_is_none_is_passed_over(operator: Person, play: Players) -> None:
    job = operator.job("web[1-2]", "uptime")
    workers = play(job)
    workers.start(0, 1)
    workers.end(0)
    workers.end(1, state=RunState.FAILED, exit_status=1)
    for address in ("sort=nope", "sort=-load", "sort=re&column=re:("):
        page = operator.text(f"/jobs/{job}?view=hosts&{address}")
        assert re.findall(r'class="hrow" href="/jobs/\d+/h/(\w+)', page) == ["web2", "web1"]
