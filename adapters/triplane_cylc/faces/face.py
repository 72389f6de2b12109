"""One open face: its sockets, the sessions of its keys, and its data store, fed with the run's deltas."""

import os
from collections.abc import Awaitable, Callable
from typing import Final

from triplane.aside import aside
from triplane.auth import CurveKey
from triplane.commands.base import Access
from triplane.connection import Connection
from triplane.deltas import Delta
from triplane.entities import Run
from triplane.errors import GatewayError
from triplane.gateway import Gateway
from triplane.queries import RunView
from triplane.taskgraph import TaskGraph
from triplane_cylc.datastore import FaceIdentity, FaceStore, WindowLimits
from triplane_cylc.datastore.store import Message
from triplane_cylc.faces.contact import CYLC_VERSION
from triplane_cylc.faces.directory import FaceDirectory
from triplane_cylc.faces.keys import FaceKeys, KeyPair
from triplane_cylc.faces.showing import Showing
from triplane_cylc.frames import encode_error
from triplane_cylc.mutations import Target
from triplane_cylc.record import Recorder
from triplane_cylc.session import Session
from triplane_cylc.transport.doorkeeper import Doorkeeper
from triplane_cylc.transport.sockets import FaceSockets

WIRE: Final = "cylc"
SHUTDOWN_TOPIC: Final = b"shutdown"

_BUSY: Final = encode_error("the gateway cannot answer now; try again")
_NOT_READY: Final = encode_error("the run is being opened or closed; try again")


