"""What an order would touch: hosts, options, credentials and risk. Nothing is written, nothing connects."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from opsconsole.accounts.permissions import Actor, Permission
from opsconsole.credentials.choice import AMBIENT, KEY, PASSWORD, Choice
from opsconsole.errors import FieldError, Forbidden, Invalid, OpsconsoleError, TooLarge
from opsconsole.hostset import fold, table
from opsconsole.inventory import health
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.inherited import inherited
from opsconsole.inventory.models import Host
from opsconsole.inventory.ways import DIRECT, Way, find_ways
from opsconsole.jobs import alarmed, becoming, carried, earlier, loading
from opsconsole.jobs.executing import Executors, choose
from opsconsole.jobs.filling import example, fill
from opsconsole.jobs.guard import Risk, Tiers, assess
from opsconsole.jobs.limits import Caps
from opsconsole.jobs.locating import Found, find
from opsconsole.jobs.logins import Login, Logins
from opsconsole.jobs.options import MaxFailures, RunOptions
from opsconsole.jobs.order import Order
from opsconsole.jobs.placing import Located, place_hosts
from opsconsole.jobs.states import Priority, RunState
from opsconsole.jobs.what import What
from opsconsole.sentences import Sentence
from opsconsole.settings import Settings

_SAMPLE = 10
_WAYS_TOLD = 50
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\$?")
# What an order may choose of the run's options; the rest are the console's settings.
_CHOSEN = tuple(item.name for item in fields(RunOptions) if item.name in Order.__dataclass_fields__)


def chosen_of(order: Order) -> dict[str, Any]:
    """Returns what an order says of how it is carried out, by the names of ``RunOptions``; ``None`` is the usual."""
    return {name: getattr(order, name) for name in _CHOSEN}


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order with everything looked up. ``rows`` are the columns of its host runs, but for the job's id;
    ``refusals`` say why this person may not launch it."""

    command: str
    what: What
    options: RunOptions
    executors: Executors
    auth: Mapping[str, Any]
    priority: Priority
    found: Found
    ways: Sequence[Way]
    plan: list[dict[str, Any]] | None
    rows: list[dict[str, Any]]
    logins: list[Login]
    risk: Risk
    refusals: list[OpsconsoleError]

    @property
    def login_problems(self) -> dict[str, list[str]]:
        """Why hosts cannot be logged in to: each sentence with the hosts it is about."""
        return _problems(self.logins, self.found.located)


