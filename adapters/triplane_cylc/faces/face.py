"""One open face: its sockets, the sessions of its keys, and its data store, fed with the run's deltas."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from triplane.auth import CurveKey
from triplane.commands.base import Access
from triplane.connection import Connection
from triplane.deltas import Delta
from triplane.entities import Run
from triplane.errors import GatewayError
from triplane.gateway import Gateway
from triplane.queries import RunView
from triplane_cylc.datastore import FaceIdentity, FaceStore
from triplane_cylc.faces.directory import FaceDirectory
from triplane_cylc.faces.keys import FaceKeys, KeyPair
from triplane_cylc.faces.putoff import LEAST_S, MOST, merged, next_wait
from triplane_cylc.frames import encode_error
from triplane_cylc.mutations import Target
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
    """

    def __init__(self, gateway: Gateway, run: Run, directory: FaceDirectory, keys: FaceKeys) -> None:
        self._gateway = gateway
        self.run = run
        self.directory = directory
        self.keys = keys
        self.sockets: FaceSockets | None = None
        self.identity: FaceIdentity | None = None
        self._store: FaceStore | None = None
        self._cursor = 0
        self._put_off: list[Delta] = []
        self.put_off_s = LEAST_S
        self._targets = {public.decode("ascii"): target for target, public in keys.allowed.items()}
        self._access: dict[str, frozenset[str]] = {}
        self._sessions: dict[str, Session] = {}
        self._connections: list[Connection] = []

    @property
    def store(self) -> FaceStore | None:
        """What is shown; None before `show` and after `close`."""
        self.catch_up()
        return self._store

    def session_of(self, connection: Connection) -> Session | None:
        """A session in the name of somebody who did not come with this face's key; None while there is nothing to show."""
        if self._store is None or self.identity is None:
            return None
        target = Target(self.run.namespace, self.run.workflow_id, self.run.run_id)
        return Session(self.identity, self._store, target, connection.submit)

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

    def show(self, view: RunView, identity: FaceIdentity, clock: Callable[[], float]) -> None:
        """Take the run's state from the last commit; from here on requests are answered."""
        self.identity = identity
        self._store = FaceStore(identity, view.run, view.detail, tuple(view.tasks.values()), tuple(view.jobs.values()), clock)
        self._cursor = view.cursor

    def refresh(self, view: RunView) -> None:
        """Take the run's state anew after deltas were missed; subscribers are told to forget what they have."""
        if self._store is not None and self.sockets is not None:
            self._cursor = view.cursor
            self.run = view.run
            self.sockets.publish(self._store.reload(view.run, view.detail, tuple(view.tasks.values()), tuple(view.jobs.values())))

    def receive(self, body: bytes | None, user_id: str) -> bytes | Awaitable[bytes]:
        """The reply to one request of the key `user_id`, now or after its commit."""
        self.catch_up()
        session = self._sessions.get(user_id)
        if session is None:
            try:
                session = self._open_session(user_id)
            except GatewayError as exc:
                return encode_error(str(exc))
            if session is None:
                return _NOT_READY
        return session.receive(body)

    def busy(self) -> bytes:
        """The reply to a request that too many others are ahead of."""
        return _BUSY

    def put_off(self, delta: Delta) -> bool:
        """Keep a delta for `catch_up` in `put_off_s`; returns whether it is the first one kept."""
        self._put_off.append(delta)
        if len(self._put_off) > MOST:
            self.catch_up()
        return len(self._put_off) == 1

    def catch_up(self) -> None:
        """Show what was put off. Nothing else is shown, and nobody gets the whole state, before that."""
        deltas, self._put_off = [delta for delta in self._put_off if delta.cursor > self._cursor], []
        if deltas:
            began = time.thread_time()
            self._absorb(merged(deltas))
            self.publish()
            self.put_off_s = next_wait(time.thread_time() - began)

    def absorb(self, delta: Delta) -> None:
        """Take in a delta of the run; one that the store already holds is skipped."""
        self.catch_up()
        self._absorb(delta)

    def _absorb(self, delta: Delta) -> None:
        if delta.cursor > self._cursor and self._store is not None:
            self._cursor = delta.cursor
            self.run = delta.run
            self._store.absorb(delta)

    def publish(self) -> None:
        """Publish what was absorbed since the last time, as one batch."""
        if self._store is not None and self.sockets is not None:
            batch = self._store.flush()
            if batch:
                self.sockets.publish(batch)

    def publish_shutdown(self, reason: str) -> None:
        """Tell subscribers that the run is over or its face goes; the last thing they hear."""
        if self.sockets is not None:
            self.sockets.publish([(SHUTDOWN_TOPIC, reason.encode("utf-8"))])

    async def close(self, doorkeeper: Doorkeeper) -> None:
        """Close sockets and connections; the face's keys open nothing any more."""
        if self._store is not None:
            self._store.shut_down()
        self._store = None
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
        if self._store is None or self.identity is None or target is None:
            return None
        connection = self._gateway.open_connection(
            WIRE,
            f"{self.identity.name} {target}",
            CurveKey(run_id=self.run.run_id, target=target, access=self._access.get(target, frozenset())),
        )
        self._connections.append(connection)
        session = Session(
            self.identity,
            self._store,
            Target(self.run.namespace, self.run.workflow_id, self.run.run_id),
            connection.submit,
            may_read=Access.READ in connection.principal.allowed,
        )
        self._sessions[user_id] = session
        return session