class Face:
    """What Cylc clients see of one run. Lives on the event loop's thread.

    Requests before `show` and after `close` are answered with an error.

    Attributes:
        on_lost: called when a change could not be shown, so that the state must be taken anew.
    """

    def __init__(self, gateway: Gateway, run: Run, directory: FaceDirectory, keys: FaceKeys) -> None:
        self._gateway = gateway
        self.run = run
        self.directory = directory
        self.keys = keys
        self.sockets: FaceSockets | None = None
        self.identity: FaceIdentity | None = None
        self.on_lost: Callable[[Face], None] | None = None
        self._cursor = 0
        self._recorder = Recorder(directory.path)
        self._showing = Showing(self._publish, self._is_followed, self._is_lost)
        self._targets = {public.decode("ascii"): target for target, public in keys.allowed.items()}
        self._access: dict[str, frozenset[str]] = {}
        self._sessions: dict[str, Session] = {}
        self._connections: list[Connection] = []

    @property
    def store(self) -> FaceStore | None:
        """What is shown; None before `show` and after `close`. Where much waits to be shown it is a moment behind."""
        self._showing.catch_up()
        return self._showing.store

    async def caught_up(self) -> None:
        """Return once `store` shows all that was committed before the call."""
        await self._showing.caught_up()

    def session_of(self, connection: Connection) -> Session | None:
        """A session in the name of somebody who did not come with this face's key; None while there is nothing to show."""
        store = self._showing.store
        if store is None or self.identity is None:
            return None
        target = Target(self.run.namespace, self.run.workflow_id, self.run.run_id)
        return Session(
            self.identity,
            store,
            target,
            connection.submit,
            may_write=Access.WRITE in connection.principal.allowed,
            look=self._look_as_far_as,
        )

    @property
    def domain(self) -> str:
        """The name of this face's key domain: the run's own id, so that no other run's keys ever open it."""
        return self.run.run_id

    @property
    def port(self) -> int:
        """The request port; 0 while the sockets are closed."""
        return self.sockets.port if self.sockets is not None else 0

    def admit(self, doorkeeper: Doorkeeper) -> None:
        """Make the face's keys, and no others, valid for it."""
        doorkeeper.allow(self.domain, frozenset(self.keys.allowed.values()))

    def issue(self, target: str, pair: KeyPair, access: frozenset[str], doorkeeper: Doorkeeper) -> None:
        """Let the jobs of an install target in with a key of their own; the one that it had before opens nothing any more.

        Args:
            access: roles that the key has besides reporting.
        """
        old = self.keys.allowed.get(target)
        self.keys.allowed[target] = pair.public
        if old is not None:
            self._targets.pop(old.decode("ascii"), None)
            self._sessions.pop(old.decode("ascii"), None)
        self._targets[pair.public.decode("ascii")] = target
        self._access[target] = access
        self.admit(doorkeeper)

    def replace_keys(self, keys: FaceKeys, doorkeeper: Doorkeeper) -> None:
        """Let in the holders of `keys` and nobody else, from this moment on; who is connected already is asked again."""
        self.keys = keys
        self._targets = {public.decode("ascii"): target for target, public in keys.allowed.items()}
        self._access = {target: access for target, access in self._access.items() if target in keys.allowed}
        for user_id in [user_id for user_id in self._sessions if user_id not in self._targets]:
            del self._sessions[user_id]
        self.admit(doorkeeper)

    async def show(
        self,
        view: RunView,
        identity: FaceIdentity,
        clock: Callable[[], float],
        shown: Callable[["Face"], None],
        chart: Callable[[], TaskGraph | None],
        limits: WindowLimits,
    ) -> None:
        """Take the run's state from the last commit; once this returns requests are answered.

        Args:
            shown: called at once; deltas from then on must be given to `take`.
            chart: gives the graph of the run's definition as it is when called.
            limits: how much is in view.
        """
        self.identity = identity
        self._cursor = view.cursor
        parts = (view.run, view.detail, tuple(view.tasks.values()), tuple(view.jobs.values()))
        graph = chart()
        self._recorder.begin(view, _about(identity, view))
        shown(self)
        # In a thread: ten thousand tasks take longer to draw than everybody else should have to wait.
        self._showing.store = await aside(FaceStore, identity, *parts, clock, graph, chart, limits)
        self._showing.show()

    def refresh(self, view: RunView) -> None:
        """Take the run's state anew after deltas were missed; subscribers are told to forget what they have."""
        store = self._showing.store
        if store is not None and self.sockets is not None:
            self._showing.forget()
            self._cursor = view.cursor
            self.run = view.run
            self._recorder.refresh(view)
            self.sockets.publish(store.reload(view.run, view.detail, tuple(view.tasks.values()), tuple(view.jobs.values())))

    def receive(self, body: bytes | None, user_id: str) -> bytes | Awaitable[bytes]:
        """The reply to one request of the key `user_id`, now or after its commit."""
        session = self._sessions.get(user_id)
        if session is None:
            try:
                session = self._open_session(user_id)
            except GatewayError as exc:
                return encode_error(str(exc))
            if session is None:
                return _NOT_READY
        if self._showing.is_behind:
            return self._receive_later(session, body)
        self._showing.catch_up()
        return session.receive(body)

    async def _receive_later(self, session: Session, body: bytes | None) -> bytes:
        await self._showing.caught_up()
        if self._showing.store is None:
            return _NOT_READY
        reply = session.receive(body)
        return reply if isinstance(reply, bytes) else await reply

    def busy(self) -> bytes:
        """The reply to a request that too many others are ahead of."""
        return _BUSY

    def take(self, delta: Delta) -> None:
        """Take in a delta of the run, to be shown by `show_changes`; one that is shown already is skipped."""
        if delta.cursor > self._cursor:
            self._cursor = delta.cursor
            self.run = delta.run
            self._recorder.take(delta)
            self._showing.take(delta)

    def show_changes(self) -> None:
        """Show what was taken in, as one batch where it is not much, if anybody follows; else it waits for who asks."""
        self._showing.show()

    async def show_rest(self) -> None:
        """Show those who follow what they have not been shown yet."""
        await self._showing.finish()

    def _look_as_far_as(self, extent: int) -> None:
        """Show tasks up to so many edges from an active one."""
        if self._showing.store is not None:
            self._publish(self._showing.store.look_as_far_as(extent))

    def _publish(self, batch: list[Message]) -> None:
        if batch and self.sockets is not None:
            self.sockets.publish(batch)

    def _is_followed(self) -> bool:
        store = self._showing.store
        return (store is not None and bool(store.watchers)) or (self.sockets is not None and self.sockets.has_subscribers)

    def _is_lost(self) -> None:
        if self.on_lost is not None:
            self.on_lost(self)

    def publish_shutdown(self, reason: str) -> None:
        """Tell subscribers that the run is over or its face goes; the last thing they hear."""
        if self.sockets is not None:
            self.sockets.publish([(SHUTDOWN_TOPIC, reason.encode("utf-8"))])

    async def close(self, doorkeeper: Doorkeeper) -> None:
        """Close sockets and connections; the face's keys open nothing any more."""
        if self._showing.store is not None:
            self._showing.store.shut_down()
        self._showing.close()
        await self._recorder.close()
        self._sessions.clear()
        doorkeeper.close_domain(self.domain)
        if self.sockets is not None:
            self.sockets.close()
            self.sockets = None
        for connection in self._connections:
            await connection.close()
        self._connections.clear()

    def _open_session(self, user_id: str) -> Session | None:
        target = self._targets.get(user_id)
        store = self._showing.store
        if store is None or self.identity is None or target is None:
            return None
        connection = self._gateway.open_connection(
            WIRE,
            f"{self.identity.name} {target}",
            CurveKey(run_id=self.run.run_id, target=target, access=self._access.get(target, frozenset())),
        )
        self._connections.append(connection)
        session = Session(
            self.identity,
            store,
            Target(self.run.namespace, self.run.workflow_id, self.run.run_id),
            connection.submit,
            may_read=Access.READ in connection.principal.allowed,
            may_write=Access.WRITE in connection.principal.allowed,
            look=self._look_as_far_as,
        )
        self._sessions[user_id] = session
        return session


def _about(identity: FaceIdentity, view: RunView) -> tuple[str, ...]:
    """What a run's log says first each time that its face opens."""
    return (
        f"Workflow: {identity.name}",
        f"Scheduler: url=tcp://{identity.host}:{identity.port} pid={os.getpid()}",
        f"Workflow publisher: url=tcp://{identity.host}:{identity.pub_port}",
        f"Cylc version: {CYLC_VERSION}",
        f"Run: {view.run.run_id} of {view.run.engine} {view.run.workflow_type}, served by a Triplane gateway",
    )
