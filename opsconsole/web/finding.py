"""The global search: jobs, hosts, groups, saved commands and pages by a few letters, as far as the caller may see."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import url_for
from flask_babel import gettext
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.errors import NotFound
from opsconsole.inventory.finding import find_groups, find_hosts
from opsconsole.jobs import queries, saved

PER_KIND = 6
MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was found: its ``kind`` (page, job, host, group, saved), name, a second line, and its page."""

    kind: str
    title: str
    detail: str
    url: str


def find(session: Session, actor: Actor, q: str, *, limit: int = PER_KIND) -> list[Found]:
    """Returns what has ``q`` in its name, at most ``limit`` of a kind; for an empty ``q`` pages and the latest jobs."""
    wanted = " ".join(q.split())[:MAX_CHARS]
    # A number, or #number, is a job before it is anything else.
    number = wanted.removeprefix("#")
    found = [*_job(session, actor, number)] if number.isascii() and number.isdigit() else []
    if wanted.startswith("#"):
        return found
    found += _pages(actor, wanted.lower(), limit)
    if wanted:
        found += _inventory(session, wanted, limit)
        found += _saved(session, actor, wanted.lower(), limit)
    jobs = queries.list_jobs(session, actor, q=wanted or None, limit=limit)
    found += [_shown(job["id"], job["title"], job["by"]) for job in jobs]
    # The job of that number may have the number in its title, too.
    return list({item.url: item for item in found}.values())


def _job(session: Session, actor: Actor, number: str) -> Iterator[Found]:
    try:
        # Longer ones are no 64-bit number, and reading very long ones takes time.
        job = queries.get_job(session, int(number[:20]), actor)
    except NotFound:
        return
    yield _shown(job.id, job.title, job.created_by)


def _shown(number: int, title: str, by: str) -> Found:
    return Found("job", f"#{number} {title}", by, url_for("pages.job", job_id=number))


def _inventory(session: Session, wanted: str, limit: int) -> Iterator[Found]:
    for name, address in find_hosts(session, wanted, limit=limit):
        yield Found("host", name, address or "", url_for("pages.host", name=name))
    for name in find_groups(session, wanted, limit=limit):
        yield Found("group", f"@{name}", "", url_for("pages.group", name=name))


def _saved(session: Session, actor: Actor, wanted: str, limit: int) -> list[Found]:
    if not actor.may(Permission.VIEW_SAVED):
        return []
    fitting = [item for item in saved.listed(session) if wanted in item.key]
    return [
        Found("saved", item.name, saved.as_saved(item).command.partition("\n")[0][:200], _saved_page(item.id))
        for item in fitting[:limit]
    ]


def _saved_page(number: int) -> str:
    return url_for("pages.saved_command", saved_id=number)


def _pages(actor: Actor, wanted: str, limit: int) -> list[Found]:
    places = [
        Found("page", title, "", url_for(f"pages.{page}")) for page, title, needs in _places() if actor.may(needs)
    ]
    # Its address is what it is called in every language.
    fitting = [place for place in places if wanted in place.title.lower() or wanted in place.url.lower()]
    return fitting if not wanted else fitting[:limit]


def _places() -> list[tuple[str, str, Permission]]:
    """Returns the pages that stand by themselves: endpoint, name in the reader's language, who may open them."""
    return [
        ("run", gettext("Run a command"), Permission.RUN),
        ("jobs", gettext("Jobs"), Permission.VIEW),
        ("queue", gettext("Queue"), Permission.VIEW),
        ("hosts", gettext("Hosts"), Permission.VIEW),
        ("new_host", gettext("Add a host"), Permission.EDIT_INVENTORY),
        ("import_hosts", gettext("Import hosts"), Permission.EDIT_INVENTORY),
        ("groups", gettext("Groups"), Permission.VIEW),
        ("all_host_keys", gettext("Host keys"), Permission.VIEW),
        ("authorities", gettext("Host key authorities"), Permission.VIEW),
        ("new_test", gettext("Test connections"), Permission.RUN),
        ("credentials", gettext("Credentials"), Permission.VIEW_CREDENTIALS),
        ("saved", gettext("Saved commands"), Permission.VIEW_SAVED),
        ("files", gettext("Files"), Permission.RUN),
        ("workers", gettext("Workers"), Permission.VIEW),
        ("audit", gettext("Audit"), Permission.VIEW_AUDIT),
        ("users", gettext("People"), Permission.ADMINISTER),
        ("settings", gettext("Settings"), Permission.VIEW_SETTINGS),
        ("me", gettext("Password and tokens"), Permission.VIEW),
        ("keyboard", gettext("Keyboard"), Permission.VIEW),
        ("stop", gettext("Emergency stop"), Permission.STOP_ALL),
    ]
