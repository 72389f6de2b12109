"""One client key on one face: request bodies to replies. No I/O; what must wait for a commit is a coroutine.

Every body gets exactly one reply, whatever is wrong with it; endpoints are looked up in a fixed table, never by
attribute (T14). Source: contract sections 2.2 to 2.4 and 3.4 (cylc-flow 8.5.4).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog

from triplane.commands import Command
from triplane.errors import GatewayError
from triplane_cylc import graphql
from triplane_cylc.datastore import FaceIdentity, FaceStore
from triplane_cylc.faces.contact import CYLC_VERSION
from triplane_cylc.frames import Malformed, decode, echo, encode_data, encode_error
from triplane_cylc.mutations import REFUSED_BY_ERROR, Refused, Target, accepted_row, answered_row, plan, refused_row, unmatched_row

COMMIT_WAIT_S: Final = 30.0
MAX_EXTENT: Final = 100
"""Edges from an active task that anybody may ask to see."""

ELEMENT_TYPES: Final = ("edges", "families", "family_proxies", "jobs", "tasks", "task_proxies", "workflow")

Dispatch = Callable[[Command], Awaitable[Any]]
"""Sends a command as this session's principal; resolves when it is on disk, raises `GatewayError` when refused."""

log = structlog.get_logger(__name__)


class BadRequest(Exception):
    """A request that is turned down; the text is the error reply's message."""


