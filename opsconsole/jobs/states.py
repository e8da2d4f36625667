"""States of a host run and of a job, and which change is allowed. Pure: the tables of docs/architecture.md."""

from enum import IntEnum, StrEnum


class RunState(StrEnum):
    """Where the command stands on one host."""

    PENDING = "pending"
    QUEUED = "queued"
    CONNECTING = "connecting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    LOST = "lost"

    @property
    def letter(self) -> str:
        """The one-letter code of the JSON and SSE contracts; pending and queued share ``q``."""
        return _LETTERS[self]

    @property
    def terminal(self) -> bool:
        """True when nothing more will happen by itself."""
        return self in TERMINAL


class JobState(StrEnum):
    """Where a whole job stands."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """True when no run of the job is active any more and the verdict stands."""
        return self in {JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED}


class StopReason(StrEnum):
    """Why a job ended before all its hosts had their turn."""

    THRESHOLD = "threshold"
    CANARY = "canary"
    OPERATOR = "operator"
    DEADLINE = "deadline"


class PauseReason(StrEnum):
    """Why a job is paused: a person asked for it, or it waits for a person between two waves."""

    OPERATOR = "operator"
    WAVE = "wave"
    WAVE_FAILED = "wave_failed"
    CANARY = "canary"


class Milestone(StrEnum):
    """What the console itself decides about a job on its way."""

    WAVE = "wave"
    STEP = "step"
    GATE = "gate"
    STOP = "stop"


class Priority(IntEnum):
    """Whose turn it is when slots are scarce: the higher first."""

    LOW = -1
    NORMAL = 0
    HIGH = 1


class Reason(StrEnum):
    """The detail behind a state, stable for programs."""

    DNS = "dns"
    DENIED_NETWORK = "denied_network"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    BANNER_TIMEOUT = "banner_timeout"
    PROTOCOL = "protocol"
    AUTH = "auth"
    HOST_KEY_UNKNOWN = "host_key_unknown"
    HOST_KEY_CHANGED = "host_key_changed"
    HOST_KEY_REVOKED = "host_key_revoked"
    HOST_CERTIFICATE = "host_certificate"
    CREDENTIAL = "credential"
    JUMP = "jump"
    EXEC_REFUSED = "exec_refused"
    DEVICE_FAULT = "device_fault"
    RUN_AS = "run_as"
    CHECK = "check"
    VERIFY = "verify"
    NOTHING_TO_DO = "nothing_to_do"
    BETWEEN_STEPS = "between_steps"
    EXIT_STATUS = "exit_status"
    EXIT_SIGNAL = "exit_signal"
    COMMAND_TIMEOUT = "command_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    CONNECTION_LOST = "connection_lost"
    VANISHED = "vanished"
    WORKER_LOST = "worker_lost"
    BEFORE_START = "before_start"
    KILLED = "killed"
    KILL_UNCONFIRMED = "kill_unconfirmed"
    WORKER_SHUTDOWN = "worker_shutdown"
    NOT_PERMITTED = "not_permitted"
    FROZEN = "frozen"
    THRESHOLD = "threshold"
    CANARY = "canary"
    JOB_TIMEOUT = "job_timeout"
    INTERNAL = "internal"


class BrokerFault(StrEnum):
    """What a worker finds wrong with the broker."""

    UNREACHABLE = "unreachable"
    FULL = "full"
    EVICTS = "evicts"


ACTIVE = frozenset({RunState.PENDING, RunState.QUEUED, RunState.CONNECTING, RunState.RUNNING})
TERMINAL = frozenset(set(RunState) - ACTIVE)
# States that hold one of the job's slots.
IN_FLIGHT = frozenset({RunState.QUEUED, RunState.CONNECTING, RunState.RUNNING})
# What a failure budget counts.
FAILURES = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.UNREACHABLE, RunState.LOST})

_LETTERS = {
    RunState.PENDING: "q",
    RunState.QUEUED: "q",
    RunState.CONNECTING: "c",
    RunState.RUNNING: "r",
    RunState.SUCCEEDED: "o",
    RunState.FAILED: "f",
    RunState.TIMED_OUT: "k",
    RunState.UNREACHABLE: "u",
    RunState.CANCELLED: "x",
    RunState.SKIPPED: "s",
    RunState.LOST: "l",
}
# The order of the contract's ``counts`` object.
LETTERS = "qcrofkuxsl"
# Trouble first, then what never ran, then what went well, then what is still to come: of bars and tables.
BAR_ORDER = "fkulxsorcq"

_RUN_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.PENDING: frozenset({RunState.QUEUED, RunState.CANCELLED, RunState.SKIPPED}),
    # Back to pending: a pause takes back what no worker has claimed (docs/adr/0011).
    RunState.QUEUED: frozenset({RunState.CONNECTING, RunState.PENDING, RunState.CANCELLED, RunState.SKIPPED}),
    # Back to pending: nothing ran, and the connection is tried again later; to skipped: the job was stopped meanwhile.
    RunState.CONNECTING: frozenset(
        {
            RunState.RUNNING,
            RunState.UNREACHABLE,
            RunState.QUEUED,
            RunState.PENDING,
            RunState.CANCELLED,
            RunState.SKIPPED,
        }
    ),
    # Back to pending: a step was passed, and the next one waits for the other hosts of the wave.
    RunState.RUNNING: frozenset(
        {
            RunState.SUCCEEDED,
            RunState.FAILED,
            RunState.TIMED_OUT,
            RunState.LOST,
            RunState.CANCELLED,
            RunState.PENDING,
        }
    ),
    # A late result from the very worker that started the command may still resolve ``lost`` (safety protocol P8).
    RunState.LOST: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.CANCELLED}),
}

_VERDICTS = frozenset({JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED})

_JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.STOPPING}),
    JobState.RUNNING: frozenset({JobState.PAUSED, JobState.STOPPING, *_VERDICTS}),
    # What was in flight at the pause may turn out to be the last of the job.
    JobState.PAUSED: frozenset({JobState.RUNNING, JobState.STOPPING, *_VERDICTS}),
    JobState.STOPPING: frozenset({JobState.CANCELLED, JobState.FAILED}),
}


def run_move_allowed(source: RunState, target: RunState) -> bool:
    """Returns whether a host run may change from ``source`` to ``target``."""
    return target in _RUN_MOVES.get(source, frozenset())


def sources_of(target: RunState) -> frozenset[RunState]:
    """Returns every state from which ``target`` may be reached."""
    return frozenset(source for source, targets in _RUN_MOVES.items() if target in targets)


def job_move_allowed(source: JobState, target: JobState) -> bool:
    """Returns whether a job may change from ``source`` to ``target``."""
    return target in _JOB_MOVES.get(source, frozenset())


def states_of_letters(letters: str) -> frozenset[RunState]:
    """Returns the run states that the contract letters stand for; unknown letters are a ``KeyError``."""
    by_letter: dict[str, set[RunState]] = {letter: set() for letter in LETTERS}
    for state, letter in _LETTERS.items():
        by_letter[letter].add(state)
    return frozenset(state for letter in letters for state in by_letter[letter])


def verdict(ok: int, cancelled: int, total: int, stop_reason: StopReason | None) -> JobState:
    """Returns the final state of a job with ``ok`` of ``total`` hosts succeeded and ``cancelled`` of them cancelled.

    A person's cancel is ``cancelled``, and so is a job whose every host was cancelled; a crossed threshold or deadline
    is ``failed``; otherwise all ok is ``succeeded``, some ok is ``partial``, none ok is ``failed``.
    """
    if stop_reason is StopReason.OPERATOR or cancelled == total:
        return JobState.CANCELLED
    if stop_reason is not None:
        return JobState.FAILED
    if ok == total:
        return JobState.SUCCEEDED
    return JobState.PARTIAL if ok else JobState.FAILED
