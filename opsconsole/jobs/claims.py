"""What a worker needs to know of a run it claimed: where, as whom, with what, for how long.

Longer than 400 lines because all of it is read in one transaction by one reader, which remembers a job.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.accounts.models import User
from opsconsole.accounts.permissions import Actor, Permission, Role
from opsconsole.credentials.choice import AMBIENT, AUTO, KEY, PASSWORD, STORED, Choice
from opsconsole.credentials.cipher import Cipher
from opsconsole.credentials.vault import Vault
from opsconsole.errors import Unavailable
from opsconsole.hostset import parse_host
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.profiles import profiles_of
from opsconsole.jobs import becoming, loading
from opsconsole.jobs.authentication import Authenticator, Login, Stored
from opsconsole.jobs.becoming import RUN_AS_SECRET
from opsconsole.jobs.executing import executor_of
from opsconsole.jobs.freezing import frozen_since
from opsconsole.jobs.launch import PASSWORD_SECRET
from opsconsole.jobs.models import HostRun, Job
from opsconsole.jobs.options import RunOptions
from opsconsole.jobs.ports import Auth, Become, Hop, Limits, Profile, RemoteCommand, Secret, Target, Unreached
from opsconsole.jobs.raw import Manners, RawCommand
from opsconsole.jobs.route import Route, Step, read_routes
from opsconsole.jobs.similarity import Own
from opsconsole.jobs.simulation import Simulation
from opsconsole.jobs.starting import Start, start_of
from opsconsole.jobs.states import Reason
from opsconsole.jobs.transfer import Transfer
from opsconsole.jobs.trust import NO_TRUST, Place, Trust, TrustReader
from opsconsole.jobs.variables import render
from opsconsole.jobs.what import RunAs, What
from opsconsole.sentences import Sentence
from opsconsole.settings import Settings

_JOBS_REMEMBERED = 64
_REMOTE_LIMIT_SLACK = 15
_NO_LIMIT_SECONDS = 7 * 86400
# What the owner of a job must still be allowed for its runs to start.
_OF_RUNS = (Permission.RUN, Permission.RUN_LOCAL)


@dataclass(frozen=True, slots=True)
class Claim:
    """One run in this worker's hands. ``fence`` proves it; ``problem`` is set when there is no way to log in.

    ``mark`` is what its processes on the host are known by. A host that cannot be reached is tried ``retries`` times
    more, the first time after ``retry_pause`` seconds.
    A ``durable`` command outlives its connection; ``ran_seconds`` is set when it was started over an earlier one, by
    another worker. With ``raw`` that is given to the host instead of ``command``; with a ``transfer`` files are
    carried, and no command is run.
    """

    run_id: int
    job_id: int
    i: int
    fence: int
    attempt: int
    target: Target
    auth: Auth
    limits: Limits
    start: Start
    mark: str
    problem: Unreached | None = None
    retries: int = 0
    retry_pause: float = 0.0
    durable: bool = False
    ran_seconds: float | None = None
    become: Become | None = None
    raw: RawCommand | None = None
    transfer: Transfer | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All secrets that this run makes use of; none of them is to be seen in its output."""
        other = self.become.password if self.become is not None else None
        hops = (secret for hop in self.target.via for secret in hop.auth.secrets)
        return (*self.auth.secrets, *hops, *([other] if other is not None else []))

    @property
    def own(self) -> Own:
        """The host's names, which its output may hold."""
        return Own((self.target.host, self.target.address))

    def command(self) -> RemoteCommand:
        """Returns what to run, with the host's own limit of time: it lies behind ours and counts when we are gone."""
        limit = int(self.limits.command or _NO_LIMIT_SECONDS) + int(self.limits.grace) + _REMOTE_LIMIT_SLACK
        return RemoteCommand(self.mark, self.start.script, limit, int(self.limits.grace) or 1, become=self.become)


@dataclass(frozen=True, slots=True)
class _JobFacts:
    command: str
    what: What
    start: Start
    options: RunOptions
    kind: str
    name: str | None
    password: Secret | None
    run_as_password: Secret | None
    problem: Unreached | None
    simulation: Simulation


