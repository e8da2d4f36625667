"""The whole table of who may do what."""

import pytest

from opsconsole.accounts.permissions import Actor, Permission, Role, Scope

PEOPLE = {
    Role.VIEWER: {Permission.VIEW, Permission.CHOOSE_LOOK},
    Role.OPERATOR: {
        Permission.VIEW,
        Permission.CHOOSE_LOOK,
        Permission.RUN,
        Permission.STOP_ALL,
        Permission.VIEW_CREDENTIALS,
        Permission.VIEW_SAVED,
    },
    Role.APPROVER: {
        Permission.VIEW,
        Permission.CHOOSE_LOOK,
        Permission.RUN,
        Permission.STOP_ALL,
        Permission.VIEW_ALL_JOBS,
        Permission.HIGH_PRIORITY,
        Permission.VIEW_CREDENTIALS,
        Permission.VIEW_SAVED,
        Permission.VIEW_AUDIT,
    },
    Role.ADMIN: set(Permission),
}
NEVER_BY_TOKEN = {Permission.ADMINISTER}
READS = {
    Permission.VIEW,
    Permission.VIEW_ALL_JOBS,
    Permission.VIEW_CREDENTIALS,
    Permission.VIEW_SAVED,
    Permission.VIEW_AUDIT,
    Permission.VIEW_SETTINGS,
}


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", list(Role))
def test_a_role_and_a_token_bound_each_other(role: Role, permission: Permission) -> None:
    allowed = permission in PEOPLE[role]
    assert Actor(1, "x", role).may(permission) is allowed
    running = Actor(1, "x", role, token_id="t", scope=Scope.RUN)
    assert running.may(permission) is (allowed and permission not in NEVER_BY_TOKEN)
    reading = Actor(1, "x", role, token_id="t", scope=Scope.READ)
    assert reading.may(permission) is (allowed and permission in READS)


def test_a_token_without_a_scope_only_reads() -> None:
    assert not Actor(1, "x", Role.ADMIN, token_id="t").may(Permission.RUN)
