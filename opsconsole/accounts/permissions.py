"""Who may do what. Pure: values in, a verdict out."""

from dataclasses import dataclass
from enum import StrEnum

from opsconsole.accounts.preferences import UNCHOSEN, Preferences


class Role(StrEnum):
    """What a person may do in general; each role may do all that the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Scope(StrEnum):
    """What an API token may do at most; the person's role still bounds it."""

    READ = "read"
    RUN = "run"


class Permission(StrEnum):
    """The verbs that routes and use cases ask for."""

    VIEW = "view"
    CHOOSE_LOOK = "choose_look"
    RUN = "run"
    VIEW_ALL_JOBS = "view_all_jobs"
    RUN_LOCAL = "run_local"
    HIGH_PRIORITY = "high_priority"
    STOP_ALL = "stop_all"
    LIFT_HOLD = "lift_hold"
    DRAIN_WORKERS = "drain_workers"
    TRUST_HOST_KEYS = "trust_host_keys"
    EDIT_INVENTORY = "edit_inventory"
    VIEW_CREDENTIALS = "view_credentials"
    MANAGE_CREDENTIALS = "manage_credentials"
    VIEW_SAVED = "view_saved"
    MANAGE_SAVED = "manage_saved"
    VIEW_AUDIT = "view_audit"
    VIEW_SETTINGS = "view_settings"
    ADMINISTER = "administer"


_NEEDS = {
    Permission.VIEW: Role.VIEWER,
    # How somebody's own pages look.
    Permission.CHOOSE_LOOK: Role.VIEWER,
    Permission.RUN: Role.OPERATOR,
    # There it could read the console's own keys and secrets.
    Permission.RUN_LOCAL: Role.ADMIN,
    Permission.VIEW_ALL_JOBS: Role.APPROVER,
    Permission.HIGH_PRIORITY: Role.APPROVER,
    # Whoever may start commands may stop them all; starting again is for those who answer for the console.
    Permission.STOP_ALL: Role.OPERATOR,
    Permission.LIFT_HOLD: Role.ADMIN,
    Permission.DRAIN_WORKERS: Role.ADMIN,
    Permission.TRUST_HOST_KEYS: Role.ADMIN,
    Permission.EDIT_INVENTORY: Role.ADMIN,
    # That they are there, and for which hosts, is for those who use them; their secrets are for nobody.
    Permission.VIEW_CREDENTIALS: Role.OPERATOR,
    Permission.MANAGE_CREDENTIALS: Role.ADMIN,
    # Commands are kept for those who run them; everybody changes their own.
    Permission.VIEW_SAVED: Role.OPERATOR,
    Permission.MANAGE_SAVED: Role.ADMIN,
    # Who answers for the jobs of others sees who did what; it names no secret, but every person and address.
    Permission.VIEW_AUDIT: Role.APPROVER,
    # What the rules are tells how to stay just below them.
    Permission.VIEW_SETTINGS: Role.ADMIN,
    Permission.ADMINISTER: Role.ADMIN,
}
_ORDER = tuple(Role)
_READ_ONLY = frozenset(
    {
        Permission.VIEW,
        Permission.VIEW_ALL_JOBS,
        Permission.VIEW_CREDENTIALS,
        Permission.VIEW_SAVED,
        Permission.VIEW_AUDIT,
        Permission.VIEW_SETTINGS,
    }
)


@dataclass(frozen=True, slots=True)
class Actor:
    """The person behind a request, and the token and address it came with."""

    user_id: int
    name: str
    role: Role
    token_id: str | None = None
    scope: Scope | None = None
    address: str | None = None
    # What pages are rendered by; known for a browser alone.
    preferences: Preferences = UNCHOSEN

    def may(self, permission: Permission) -> bool:
        """Returns whether role and token scope both allow ``permission``. Tokens never administer people."""
        if _ORDER.index(self.role) < _ORDER.index(_NEEDS[permission]):
            return False
        if self.token_id is None:
            return True
        if permission is Permission.ADMINISTER:
            return False
        return self.scope is Scope.RUN or permission in _READ_ONLY
