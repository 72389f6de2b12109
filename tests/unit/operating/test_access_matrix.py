"""Every command and query of the gateway, every role, in a namespace that is its own and in one that is not: who may."""

from itertools import product
from typing import Any

import pytest

from triplane.auth import Principal, Role, authorise
from triplane.cli.serving import installed_plug_ins
from triplane.commands import ALL_COMMANDS
from triplane.commands.base import Access, Request, Scope
from triplane.errors import NotAllowed
from triplane.queries import ALL_QUERIES

REQUESTS: dict[str, type[Request]] = {
    request.name: request
    for request in (
        *ALL_COMMANDS,
        *ALL_QUERIES,
        *(command for engine in installed_plug_ins().engines.values() for command in engine.commands),
    )
}
KNOWN = frozenset(REQUESTS)

# Written out, not taken from the table that is tested.
MAY = {
    "viewer": {"read"},
    "worker": {"work"},
    "operator": {"read", "write", "end", "report"},
    "admin": {"read", "write", "end", "report", "admin"},
    "job": {"report"},
    "system": {"read", "work", "report", "write", "end", "admin", "system"},
}
ADMINISTRATORS_ONLY = {
    "create_token", "revoke_token", "list_tokens", "reload_config", "stop_gateway", "create_namespace", "update_namespace",
    "delete_namespace", "set_external_storage", "probe_external_storage", "retention_pass", "repair_pass", "read_figures",
    "find_stuck_runs", "find_expired_activities", "activity_timeout_pass", "expired_runs", "remove_worker",
}  # fmt: skip
EVERYWHERE_ONLY = {"create_token", "revoke_token", "list_tokens", "reload_config"}
ENDING = {"stop_run"}


def in_namespace(request: type[Request], namespace: str) -> Any:
    """A request whose other fields do not matter: authorisation looks at its class and its namespace."""
    return request.model_construct(namespace=namespace)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_what_its_access_says_and_nothing_else(role: Role) -> None:
    everywhere, bound = Principal("p", frozenset({role})), Principal("p", frozenset({role}), frozenset({"mine"}))
    for (name, request), (principal, namespace) in product(REQUESTS.items(), [(everywhere, "any"), (bound, "mine"), (bound, "other")]):
        expected = request.access.value in MAY[role.value]
        if principal is bound:
            expected &= name not in EVERYWHERE_ONLY and (namespace == "mine" or request.scope is Scope.CLUSTER)
        try:
            authorise(principal, in_namespace(request, namespace), KNOWN)
            allowed = True
        except NotAllowed:
            allowed = False
        assert allowed is expected, f"{role.value}: {name} in {namespace}"


def test_what_only_administrators_may_is_theirs_alone() -> None:
    assert {name for name, request in REQUESTS.items() if request.access is Access.ADMIN} == ADMINISTRATORS_ONLY
    assert all(REQUESTS[name].access is Access.END for name in ENDING)
    assert {name for name, request in REQUESTS.items() if request.everywhere} == EVERYWHERE_ONLY


def test_nobody_may_what_is_not_a_command_of_this_gateway() -> None:
    class Stranger(Request):
        name, access, scope = "stranger", Access.READ, Scope.CLUSTER

    for role in Role:
        with pytest.raises(NotAllowed, match="is not a command"):
            authorise(Principal("p", frozenset({role})), Stranger(), KNOWN)


def test_no_client_can_be_given_the_roles_of_the_core_or_of_a_job() -> None:
    fields = {"token_name": "t", "sha256": "0" * 64}
    for role in ("system", "job"):
        with pytest.raises(ValueError, match="roles"):
            REQUESTS["create_token"].model_validate({**fields, "roles": [role]})
