"""Running as another account than the login's: what an order may say of it, and what a claimed run does it with."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.credentials.choice import AMBIENT, KEY, STORED, Choice
from opsconsole.credentials.kinds import Kind
from opsconsole.credentials.models import Credential
from opsconsole.errors import FieldError, Invalid
from opsconsole.hostset import fold
from opsconsole.jobs.authentication import Authenticator, Stored
from opsconsole.jobs.logins import Logins
from opsconsole.jobs.order import Order
from opsconsole.jobs.placing import Located
from opsconsole.jobs.ports import Auth, Become, BecomeMethod, Secret, Unreached
from opsconsole.jobs.states import Reason
from opsconsole.jobs.what import RunAs, What
from opsconsole.sentences import Sentence
from opsconsole.settings import Settings

# The name under which a job's secret is kept.
RUN_AS_SECRET = "run_as_password"  # noqa: S105 - a name, not a secret.


def check(order: Order, what: What, auth: Mapping[str, Any]) -> None:
    """Raises ``Invalid`` when the password of another account is missing, or given and not used."""
    typed = order.run_as_password is not None
    if what.run_as_credential == RunAs.TYPED and not (order.run_as_password and order.run_as_password.reveal()):
        raise _fault(RUN_AS_SECRET, "Give the password: none is kept from one job to the next.", code="missing")
    if typed and what.run_as_credential != RunAs.TYPED:
        raise _fault(RUN_AS_SECRET, "A password goes with run_as and run_as_credential 'password', and only with them.")
    if what.run_as_credential == RunAs.LOGIN and auth["kind"] in {KEY, AMBIENT}:
        raise _fault("run_as_credential", "The login has no password here: it is made with a key.")


def check_stored(
    session: Session, settings: Settings, what: What, located: Sequence[Located], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Raises ``Invalid`` when a stored credential would be aimed at hosts or accounts that it is not for."""
    choice = _stored(what)
    if choice is None:
        return
    kind = session.scalar(select(Credential.kind).where(Credential.name == choice.name))
    if kind not in {None, Kind.PASSWORD, Kind.EXTERNAL}:
        message = Sentence(
            "The credential {name!r} is no password: {run_as_method} takes nothing else.",
            name=choice.name,
            run_as_method=what.run_as_method or "sudo",
        )
        raise _fault("run_as_credential", message)
    logins = Logins(session, settings, {"kind": STORED, "name": choice.name, "user": None}).of(located)
    for login, row in zip(logins, rows, strict=True):
        whose = _whose(what, row["user"])
        if login.problem is not None:
            raise _fault(
                "run_as_credential", Sentence("{hosts}: {problem}", hosts=fold([row["host"]]), problem=login.problem)
            )
        if login.user not in {None, whose}:
            raise _fault(
                "run_as_credential",
                Sentence("The credential {name!r} is for the user {user} alone.", name=choice.name, user=login.user),
            )


def choices(whats: Sequence[What]) -> list[Choice]:
    """Returns the stored credentials that other accounts are reached with."""
    return [choice for choice in map(_stored, whats) if choice is not None]


def become(
    what: What, typed: Secret | None, auth: Auth, host: str, user: str, authenticator: Authenticator, stored: Stored
) -> tuple[Become | None, Unreached | None]:
    """Returns the account that a run on ``host`` with the login ``user`` is for, and the problem if there is one.

    ``typed`` is the password that was given with the job.
    """
    if what.run_as is None:
        return None, None
    wanted = Become(what.run_as, BecomeMethod(what.run_as_method or BecomeMethod.SUDO))
    choice, problem = _stored(what), None
    match what.run_as_credential:
        case RunAs.TYPED:
            password, missing = typed, "The password typed for this job is no longer stored."
        case RunAs.LOGIN:
            password, missing = (
                auth.password,
                "The login has no password that could be given to become another account.",
            )
        case _ if choice is not None:
            other, problem = authenticator.login(choice, host, _whose(what, user), stored)
            password, missing = other.password, f"The credential {choice.name!r} is no password."
        case _:
            return wanted, None
    if problem is None and password is None:
        problem = Unreached(Reason.CREDENTIAL, missing)
    return Become(wanted.user, wanted.method, password), problem


def _stored(what: What) -> Choice | None:
    choice = Choice.of_host(what.run_as_credential or "")
    return choice if choice.kind == STORED else None


def _whose(what: What, user: str) -> str:
    """Returns whose password it is: sudo asks for that of the login, su for that of the other account."""
    return what.run_as if what.run_as is not None and what.run_as_method == BecomeMethod.SU else user


def _fault(field: str, message: str, *, code: str = "invalid") -> Invalid:
    return Invalid(message, errors=[FieldError(field, message, code=code)])
