"""Items turned into hosts: arithmetic limits first, then expansion or questions to the inventory, each asked once."""

import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Sequence

from opsconsole.hostset.earlier import JobAlike, JobHosts, JobOutput
from opsconsole.hostset.faults import Fault, shown
from opsconsole.hostset.items import (
    Address,
    Groups,
    Hosts,
    Network,
    Regex,
    Tagged,
    Wildcard,
    parse_host_item,
    parse_item,
)
from opsconsole.hostset.matching import output_search, regex_matches, wildcard_matches
from opsconsole.hostset.model import GroupResolver, HostSpec, TooMuchOutput
from opsconsole.hostset.ranges import COUNT_CEILING
from opsconsole.sentences import Sentence

# All items together may name ten times the limit, so that lists with many repeats still work.
REPEATS = 10
MIN_WORK = 100_000
MAX_MATCHES = 1_000_000
# What takes about ten times as long as naming one host: an operator, an international name.
HEAVY = 10
MAX_SUGGESTIONS = 2_000


def too_many(count: int, limit: int, at: int) -> Fault:
    """Returns the fault of a set over the limit."""
    if count < COUNT_CEILING:
        message = Sentence("This names {count:,} hosts; the limit is {limit:,}.", count=count, limit=limit)
    else:
        most = COUNT_CEILING - 1
        message = Sentence("This names more than {count:,} hosts; the limit is {limit:,}.", count=most, limit=limit)
    return Fault("too_many_hosts", message, at, "Name fewer hosts, or split the work into several jobs.")