class Survey:
    """Looks up what orders mean on this console."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def resolve(self, session: Session, order: Order, actor: Actor) -> dict[str, Any]:
        """Returns the blast radius of an order as the JSON of ``POST /resolve``. Nothing connects.

        It need not have a command yet. Raises ``Invalid`` naming the field of each fault, with its column in
        ``targets``, ``exclude`` and ``waves``.
        """
        what, command = self._what_and_command(session, order, actor, asked_only=True)
        found = self._find(session, actor, order, suggest=True)
        resolution, located = found.resolution, found.located
        options = self._options(**chosen_of(order))
        count = len(located)
        executors = choose(self._settings, options, located, what)
        ways = self._ways(session, located, options, executors)
        rows = [self._place(i, item) for i, item in enumerate(located)]
        filled = fill(located, rows, command, what)
        risk, inventory, protected = self._risk(session, located, what.readable(command))
        by = _by_tag(located)
        listed = sum(item.entry is not None for item in located)
        unreachable = self._recently_unreachable(session, located)
        return {
            "count": count,
            "digest": resolution.digest,
            "folded": resolution.folded,
            "sample": [item.spec.label for item in located[:_SAMPLE]],
            **found.told(allowed=self._settings.allow_unlisted_hosts),
            **alarmed.told(alarmed.alarmed(session, self._settings, rows, ways, executors.of)),
            "excluded_count": len(resolution.excluded),
            "excluded": fold(spec.label for spec in resolution.excluded) if resolution.excluded else "",
            "duplicates": resolution.duplicates,
            "table": pasted.heading if (pasted := table(order.targets)) else None,
            "lines": sum(bool(line.strip()) for line in order.targets.splitlines()),
            "recent_unreachable": unreachable,
            "recent_unreachable_folded": fold(unreachable) if unreachable else "",
            "by": by,
            "production": self._tiers.split(by, count),
            "protected_count": protected,
            "jumps": _by_way(ways),
            "executor": executors.word,
            "inventory_share": round(listed / inventory, 4) if inventory else None,
            "risk": risk.to_json(),
            "worst_case": options.worst_case(count),
            "allowed_failures": options.allowed_failures(count),
            "waves": place_hosts(session, located, options, ways=ways).placement.plan,
            "concurrency": options.concurrency,
            **earlier.usual(session, command, count, options.concurrency, executors.word),
            "example": example(rows, filled, command, what),
        }

    def prepare(self, session: Session, order: Order, actor: Actor) -> Prepared:
        """Returns what the order means. Raises ``Invalid`` or ``TooLarge`` for one that has no meaning."""
        what, command = self._what_and_command(session, order, actor)
        options = self._options(**chosen_of(order))
        auth = self._auth_of(order)
        becoming.check(order, what, auth)
        priority = _priority(order.priority)
        found = self._find(session, actor, order)
        located = found.located
        executors = choose(self._settings, options, located, what)
        loading.check(what, options, executors)
        options = replace(options, simulation=executors.simulation)
        ways = self._ways(session, located, options, executors)
        places = place_hosts(session, located, options, ways=ways, caps=Caps.parse(self._settings.limits))
        placed, keys = places.placement, places.limit_keys
        logins = [
            login if executor is Executor.SSH else Login(None, executor.value)
            for login, executor in zip(Logins(session, self._settings, auth).of(located), executors.of, strict=True)
        ]
        policies = self._policies(session, located)
        rows = [
            self._run_row(i, item, auth, login)
            | {**policies[i], "jump": way.text, "rank": rank, "wave": wave, "limit_keys": limits}
            | self._executor_columns(executors.of[i])
            for i, (item, login, way, rank, wave, limits) in enumerate(
                zip(located, logins, ways, placed.rank, placed.wave, keys, strict=True)
            )
        ]
        becoming.check_stored(session, self._settings, what, located, rows)
        for row, values in zip(rows, fill(located, rows, command, what), strict=True):
            row |= {"variables": values, "step": what.steps[0].value if what.steps else None}
        return Prepared(
            command=command,
            what=what,
            options=options,
            executors=executors,
            auth=auth,
            priority=priority,
            found=found,
            ways=ways,
            plan=placed.plan,
            rows=rows,
            logins=logins,
            risk=self._risk(session, located, what.readable(command))[0],
            refusals=self._refusals(actor, priority, found, logins, executors),
        )

    def what_of(self, order: Order) -> What:
        """Returns how the order's command is run. Raises ``Invalid`` naming each field that has no meaning."""
        return What.of(order, max_stdin_bytes=self._settings.max_command_bytes)

    def _what_and_command(
        self, session: Session, order: Order, actor: Actor, *, asked_only: bool = False
    ) -> tuple[What, str]:
        """Returns how it is run and its text: of one that carries files, lines that say which. ``asked_only``: it need
        not be complete yet."""
        what = self.what_of(order)
        if not what.carries:
            return what, order.command if asked_only else self._checked_command(order.command)
        if order.command.strip():
            raise fault("command", "A job either runs a command or carries files: leave one of them out.")
        what = loading.with_files(session, what, actor)
        return what, carried.summary(what.push, what.pull)

    def _refusals(
        self, actor: Actor, priority: Priority, hosts: Found, logins: Sequence[Login], executors: Executors
    ) -> list[OpsconsoleError]:
        found: list[OpsconsoleError] = []
        if not actor.may(Permission.RUN):
            found.append(Forbidden("Your role or token may look at jobs but not run commands."))
        if executors.local and not actor.may(Permission.RUN_LOCAL):
            message = "Only admins may run commands on the workers' own machines."
            found.append(Forbidden(message, errors=[FieldError("executor", message, code="run_local")]))
        if priority is Priority.HIGH and not actor.may(Permission.HIGH_PRIORITY):
            message = "Only approvers and admins may give a job high priority. Launch it with normal priority."
            found.append(Forbidden(message, errors=[FieldError("priority", message, code="high_priority")]))
        if hosts.blocked(allowed=self._settings.allow_unlisted_hosts):
            unlisted = fold(spec.label for spec in hosts.unlisted)
            found.append(
                fault(
                    "targets",
                    Sentence("Not in the inventory: {hosts}", hosts=unlisted[:300]),
                    code="unknown_hosts",
                )
            )
        # What a host or a group says wrongly is no reason to keep the others waiting; what the person says is.
        asked = _problems([login if login.origin == "job" else None for login in logins], hosts.located)
        found += [
            fault(
                "credential",
                Sentence("{problem} Asked for: {hosts}", problem=problem, hosts=fold(names)[:300]),
                code="out_of_scope",
            )
            for problem, names in asked.items()
        ]
        return found

    def _find(self, session: Session, actor: Actor, order: Order, *, suggest: bool = False) -> Found:
        return find(session, actor, order, max_hosts=self._settings.max_targets, suggest=suggest)

    def _ways(
        self, session: Session, located: Sequence[Located], options: RunOptions, executors: Executors | None = None
    ) -> list[Way]:
        hosts = [(item.spec.name, item.entry) for item in located]
        ways = find_ways(session, hosts, chosen=options.jump, default=self._settings.jump)
        if executors is None:
            return ways
        return [way if executor is Executor.SSH else Way() for way, executor in zip(ways, executors.of, strict=True)]

    def _executor_columns(self, executor: Executor) -> dict[str, Any]:
        """Returns the columns of a run that its executor decides; without SSH there is no login and no host key."""
        if executor is Executor.SSH:
            return {"executor": executor.value}
        own = {"user": self._settings.own_user} if executor is Executor.LOCAL else {}
        return {"executor": executor.value, "host_key_policy": None, **own}

    def _policies(self, session: Session, located: Sequence[Located]) -> list[dict[str, Any]]:
        """Returns the column that says how each host's key is judged, where its host or the nearest group says it."""
        entries = [item.entry for item in located]
        asking = [entry.id for entry in entries if entry is not None and entry.host_key_policy is None]
        groups = inherited(session, asking, "host_key_policy")
        of_group = {host_id: found.value for host_id, found in groups.items()}
        own = [entry and (entry.host_key_policy or of_group.get(entry.id)) for entry in entries]
        return [{"host_key_policy": policy} for policy in own]

    def _checked_command(self, command: str) -> str:
        if not command.strip():
            raise fault("command", "Write a command to run.", code="empty")
        if "\0" in command:
            raise fault("command", "A command cannot hold a NUL byte.")
        size = len(command.encode(errors="surrogatepass"))
        if size > self._settings.max_command_bytes:
            limit = self._settings.max_command_bytes
            message = Sentence("The command has {size:,} bytes, the limit is {limit:,}.", size=size, limit=limit)
            raise TooLarge(message, errors=[FieldError("command", message, code="too_large")])
        try:
            command.encode()
        except UnicodeEncodeError:
            raise fault("command", "The command is not valid text.") from None
        # A form sends CRLF, which a shell would take as part of the last word of each line.
        return command.replace("\r\n", "\n")

    def _options(self, **chosen: Any) -> RunOptions:
        defaults = {
            "concurrency": self._settings.concurrency,
            "connect_timeout": self._settings.connect_timeout,
            "command_timeout": self._settings.command_timeout,
            "kill_grace": self._settings.kill_grace,
        }
        given = {name: value for name, value in chosen.items() if value is not None}
        if "max_failures" in given:
            given["max_failures"] = str(MaxFailures.parse(str(given["max_failures"])))
        return RunOptions(**{**defaults, **given}).checked(max_concurrency=self._settings.max_concurrency)

    def _options_of(self, order: Order) -> RunOptions:
        return self._options(**{name: getattr(order, name) for name in _CHOSEN})

    def _auth_of(self, order: Order) -> dict[str, Any]:
        choice = Choice.of_order(order.credential)
        kind, name = choice.kind, choice.name
        if kind == AMBIENT and not self._settings.use_ambient_keys:
            raise fault("credential", "This console does not use its workers' own keys (setting use_ambient_keys).")
        if kind == KEY and name not in self._settings.key_files:
            raise fault("credential", Sentence("There is no key file named {name!r} (setting key_files).", name=name))
        if kind == PASSWORD and order.password is None:
            raise fault("password", "Give the password: none is kept from one job to the next.", code="missing")
        if kind != PASSWORD and order.password is not None:
            raise fault("password", "A password goes with the credential 'password', and only with it.")
        if order.password is not None and not order.password.reveal():
            raise fault("password", "The password is empty.", code="empty")
        user = order.user or None
        if user is not None and not _USER.fullmatch(user):
            raise fault("user", "Not a user name: letters, digits, dot, dash and underscore only.")
        return {"kind": kind, "name": name, "user": user}

    def _place(self, i: int, item: Located) -> dict[str, Any]:
        spec, entry = item.spec, item.entry
        return {
            "i": i,
            "host": spec.label,
            "address": (entry.address if entry else None) or spec.name,
            "port": spec.port or (entry.port if entry else None) or self._settings.ssh_port,
        }

    def _run_row(self, i: int, item: Located, auth: Mapping[str, Any], login: Login) -> dict[str, Any]:
        spec, entry = item.spec, item.entry
        named = spec.user or auth["user"] or login.user
        user = named or (entry.user if entry else None) or self._settings.remote_user
        return {
            **self._place(i, item),
            "user": user,
            "credential": str(login.choice) if login.choice and login.origin != "worker" else None,
            "state": RunState.PENDING.value,
            "ver": 1,
        }

    @property
    def _tiers(self) -> Tiers:
        return Tiers(self._settings.tier_hosts, self._settings.tier_share / 100, self._settings.protected_tags)

    def _risk(self, session: Session, located: Sequence[Located], command: str) -> tuple[Risk, int, int]:
        """Returns the risk, the number of known hosts and how many of the order's are in production."""
        inventory = session.scalar(select(func.count()).select_from(Host)) or 0
        tiers = self._tiers
        protected = sum(1 for item in located if item.entry and tiers.protects(item.entry.tags))
        listed = sum(1 for item in located if item.entry is not None)
        risk = assess(
            len(located), listed=listed, protected=protected, inventory=inventory, command=command, tiers=tiers
        )
        return risk, inventory, protected

    def _recently_unreachable(self, session: Session, located: Sequence[Located]) -> list[str]:
        """Hosts that could not be reached, or did not let us in, when that was tried last."""
        names = {item.spec.name.lower() for item in located}
        shut = health.not_let_in(session, names)
        return sorted(item.spec.label for item in located if item.spec.name.lower() in shut)


def _problems(logins: Sequence[Login | None], located: Sequence[Located]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for login, item in zip(logins, located, strict=True):
        if login is not None and login.problem is not None:
            found.setdefault(login.problem, []).append(item.spec.label)
    return found


def fault(field: str, message: str, *, code: str = "invalid") -> Invalid:
    """Returns the error for one faulty field of an order."""
    return Invalid(message, errors=[FieldError(field, message, code=code)])


def _priority(word: str) -> Priority:
    try:
        return Priority[word.upper()]
    except KeyError:
        raise fault("priority", "Choose low, normal or high.") from None


def _by_tag(located: Sequence[Located]) -> dict[str, dict[str, int]]:
    split: dict[str, dict[str, int]] = {}
    for item in located:
        for key, value in (item.entry.tags if item.entry else {}).items():
            counts = split.setdefault(key, {})
            counts[str(value)] = counts.get(str(value), 0) + 1
    return split


def _by_way(ways: Sequence[Way]) -> dict[str, int]:
    """Returns how many hosts are reached by each way, none when all are reached directly."""
    counts = Counter(way.text or DIRECT for way in ways)
    return {} if set(counts) <= {DIRECT} else dict(counts.most_common(_WAYS_TOLD))
