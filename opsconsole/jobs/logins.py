"""What each host of an order is logged in to with: the nearest of those that say so counts, and may not be aimed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from opsconsole.credentials import scope
from opsconsole.credentials.choice import AMBIENT, AUTO, KEY, PASSWORD, STORED, Choice
from opsconsole.credentials.models import Credential
from opsconsole.inventory.executor import Executor
from opsconsole.inventory.inherited import Inherited, inherited
from opsconsole.inventory.resolver import InventoryResolver
from opsconsole.jobs.placing import Located
from opsconsole.sentences import Sentence
from opsconsole.settings import Settings


@dataclass(frozen=True, slots=True)
class Login:
    """What one host is logged in to with.

    ``choice`` is none for the password typed for the job. ``origin`` is who said so: ``job``, ``host``,
    ``group <name>``, ``setting`` or ``worker``; ``local`` and ``simulate`` where there is no login.
    ``user`` is the remote user whom the credential is for. ``problem`` is
    one sentence, set when the host cannot be logged in to so.
    """

    choice: Choice | None
    origin: str
    user: str | None = None
    problem: str | None = None

    @property
    def words(self) -> str | None:
        """Names it for people, ``None`` when there is nothing to log in with."""
        if self.problem is not None or self.origin in {Executor.LOCAL, Executor.SIMULATE}:
            return None
        if self.choice is None:
            return "the password typed for this job"
        return {KEY: f"key {self.choice.name}", STORED: f"credential {self.choice.name}"}.get(
            self.choice.kind, "own keys"
        )


class Logins:
    """Decides for all hosts of one order.

    In this order: what the job says, the host, the nearest of its groups, the setting ``credential``, and last the
    worker's own keys.
    """

    def __init__(self, session: Session, settings: Settings, auth: Mapping[str, str | None]) -> None:
        self._session = session
        self._settings = settings
        self._auth = auth
        self._job = None if auth["kind"] == AUTO else Choice(str(auth["kind"]), auth["name"])

    def of(self, located: Sequence[Located]) -> list[Login]:
        """Returns the logins of ``located``, in its order."""
        groups: dict[int, Inherited] = {}
        if self._job is None:
            asked = [item.entry.id for item in located if item.entry and not item.entry.credential]
            groups = inherited(self._session, asked, "credential")
        said = [self._said(item, groups) for item in located]
        stored = self._stored({login.choice.name for login in said if login.choice and login.choice.kind == STORED})
        return [self._checked(login, item, stored) for login, item in zip(said, located, strict=True)]

    def _said(self, item: Located, groups: Mapping[int, Inherited]) -> Login:
        if self._job is not None:
            return Login(None if self._job.kind == PASSWORD else self._job, "job")
        if item.entry is not None and item.entry.credential:
            return Login(Choice.of_host(item.entry.credential), "host")
        if item.entry is not None and item.entry.id in groups:
            said = groups[item.entry.id]
            return Login(Choice.of_host(said.value), f"group {said.group}")
        if self._settings.credential is not None:
            return Login(Choice.of_host(self._settings.credential), "setting")
        return Login(Choice(AMBIENT), "worker")

    def _stored(self, names: set[str | None]) -> dict[str, tuple[Credential, frozenset[str]]]:
        wanted = [name for name in names if name]
        if not wanted:
            return {}
        groups = InventoryResolver(self._session)
        rows = self._session.scalars(select(Credential).where(Credential.name.in_(wanted)))
        return {row.name: (row, scope.hosts_in(row.scope, groups)) for row in rows}

    def _checked(self, login: Login, item: Located, stored: Mapping[str, tuple[Credential, frozenset[str]]]) -> Login:
        choice = login.choice
        if choice is None:
            return login
        if choice.kind == AMBIENT and not self._settings.use_ambient_keys:
            return replace(
                login, problem=Sentence("There is no credential for it: choose a key, a credential or a password.")
            )
        if choice.kind == KEY and choice.name not in self._settings.key_files:
            return replace(
                login,
                problem=Sentence("This console has no key file named {name!r} (setting key_files).", name=choice.name),
            )
        if choice.kind == STORED:
            return self._checked_stored(login, item, stored.get(choice.name or ""))
        return login

    def _checked_stored(self, login: Login, item: Located, found: tuple[Credential, frozenset[str]] | None) -> Login:
        """Returns ``login``, with the problem when somebody would aim the credential where it is not for."""
        name = login.choice.name if login.choice else None
        if found is None:
            return replace(login, problem=Sentence("There is no credential {name!r}.", name=name))
        row, covered = found
        if item.spec.name.lower() not in covered:
            return replace(login, problem=Sentence("The credential {name!r} is not for this host.", name=name))
        # Anybody with an account on the host may listen on another port of it.
        port = (item.entry.port if item.entry else None) or self._settings.ssh_port
        if item.spec.port not in {None, port}:
            return replace(
                login,
                problem=Sentence(
                    "The credential {name!r} is for port {port} of this host alone.", name=name, port=port
                ),
            )
        asked = item.spec.user or self._auth["user"]
        if row.user is not None and asked not in {None, row.user}:
            return replace(
                login,
                problem=Sentence("The credential {name!r} is for the user {user} alone.", name=name, user=row.user),
            )
        return replace(login, user=row.user)
