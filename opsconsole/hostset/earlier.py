"""Items that name hosts of an earlier job: by their state, by what they wrote, or all of them."""

import re
from dataclasses import dataclass

from opsconsole.hostset.faults import Fault, shown, shown_char
from opsconsole.sentences import Sentence

# The states of the JSON contract that count as a failure: failed, timed out, unreachable, lost.
FAILED_LETTERS = "fkul"
STATE_LETTERS = "qcrofkuxsl"
STATE_NAMES = {
    "pending": "q",
    "queued": "q",
    "connecting": "c",
    "running": "r",
    "succeeded": "o",
    "failed": "f",
    "timed_out": "k",
    "unreachable": "u",
    "cancelled": "x",
    "skipped": "s",
    "lost": "l",
}
STATES_HINT = (
    "q queued, c connecting, r running, o succeeded, f failed, k timed_out, u unreachable, x cancelled, s skipped, "
    "l lost"
)
MAX_JOB_DIGITS = 18
MAX_PATTERN = 200
_JOB = re.compile(
    r"(?:failed:|state\((?P<states>[^()]*)\):|same\((?P<host>[^()]*)\):|matched\(/(?P<pattern>.*)/\):)?"
    r"(?:#(?P<id>[0-9]+)|last:(?P<targets>.+))",
    re.DOTALL,
)
# ``last:22`` is a host of that name and its port.
_JOB_LIKE = re.compile(r"state\(|same\(|matched\(|(?:failed|state|same|matched):(?:#|last:)|last:(?![0-9]+\Z)")
# What is one piece although there are blanks, commas or operators in it.
CALL = re.compile(
    r"state\([^()\r\n]{0,200}\):?|same\([^()\r\n]{0,400}\):?|"
    rf"matched\(/(?:\\[^\r\n]|[^\\\r\n]){{0,{MAX_PATTERN}}}?/\):?"
)


@dataclass(frozen=True, slots=True)
class JobHosts:
    """Hosts of an earlier job by the state their run is in. ``job`` is its number, or the targets that it was the
    last one on."""

    job: int | str
    letters: str


@dataclass(frozen=True, slots=True)
class JobOutput:
    """Hosts of an earlier job in whose output the regular expression ``pattern`` is found."""

    job: int | str
    pattern: str


@dataclass(frozen=True, slots=True)
class JobAlike:
    """Hosts of an earlier job that ended like ``host`` and wrote the same."""

    job: int | str
    host: str


def state_letters(text: str) -> str:
    """Returns the letters of states given by letters or by names, such as ``f,u``, ``fu`` or ``failed,timed_out``.

    Raises ``ValueError`` with the word that is neither.
    """
    letters = ""
    for word in re.split(r"[\s,]+", text):
        name = word.lower().replace("-", "_")
        if name in STATE_NAMES:
            letters += STATE_NAMES[name]
        elif set(word) <= set(STATE_LETTERS) and word != "ok":
            # "ok" would be succeeded and timed out by its letters, which nobody means who writes the word.
            letters += word
        else:
            raise ValueError(word)
    return "".join(dict.fromkeys(letters))


def names_job(text: str) -> bool:
    """Returns whether an item is meant to name hosts of a job."""
    return _JOB_LIKE.match(text) is not None


def parse_job(text: str, at: int) -> JobHosts | JobOutput | JobAlike:
    """Returns what the item says. Raises Fault."""
    found = _JOB.fullmatch(text)
    if found is None or len(found["id"] or "") > MAX_JOB_DIGITS:
        hint = "Write failed:#1041, state(f,u):#1041, matched(/pattern/):#1041, same(host):#1041 or last:@web."
        raise Fault("bad_job", "This does not name the hosts of a job.", at, hint)
    job = int(found["id"]) if found["id"] else str(found["targets"])
    if found["pattern"] is not None:
        return JobOutput(job, _pattern(found["pattern"], at + len("matched(/")))
    if found["host"] is not None:
        if not found["host"].strip():
            raise Fault("bad_job", "A host is missing in the parentheses.", at, "Write same(web1):#1041.")
        return JobAlike(job, found["host"].strip())
    if text.startswith("failed:"):
        return JobHosts(job, FAILED_LETTERS)
    return JobHosts(job, STATE_LETTERS if found["states"] is None else _letters(found["states"], at))


def _letters(text: str, at: int) -> str:
    try:
        letters = state_letters(text.strip())
    except ValueError as error:
        message = Sentence("{error} is no state.", error=shown(str(error)))
        raise Fault("bad_job", message, at, Sentence("Write letters or names: {states}.", states=STATES_HINT)) from None
    if not letters:
        raise Fault(
            "bad_job",
            "A state is missing in the parentheses.",
            at,
            Sentence("Write letters or names: {states}.", states=STATES_HINT),
        )
    return letters


def _pattern(text: str, at: int) -> str:
    for index, char in enumerate(text):
        if not char.isprintable():
            message = Sentence("A regular expression here cannot have {char} in it.", char=shown_char(char))
            raise Fault("bad_regex", message, at + index, "Delete the invisible character.")
    if not text:
        raise Fault("bad_regex", "There is nothing between the slashes.", at, "Write matched(/pattern/):#1041.")
    return text