class Delivered(NamedTuple):
    """What is read of a run's row when its message arrives; the rest of the row is not needed to carry it out.

    ``mark`` is the one that a claim of it gives to the command.
    """

    id: int
    job_id: int
    i: int
    host: str
    address: str
    port: int
    user: str
    credential: str | None
    jump: str | None
    host_key_policy: str | None
    variables: dict[str, str] | None
    executor: str
    step: str | None
    so_far: dict[str, Any] | None
    fence: int
    attempt: int
    mark: str


# The jump hosts on the way, or why it cannot be gone.
_Way = tuple[tuple[Hop, ...], Unreached | None]
_DELIVERED = tuple(getattr(HostRun, name) for name in Delivered._fields if name != "mark")


class ClaimReader:
    """Reads claims for one worker process and remembers what is the same for all runs of a job."""

    def __init__(
        self, settings: Settings, cipher: Cipher, *, worker_id: Callable[[], str], worker_name: str, home: Path
    ) -> None:
        self._settings = settings
        self._vault = Vault(cipher)
        self._authenticator = Authenticator(settings, self._vault)
        self._worker_id = worker_id
        self.worker_name = worker_name
        self._trust = TrustReader(settings, home)
        self._jobs: dict[int, _JobFacts] = {}
        self._permitted: dict[int, frozenset[Permission]] = {}
        self._frozen: dict[int, str] = {}

    @property
    def worker_id(self) -> str:
        """The id of this worker process's row."""
        return self._worker_id()

    def read(self, session: Session, deliveries: Sequence[tuple[int, int]]) -> dict[int, Delivered]:
        """Returns the rows of the delivered run ids, and finds out which of them are no longer to be run."""
        if not deliveries:
            return {}
        query = select(*_DELIVERED).where(HostRun.id.in_([run_id for run_id, _ in deliveries]))
        rows = session.execute(query).all()
        runs = {row.id: Delivered._make((*row, _new_mark(row.id, row.fence + 1))) for row in rows}
        self._permitted = self._read_permissions(session, {run.job_id for run in runs.values()})
        self._frozen = frozen_since(session, {run.id: run.host for run in runs.values()})
        return runs

    def refusal(self, run: Delivered) -> dict[str, Any] | None:
        """Returns the reason and detail of a run that nothing may be started for, as of the last ``read``: the job's
        owner may no longer run commands, or the host was frozen since. ``None`` when it may be claimed."""
        needed = {Permission.RUN, *([Permission.RUN_LOCAL] if run.executor == Executor.LOCAL else [])}
        if not needed <= self._permitted.get(run.job_id, frozenset()):
            return {"reason": Reason.NOT_PERMITTED.value}
        if run.id in self._frozen:
            return {"reason": Reason.FROZEN.value, "detail": self._frozen[run.id]}
        return None

    def claims(self, session: Session, runs: Sequence[Delivered], now: datetime) -> dict[int, Claim]:
        """Returns the claims of ``runs``, which this transaction has just moved to connecting."""
        if not runs:
            return {}
        for job_id in {run.job_id for run in runs}:
            if job_id not in self._jobs:
                self._remember_job(session, job_id)
        routes = read_routes(session, self._settings, {run.jump for run in runs})
        # Where nothing is connected to no host key is looked up, nor taken over, and no credential opened.
        dialled = [run for run in runs if run.executor == Executor.SSH]
        places = {run.id: Place(run.host, run.address, run.port, run.host_key_policy) for run in dialled}
        on_the_way = [step.place for route in routes.values() for step in route]
        trusted = self._trust.read(session, [*places.values(), *on_the_way], now)
        trusts = {run_id: trusted[place] for run_id, place in places.items()}
        choices = [self._choice(run) for run in dialled]
        choices += [self._hop_choice(run, step) for run in runs for step in routes[run.jump]]
        choices += becoming.choices([self._jobs[run.job_id].what for run in runs])
        stored = self._authenticator.stored(session, choices, now=now)
        names = {run.id: parse_host(run.host).name.lower() for run in runs}
        profiles = profiles_of(session, names.values())
        ways = {run.id: self._hops(partial(self._hop_choice, run), routes[run.jump], trusted, stored) for run in runs}
        return {
            run.id: self._claim(
                run, trusts.get(run.id, NO_TRUST), ways[run.id], stored, profiles.get(names[run.id], Profile.MODERN)
            )
            for run in runs
        }

    def _read_permissions(self, session: Session, job_ids: set[int]) -> dict[int, frozenset[Permission]]:
        query = select(Job.id, User).join(User, User.id == Job.created_by_id).where(Job.id.in_(job_ids))
        return {
            job_id: frozenset(filter(Actor(user.id, user.name, Role(user.role)).may, _OF_RUNS))
            for job_id, user in session.execute(query.execution_options(populate_existing=True))
            if user.disabled_at is None
        }

    def _remember_job(self, session: Session, job_id: int) -> None:
        job = session.get_one(Job, job_id)
        password, problem = None, None
        if job.auth["kind"] == "password":
            password, problem = self._open_password(session, job_id)
        while len(self._jobs) >= _JOBS_REMEMBERED:
            self._jobs.pop(next(iter(self._jobs)))
        options = RunOptions.from_json(job.options)
        what = What.from_json(job.what)
        self._jobs[job_id] = _JobFacts(
            job.command,
            what,
            start_of(job.command, what, None, None, None),
            options,
            job.auth["kind"],
            job.auth["name"],
            password,
            self._run_as_password(session, job_id, what),
            problem,
            Simulation.parse(options.simulation),
        )

    def _run_as_password(self, session: Session, job_id: int, what: What) -> Secret | None:
        if what.run_as_credential != RunAs.TYPED:
            return None
        try:
            return self._vault.open_job_secret(session, job_id, RUN_AS_SECRET)
        except Unavailable:
            return None

    def _open_password(self, session: Session, job_id: int) -> tuple[Secret | None, Unreached | None]:
        try:
            password = self._vault.open_job_secret(session, job_id, PASSWORD_SECRET)
        except Unavailable as error:
            return None, Unreached(Reason.CREDENTIAL, error.detail)
        if password is None:
            return None, Unreached(Reason.CREDENTIAL, "The password typed for this job is no longer stored.")
        return password, None

    def _claim(self, run: Delivered, trust: Trust, way: _Way, stored: Stored, profile: Profile) -> Claim:
        job = self._jobs[run.job_id]
        auth, problem = self._auth(run, job, stored)
        hops, hop_problem = way
        executor = Executor(run.executor)
        become, become_problem = None, None
        if executor is not Executor.SIMULATE:
            become, become_problem = becoming.become(
                job.what, job.run_as_password, auth, run.host, run.user, self._authenticator, stored
            )
        target = Target(
            host=run.host,
            address=run.address,
            port=run.port,
            user=run.user,
            known_keys=trust.known_keys,
            host_key_policy=trust.host_key_policy,
            authorities=trust.authorities,
            revoked_keys=trust.revoked_keys,
            via=hops,
            profile=profile,
            executor=executor,
            simulation=job.simulation if executor is Executor.SIMULATE else None,
        )
        options = job.options
        limits = Limits(options.connect_timeout, options.command_timeout, options.idle_timeout, options.kill_grace)
        # The rows were read before the claim raised the fence in this same transaction.
        fence = run.fence + 1
        return Claim(
            run_id=run.id,
            job_id=run.job_id,
            i=run.i,
            fence=fence,
            attempt=run.attempt,
            target=target,
            auth=auth,
            limits=limits,
            start=_start(job, run),
            mark=run.mark,
            problem=trust.blocked or problem or hop_problem or become_problem,
            retries=options.retries,
            retry_pause=options.retry_pause,
            durable=options.durable,
            become=become,
            raw=self._raw(job, run) if job.what.raw else None,
            transfer=loading.transfer(self._settings, job.command, job.what, run) if job.what.carries else None,
        )

    def _raw(self, job: _JobFacts, run: Delivered) -> RawCommand:
        said = self._settings
        manners = Manners(said.raw_prompt, said.raw_pager, said.raw_fail_match)
        text = job.command if run.variables is None else render(job.command, job.what, run.variables)[0]
        return RawCommand(text, job.what.raw_typed, manners)

    def _auth(self, run: Delivered, job: _JobFacts, stored: Stored) -> tuple[Auth, Unreached | None]:
        if run.executor != Executor.SSH:
            return Auth(identity=run.executor), None
        if job.kind == PASSWORD:
            return Auth(identity=f"the password typed for job {run.job_id}", password=job.password), job.problem
        return self._authenticator.login(self._choice(run), run.host, run.user, stored)

    def _choice(self, run: Delivered) -> Choice:
        """Returns what the job says, else what was found for its host at launch."""
        job = self._jobs[run.job_id]
        if job.kind != AUTO:
            return Choice(job.kind, job.name)
        return Choice.of_host(run.credential) if run.credential is not None else Choice(AMBIENT)

    def _hop_choice(self, run: Delivered, step: Step) -> Choice:
        """Returns what a jump host is logged in to with: its own credential, never what was typed for the hosts behind
        it; one that has none is shown the key that was chosen for the job, or what the settings say."""
        job = self._jobs[run.job_id]
        if step.choice is None and job.kind == KEY:
            return Choice(job.kind, job.name)
        return self._usual_hop_choice(step)

    def _usual_hop_choice(self, step: Step) -> Choice:
        if step.choice is not None:
            return step.choice
        return Choice.of_host(self._settings.credential) if self._settings.credential else Choice(AMBIENT)

    def target(
        self, session: Session, place: Place, jump: str | None, now: datetime
    ) -> tuple[Target, Unreached | None]:
        """Returns where a place is to be looked at without logging in to it, and why it cannot be if so."""
        route = read_routes(session, self._settings, {jump})[jump]
        trusted = self._trust.read(session, [place, *(step.place for step in route)], now)
        stored = self._authenticator.stored(session, map(self._usual_hop_choice, route), now=now)
        hops, problem = self._hops(self._usual_hop_choice, route, trusted, stored)
        trust = trusted[place]
        name = parse_host(place.host).name.lower()
        profile = profiles_of(session, [name]).get(name, Profile.MODERN)
        keys, policy = trust.known_keys, trust.host_key_policy
        user = self._settings.remote_user
        target = Target(place.host, place.address, place.port, user, keys, policy, profile=profile, via=hops)
        target = replace(target, authorities=trust.authorities, revoked_keys=trust.revoked_keys)
        target = replace(target, executor=executor_of(session, self._settings, name))
        return target, trust.blocked or problem

    def login(
        self, session: Session, choice: Choice, host: str, user: str, what: What, now: datetime
    ) -> tuple[Auth, Become | None, Unreached | None]:
        """Returns what ``host`` is logged in to with as ``user``, the account to become then, and why that cannot be if
        so."""
        stored = self._authenticator.stored(session, [choice, *becoming.choices([what])], now=now)
        auth, problem = self._authenticator.login(choice, host, user, stored)
        wanted, other = becoming.become(what, None, auth, host, user, self._authenticator, stored)
        return auth, wanted, problem or other

    def _hops(
        self, choose: Callable[[Step], Choice], route: Route, trusted: Mapping[Place, Trust], stored: Stored
    ) -> _Way:
        hops: list[Hop] = []
        for step in route:
            trust = trusted[step.place]
            choice = choose(step)
            user = step.user or self._authenticator.user_of(choice, stored)
            user = user or self._settings.remote_user
            auth, problem = self._hop_login(choice, step, user, stored)
            problem = trust.blocked or problem
            if problem is not None:
                return (), Unreached(
                    Reason.JUMP, Sentence("Jump host {host}: {what}", host=step.host, what=problem.detail)
                )
            keys, policy = trust.known_keys, trust.host_key_policy
            hop = Hop(step.host, step.address, step.port, user, auth, keys, policy, step.profile)
            hops.append(replace(hop, authorities=trust.authorities, revoked_keys=trust.revoked_keys))
        return tuple(hops), None

    def _hop_login(self, choice: Choice, step: Step, user: str, stored: Stored) -> Login:
        if choice.kind == STORED and step.port != step.usual_port:
            # Anybody with an account on the jump host may listen on another port of it.
            text = Sentence(
                "The credential {name!r} is for port {usual_port} of this host alone.",
                name=choice.name,
                usual_port=step.usual_port,
            )
            return Auth(identity=f"credential {choice.name}"), Unreached(Reason.CREDENTIAL, text)
        return self._authenticator.login(choice, step.host, user, stored)


def _start(job: _JobFacts, run: Delivered) -> Start:
    """Returns what the host is given: the same for all, unless the order has variables or goes step by step."""
    if run.variables is None and not job.what.in_lockstep:
        return job.start
    return start_of(job.command, job.what, run.variables, run.step, run.so_far)


def _new_mark(run_id: int, fence: int) -> str:
    """Returns a mark for the command of one claim.

    Two consoles, or one and its restored copy, may give a host equal runs and fences; what looks for a run by its mark,
    or ends it, must not meet the other's. Hence the random part.
    """
    return f"{run_id}-{fence}.{secrets.token_hex(4)}"
