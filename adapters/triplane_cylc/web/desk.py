"""One caller's GraphQL over all faces that it may see. No sockets.

Whoever asks is known by the connection; what it may read and change is decided by the core as on every wire. Runs
that have no face (adapters.cylc.max_faces) are not seen here either. Source: contract sections 3 and 3.6.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from triplane.connection import Connection
from triplane.queries import ListRuns
from triplane_cylc import graphql
from triplane_cylc.datastore import FaceStore
from triplane_cylc.datastore.changes import Changes
from triplane_cylc.faces.face import Face
from triplane_cylc.faces.manager import FaceManager
from triplane_cylc.mutations import unmatched_row


def read_request(given: Any) -> graphql.Prepared:
    """A request as GraphQL over HTTP has it: `query`, `variables`, `operationName`.

    Raises:
        graphql.GraphQLRefused
    """
    if not isinstance(given, dict):
        raise graphql.GraphQLRefused('Send an object: {"query": "...", "variables": {...}}.')
    unknown = sorted(given.keys() - {"query", "variables", "operationName", "extensions"})
    if unknown:
        raise graphql.GraphQLRefused(f"A request has no member {unknown[0]!r:.80}.")
    return graphql.prepare(given.get("query"), given.get("variables"))


def read_body(body: bytes) -> graphql.Prepared:
    """The same from bytes.

    Raises:
        graphql.GraphQLRefused
    """
    try:
        return read_request(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise graphql.GraphQLRefused(f"The body is not JSON: {error}") from error


class Desk:
    """Answers for one connection."""

    def __init__(self, connection: Connection, manager: FaceManager) -> None:
        self._connection, self._manager = connection, manager

    def _faces(self) -> list[Face]:
        """The faces it may see, oldest run first; counts as one request of the connection.

        Raises:
            GatewayError: it may read nothing here, or asks too often.
        """
        self._connection.query(ListRuns(namespace=self._manager.config.namespace, limit=1))
        return sorted(self._manager.faces.values(), key=lambda face: face.run.created)

    async def _stores(self) -> list[FaceStore]:
        faces = self._faces()
        for face in faces:
            await face.caught_up()
        return [face.store for face in faces if face.store is not None]

    async def answer(self, prepared: graphql.Prepared) -> bytes:
        """The whole answer to a query or a mutation, as JSON; a mutation's once it is on disk.

        Raises:
            GatewayError, GraphQLRefused, BadRequest
        """
        if prepared.subscribed is not None:
            raise graphql.GraphQLRefused("Subscriptions are for a websocket that speaks graphql-transport-ws.")
        if not prepared.mutations:
            if prepared.operation == "mutation":
                return _json({"data": graphql.mutation_data(prepared, {})})
            return _json({"data": graphql.execute_over(prepared, await self._stores())})
        results: dict[str, Any] = {}
        for call in prepared.mutations:
            results[call.key] = await self._carry_out(call.name, call.args)
        return _json({"data": graphql.mutation_data(prepared, results)})

    async def _carry_out(self, name: str, args: Mapping[str, Any]) -> list[dict[str, Any]]:
        asked = [str(workflow_id) for workflow_id in args.get("workflows") or []]
        rows = []
        for face in self._faces():
            session = face.session_of(self._connection)
            if session is not None and face.store is not None and graphql.selects_workflow(asked, face.store.workflow):
                rows.append(await session.carry_out(name, args))
        return rows or [unmatched_row(asked)]

    def follow(self, prepared: graphql.Prepared, send: Callable[[bytes], None]) -> Callable[[], None]:
        """Send every event of a subscription from now on; the function that ends it.

        Args:
            send: takes one execution result as JSON; must not wait.

        Raises:
            GatewayError, GraphQLRefused
        """
        assert prepared.subscribed is not None, "only subscriptions are followed"
        args = prepared.subscribed
        wanted = [str(workflow_id) for workflow_id in args.get("workflows") or []]
        following: dict[FaceStore, Callable[[Changes], None]] = {}

        def begin(face: Face) -> None:
            store = face.store
            if store is None or not graphql.selects_workflow(wanted, store.workflow):
                return

            def tell(changes: Changes) -> None:
                if changes.shutdown:
                    following.pop(store, None)
                try:
                    send(_json({"data": graphql.subscription_data(prepared, changes, store)}))
                except graphql.GraphQLRefused as refused:
                    send(_json({"errors": [{"message": str(refused)}]}))

            following[store] = tell
            if args.get("initialBurst", True):
                tell(store.everything())
            store.watchers.add(tell)

        faces = self._faces()
        for face in faces:
            begin(face)
        self._manager.on_shown.add(begin)

        def end() -> None:
            self._manager.on_shown.discard(begin)
            for store, tell in following.items():
                store.watchers.discard(tell)
            following.clear()

        return end


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # What the fast encoder has no room for: integers beyond 64 bits, halves of surrogate pairs.
        return json.dumps(value).encode("ascii")
