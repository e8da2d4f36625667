"""How hosts have answered, as the command line tells it."""

from collections.abc import Iterator

from opsconsole.cli.client import Body

_WORDS = {
    "ok": "it let us in",
    "lost": "it let us in, and the connection broke",
    "refused": "it answered and did not let us in",
    "unreached": "it could not be reached",
}


def line(name: str, known: Body | None) -> str:
    """Returns one host of a list: its last contacts as letters, when it was last seen, and what went wrong last."""
    if known is None:
        return f"{name:<32} never met"
    bad = known["reason"] or "" if known["state"] != "ok" else ""
    seen = _moment(known["seen_at"]) if known["seen_at"] else "never seen"
    return f"{name:<32} {known['recent']:<10} {known['state']:<9} {seen:<20} {bad}".rstrip()


def lines(told: Body) -> Iterator[tuple[str, str]]:
    """Yields what is known of one host, as ``GET /inventory/hosts/{host}/health`` tells it: names and texts."""
    known = told["health"]
    if known is None:
        yield "last contact", "never met"
        return
    yield "last contact", f"{_moment(known['last_at'])}  {_WORDS.get(known['state'], known['state'])}"
    if known["seen_at"] and known["seen_at"] != known["last_at"]:
        yield "last seen", _moment(known["seen_at"])
    if known["host_key"]:
        yield "host key", known["host_key"]
    if known["connect_ms"] is not None:
        yield "connecting", f"{known['connect_ms']} ms"
    if known["failed_at"]:
        yield "last trouble", f"{_moment(known['failed_at'])}  {told['detail'] or known['reason'] or ''}".rstrip()
    for past in told["history"]:
        reason = f" ({past['reason']})" if past["reason"] else ""
        job = f"  job {past['job']}" if past["job"] else ""
        yield "contact", f"{_moment(past['at'])}  {past['state']}{reason}{job}"


def _moment(iso: str) -> str:
    return f"{iso[:19].replace('T', ' ')}Z"