class Operands:
    """The hosts behind items, for one evaluation."""

    def __init__(self, groups: GroupResolver, max_hosts: int, suggestions: Callable[[], Iterable[str]]) -> None:
        self._groups = groups
        self._max_hosts = max_hosts
        self._suggestions = suggestions
        self._known: list[str] | None = None
        self._names: Sequence[str] | None = None
        self._answers: dict[str, list[HostSpec]] = {}
        self._work = max(MIN_WORK, REPEATS * max_hosts)
        self._matches = MAX_MATCHES

    def hosts(self, text: str, at: int) -> list[HostSpec]:
        """Returns the hosts of one item, in order; repeats are possible. Raises Fault."""
        if _PLAIN.fullmatch(text):
            self.charge(1, at)
            return [HostSpec(text)]
        item = parse_item(text, at)
        if isinstance(item, Hosts | Address | Network):
            if item.count > self._max_hosts:
                raise too_many(item.count, self._max_hosts, at)
            self.charge(item.count if text.isascii() else item.count * HEAVY, at)
            return list(item.expand())
        if text not in self._answers:
            self._answers[text] = self._ask(item, at)
        self.charge(len(self._answers[text]) or 1, at)
        return self._answers[text]

    def _ask(
        self, item: Groups | Tagged | Wildcard | Regex | JobHosts | JobOutput | JobAlike, at: int
    ) -> list[HostSpec]:
        match item:
            case Groups():
                return self._members(item, at)
            case Tagged():
                return self._tagged(item, at)
            case JobHosts() | JobOutput() | JobAlike():
                return self._of_job(item, at)
            case Wildcard():
                return self._matching(item, at)
            case Regex():
                return self._matching(item, at)

    def _of_job(self, item: JobHosts | JobOutput | JobAlike, at: int) -> list[HostSpec]:
        job = self._groups.last_job(item.job) if isinstance(item.job, str) else item.job
        if job is None:
            hint = "The targets must be written as they were then: last:@web after a job on @web."
            message = Sentence("No job on {job} has ended that you may see.", job=shown(str(item.job)))
            raise Fault("unknown_job", message, at, hint)
        names: Sequence[str] | None
        match item:
            case JobHosts():
                names = self._groups.job_hosts(job, item.letters)
            case JobOutput():
                names = self._matching_output(job, item.pattern, at)
            case JobAlike():
                names = self._groups.job_hosts_like(job, item.host)
                if names is not None and not names:
                    message = Sentence("Job #{job} has no host {host} that has ended.", job=job, host=shown(item.host))
                    raise Fault("unknown_host", message, at, "Name a host of that job as its page does.")
        if names is None:
            raise Fault("unknown_job", Sentence("There is no job #{job} that you may see.", job=job), at)
        return _specs(names, at)

    def _matching_output(self, job: int, pattern: str, at: int) -> Sequence[str] | None:
        try:
            return self._groups.job_hosts_where(job, output_search(pattern, at))
        except TooMuchOutput:
            message = Sentence("Job #{job} wrote too much to be searched here.", job=job)
            hint = "Pick its hosts by state, or ask grep on the hosts themselves."
            raise Fault("too_much_output", message, at, hint) from None

    def charge(self, count: int, at: int) -> None:
        """Counts work against the limit of one evaluation; one unit is one host named. Raises Fault beyond it."""
        self._work -= count
        if self._work < 0:
            message = "With all its repeats the expression names far more hosts than one job can have."
            raise Fault(
                "too_many_hosts",
                message,
                at,
                Sentence("The limit is {limit:,} hosts.", limit=self._max_hosts),
                final=True,
            )

    def _members(self, item: Groups, at: int) -> list[HostSpec]:
        count = item.template.count
        if count > self._max_hosts:
            raise too_many(count, self._max_hosts, at)
        self.charge(count, at)
        hosts: list[HostSpec] = []
        for name in item.template.expand():
            members = self._groups.group(name)
            if members is None:
                raise Fault(
                    "unknown_group",
                    Sentence("There is no group {name}.", name=shown("@" + name)),
                    at,
                    self._did_you_mean(name),
                )
            hosts.extend(_specs(members, at))
        return hosts

    def _tagged(self, item: Tagged, at: int) -> list[HostSpec]:
        names = self._groups.tagged(item.key, item.value)
        if names:
            return _specs(names, at)
        # A value that no host has is as likely a slip of the pen as an unknown group; in the exclude field it would
        # leave hosts in that were meant to be out.
        if self._groups.has_tag_key(item.key):
            message = Sentence("No host has the tag {tag}.", tag=shown(f"{item.key}:{item.value}"))
            raise Fault("unknown_tag", message, at, "Check the value; case counts.")
        if item.value.isdecimal() and self._groups.group(item.key) is not None:
            hint = Sentence("Write @{key}; give the port in the inventory or name the hosts.", key=item.key)
            raise Fault("unknown_tag", "A group cannot carry a port.", at, hint)
        raise Fault(
            "unknown_tag", Sentence("No host has a tag {key}.", key=shown(item.key)), at, self._did_you_mean(item.key)
        )

    def _matching(self, item: Wildcard | Regex, at: int) -> list[HostSpec]:
        if self._names is None:
            self._names = self._groups.all_names()
        if not self._names:
            message = "A pattern looks through the inventory, and the inventory has no hosts."
            raise Fault("no_match", message, at, "Name the hosts: web[01-20].")
        count = item.template.count if isinstance(item, Wildcard) else 1
        self._matches -= count * len(self._names)
        if self._matches < 0:
            message = "There are too many patterns to look through the inventory for."
            raise Fault("too_many_patterns", message, at, "Make a group of the hosts.", final=True)
        if isinstance(item, Wildcard):
            names = wildcard_matches(item.template.expand(), self._names)
        else:
            names = regex_matches(item.pattern, at, self._names)
        if not names:
            raise Fault("no_match", "No name in the inventory matches this pattern.", at, _PATTERN_HINTS[type(item)])
        return _specs(names, at)

    def _did_you_mean(self, name: str) -> str:
        if self._known is None:
            self._known = list(itertools.islice(self._suggestions(), MAX_SUGGESTIONS))
        by_lower = {known.lower(): known for known in self._known}
        close = difflib.get_close_matches(name.lower()[:64], by_lower, n=3, cutoff=0.6)
        if not close:
            return "Check the spelling, or make the group first."
        names = [f"@{by_lower[match]}" for match in close]
        if len(names) == 1:
            return Sentence("Did you mean {name}?", name=names[0])
        if len(names) == 2:
            return Sentence("Did you mean {one} or {two}?", one=names[0], two=names[1])
        return Sentence("Did you mean {one} or {two} or {three}?", one=names[0], two=names[1], three=names[2])


_PATTERN_HINTS: dict[type, str] = {
    Regex: Sentence("The pattern must match the whole name: ~.*web.* finds web anywhere."),
    Wildcard: Sentence("* stands for any characters, ? for exactly one."),
}
# Names that need no closer look; most lists hold little else.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def _specs(names: Iterable[str], at: int) -> list[HostSpec]:
    return [HostSpec(name) if _PLAIN.fullmatch(name) else _member(name, at) for name in names]


def _member(name: str, at: int) -> HostSpec:
    try:
        return parse_host_item(name)
    except Fault:
        message = Sentence("The inventory gives {name} here, which is not a host.", name=shown(name))
        raise Fault("bad_member", message, at, "Mend it in the inventory.") from None
