"""Which hosts of a job are meant by what they wrote, as an address or a form asks: find, hits, re, case; and by their
names: q."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy.orm import Session

from opsconsole.errors import Invalid, Unavailable
from opsconsole.jobs import queries
from opsconsole.jobs.models import Job
from opsconsole.web.searches import found_places


def asked(values: Mapping[str, str]) -> dict[str, Any]:
    """Returns what is asked for as the ``page`` calls it and as the ``api`` does, both empty for all hosts, and the
    ``error`` that there is none yet."""
    find = values.get("find", "")
    if not find:
        return {"page": {}, "api": {}, "error": ""}
    how = {name: "1" for name in ("re", "case") if values.get(name)}
    # Pieces of the page are asked for by script in the words of the API.
    hits = "without" if "without" in {values.get("hits"), values.get("found")} else "with"
    return {"page": {"find": find, "hits": hits, **how}, "api": {"find": find, "found": hits, **how}, "error": ""}


def places(session: Session, job: Job, wanted: Mapping[str, Any]) -> set[int] | None:
    """Returns the places of these hosts, ``None`` for all. Raises as ``searches.found_places``."""
    page = wanted["page"]
    find, hits = page.get("find", ""), page.get("hits", "with")
    return found_places(session, job, find=find, re="re" in page, case="case" in page, found=hits)


def meant(session: Session, job: Job, values: Mapping[str, str]) -> Collection[int] | None:
    """Returns the places of the hosts that are shown: by what they wrote and by their names; ``None`` for all. Raises
    as ``searches.found_places``."""
    found, q = places(session, job, asked(values)), values.get("q", "").strip()
    return queries.places_of(session, job, q=q, places=found) if q else found


def shown(session: Session, job: Job, values: Mapping[str, str]) -> tuple[dict[str, Any], set[int] | None]:
    """Returns what is asked for and the places of these hosts; none, and the ``error``, where that cannot be searched
    for or takes too long: a page says so and stands."""
    wanted = asked(values)
    try:
        return wanted, places(session, job, wanted)
    except (Invalid, Unavailable) as error:
        return {**wanted, "error": str(error)}, set()
