"""By which tags a job's hosts can be arranged: read when it is launched, as its page shows the fleet of that moment."""

from collections.abc import Sequence
from typing import Any

from opsconsole.jobs.placing import Located

# More parts than this are no arrangement, and what a page fetches for a job has to stay small.
_MOST_VALUES = 40
_MOST_TAGS = 12


def tags_of(located: Sequence[Located]) -> dict[str, Any] | None:
    """Returns for each tag that divides the hosts its ``values``, sorted, and in ``of`` the place of each host's value
    among them, -1 for a host without it, in the order of the roster; ``None`` when no tag divides them.

    Tags with a value of their own for nearly every host are left out, and so are those beyond a dozen.
    """
    said = [{key: str(value) for key, value in item.entry.tags.items()} if item.entry else {} for item in located]
    found: dict[str, Any] = {}
    for key in sorted({key for tags in said for key in tags}):
        values = sorted({tags[key] for tags in said if key in tags})
        parts = len(values) + any(key not in tags for tags in said)
        if 1 < parts <= _MOST_VALUES and len(found) < _MOST_TAGS:
            place = {value: at for at, value in enumerate(values)}
            found[key] = {"values": values, "of": [place[tags[key]] if key in tags else -1 for tags in said]}
    return found or None