class Session:
    """Answers the requests of one key on one face.

    Args:
        identity: how the face is called on this wire.
        store: the face's elements, kept up to date by its owner.
        target: the run the face shows.
        dispatch: how a command reaches the core.
        may_read: whether the key's principal may see the run; one that may not can still report on its jobs.
        may_write: whether it may change how the run is shown to all.
        look: makes the face show tasks up to a number of edges from active ones; the store alone where nobody listens.
    """

    def __init__(
        self,
        identity: FaceIdentity,
        store: FaceStore,
        target: Target,
        dispatch: Dispatch,
        may_read: bool = True,
        *,
        may_write: bool = True,
        look: Callable[[int], object] | None = None,
    ) -> None:
        self._identity = identity
        self._store = store
        self._may_read = may_read
        self._may_write = may_write
        self._look = look or store.look_as_far_as
        self._target = target
        self._dispatch = dispatch

    def receive(self, body: bytes | None) -> bytes | Awaitable[bytes]:
        """The reply to one request body, or a coroutine of it where a commit must come first. Never raises.

        None stands for a request that was not a single frame.
        """
        request = decode(body)
        if isinstance(request, Malformed):
            return encode_error(request.message)
        endpoint = _ENDPOINTS.get(request.endpoint)
        if endpoint is None:
            return encode_error(f"No method by the name '{echo(request.endpoint)}' at Cylc {CYLC_VERSION}")
        try:
            return endpoint(self, request.args)
        except (BadRequest, graphql.GraphQLRefused) as exc:
            return encode_error(str(exc))
        except Exception:
            return self._bug(request.endpoint)

    def _api(self, args: Mapping[str, Any]) -> bytes:
        """List the endpoints, or describe one.

        Args: endpoint (optional): the one to describe.
        """
        _only(args, "api", ("endpoint",))
        name = _argument(args, "api", "endpoint", str, None)
        if name is None:
            return encode_data(sorted(_ENDPOINTS))
        known = _ENDPOINTS.get(name)
        if known is None:
            return encode_data(f'No method by name "{echo(name)}"')
        lines = [line.strip() for line in (known.__doc__ or "").strip().splitlines()]
        return encode_data("\n".join(lines) + "\n")

    def _ping_workflow(self, args: Mapping[str, Any]) -> bytes:
        """Say that the run is being served: true."""
        _no_arguments(args, "ping_workflow")
        return encode_data(True)

    def _pb_entire_workflow(self, args: Mapping[str, Any]) -> bytes:
        """Give the whole data store, as the protobuf message PbEntireWorkflow."""
        _no_arguments(args, "pb_entire_workflow")
        self._check_may_read()
        return self._store.entire()

    def _pb_data_elements(self, args: Mapping[str, Any]) -> bytes:
        """Give every element of one type, as the protobuf deltas message of that type.

        Args: element_type: edges, families, family_proxies, jobs, tasks, task_proxies or workflow.
        """
        _only(args, "pb_data_elements", ("element_type",))
        kind = _argument(args, "pb_data_elements", "element_type", str)
        self._check_may_read()
        if kind == "all":
            raise BadRequest("pb_data_elements takes one element type, not 'all'; see pb_entire_workflow")
        # An unknown type is an empty message, as the real server has it: an empty frame.
        return self._store.elements(kind) if kind in ELEMENT_TYPES else b""

    def _graphql(self, args: Mapping[str, Any]) -> bytes | Awaitable[bytes]:
        """Answer a GraphQL query or carry out a mutation.

        Args: request_string: the document; variables (optional): an object.
        """
        _only(args, "graphql", ("request_string", "variables"))
        request_string = _argument(args, "graphql", "request_string", str)
        variables = _argument(args, "graphql", "variables", dict, None)
        prepared = graphql.prepare(request_string, variables)
        if prepared.mutations:
            return self._mutate(prepared)
        self._check_may_read()
        return encode_data(graphql.execute_query(prepared, self._store))

    async def _mutate(self, prepared: graphql.Prepared) -> bytes:
        """Carry out mutations one after the other, as GraphQL has it, and reply when the last is on disk."""
        results: dict[str, Any] = {}
        try:
            for call in prepared.mutations:
                results[call.key] = [await self.carry_out(call.name, call.args)]
            return encode_data(graphql.mutation_data(prepared, results))
        except (BadRequest, graphql.GraphQLRefused) as exc:
            return encode_error(str(exc))
        except Exception:
            return self._bug("graphql")

    async def carry_out(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """One mutation's row for this face, once it is on disk or refused.

        Raises:
            BadRequest: refused, where a row that says so would be taken for success.
        """
        asked = [str(workflow_id) for workflow_id in args.get("workflows") or []]
        if not graphql.selects_workflow(asked, self._store.workflow):
            return unmatched_row([f"~{self._identity.owner}/{item}" if item[:1] != "~" else item for item in asked])
        full_id = self._identity.id
        if name == "setGraphWindowExtent":
            return self._set_window(args["nEdgeDistance"])
        try:
            planned = plan(name, args, self._target)
            async with asyncio.timeout(COMMIT_WAIT_S):
                reply = await self._dispatch(planned.command)
        except (Refused, GatewayError) as exc:
            reason = str(exc)
        except TimeoutError:
            # It may still be carried out, and saying so is all that is true.
            reason = f"the command was not on disk within {COMMIT_WAIT_S:g} s; it may still take effect"
        else:
            if planned.answer is not None:
                return answered_row(full_id, planned.answer(reply))
            return accepted_row(full_id, planned.accepted)
        if name in REFUSED_BY_ERROR:
            raise BadRequest(reason)
        return refused_row(full_id, reason)

    def _set_window(self, extent: int) -> dict[str, Any]:
        """The row of `setGraphWindowExtent`, which changes nothing of the run, only what of it is shown; not kept over a restart."""
        full_id = self._identity.id
        if not self._may_write:
            return refused_row(full_id, "this key may not change what is shown of the run")
        if extent < 0:
            return refused_row(full_id, "Edge distance cannot be negative")
        if extent > MAX_EXTENT:
            return refused_row(full_id, f"Edge distance cannot be more than {MAX_EXTENT}")
        self._look(extent)
        return accepted_row(full_id, f"Maximum edge distance set to {extent}")

    def _check_may_read(self) -> None:
        if not self._may_read:
            raise BadRequest("this key may only send job messages to the run")

    def _bug(self, endpoint: str) -> bytes:
        log.exception("cylc_request_failed", endpoint=endpoint, workflow_id=self._target.workflow_id)
        return encode_error("internal error; the gateway's log has the details")


def _only(args: Mapping[str, Any], endpoint: str, names: tuple[str, ...]) -> None:
    for name in args:
        if name not in names:
            raise BadRequest(f"{endpoint}() got an unexpected argument '{echo(name)}'")


def _no_arguments(args: Mapping[str, Any], endpoint: str) -> None:
    if args:
        _only(args, endpoint, ())


_REQUIRED: Final = object()


def _argument(args: Mapping[str, Any], endpoint: str, name: str, kind: type, default: Any = _REQUIRED) -> Any:
    value = args.get(name, default)
    if value is _REQUIRED:
        raise BadRequest(f"{endpoint}() needs the argument '{name}'")
    if value is not default and not isinstance(value, kind):
        raise BadRequest(f"{endpoint}(): '{name}' must be {'a string' if kind is str else 'an object'}")
    return value


# Endpoint names to functions, once, so that no name a client sends is ever looked up on an object.
_ENDPOINTS: Final[Mapping[str, Callable[[Session, Mapping[str, Any]], bytes | Awaitable[bytes]]]] = {
    "api": Session._api,
    "graphql": Session._graphql,
    "pb_data_elements": Session._pb_data_elements,
    "pb_entire_workflow": Session._pb_entire_workflow,
    "ping_workflow": Session._ping_workflow,
}
