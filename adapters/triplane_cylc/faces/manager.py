"""Which runs have faces right now: follows the core, opens and closes faces, and says which runs have none.

Faces are opened off the commit path, a few per second; a job that must report gets its run's face at once. Lives
on the event loop's thread. Source: architecture, section "Faces".
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog
import zmq

from triplane.connection import Connection
from triplane.deltas import Delta, DeltaFilter, Gap
from triplane.entities import Run
from triplane.errors import CannotNow, GatewayError, SlowConsumer
from triplane.gateway import Gateway
from triplane.queries import DescribeRun
from triplane.subscriptions import Subscription
from triplane_cylc.config import CylcConfig
from triplane_cylc.faces.builder import FaceBuilder, RunEnded
from triplane_cylc.faces.contacts import keep_contacts
from triplane_cylc.faces.directory import FaceDirectory, NotOurDirectory, find_marked
from triplane_cylc.faces.face import Face
from triplane_cylc.faces.keys import KeyPair
from triplane_cylc.faces.line import WaitingLine
from triplane_cylc.faces.openruns import open_runs
from triplane_cylc.faces.policy import is_delayed, is_exposed, shutdown_reason
from triplane_cylc.faces.retention import Retention
from triplane_cylc.transport.ports import NoFreePort

TICK_S: Final = 0.2
# How long a run that could not get a face waits before it tries again: ports come free, folders are moved aside.
RETRY_S: Final = 10.0
CANNOT_OPEN: Final = (NotOurDirectory, NoFreePort, RunEnded, OSError, zmq.ZMQError, GatewayError)

log = structlog.get_logger(__name__)


class FaceManager:
    """Keeps one face for every run that should have one.

    Attributes:
        faces: the open ones, by run id.
        without: why a run that should have one cannot, by run id.
        on_shown: called with every face that opens.
    """

    def __init__(self, gateway: Gateway, connection: Connection, builder: FaceBuilder, config: CylcConfig) -> None:
        self._gateway = gateway
        self._connection = connection
        self._builder = builder
        self.config = config
        self.faces: dict[str, Face] = {}
        self.without: dict[str, str] = {}
        self.on_shown: set[Callable[[Face], None]] = set()
        self._line = WaitingLine()
        self._is_full = False
        self._retention = Retention(self.lock)
        self._opening: dict[str, asyncio.Task[Face]] = {}
        # A lock lives as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._subscription: Subscription | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._drain_due = False
        self._stopping = False
        self._next_opening = 0.0

    async def start(self) -> None:
        """Take up again what an earlier process left, then follow the core. Returns when known faces are open."""
        self._subscribe()
        await self._adopt()
        self._ticker = self._gateway.spawn(self._tick(), "cylc faces")
        self._keeper = self._gateway.spawn(keep_contacts(self.faces, self._builder, self.lock), "cylc contact files")

    async def stop(self, timeout_s: float) -> None:
        """Take all faces away, contact files first; directories, keys and ports stay for the next start."""
        self._stopping = True
        if self._subscription is not None:
            self._subscription.close()
        for task in (self._ticker, self._keeper):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        # Not cancelled: a contact file on its way to the disk would be left there.
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=timeout_s / 2)
        faces = list(self.faces.values())
        self.faces.clear()
        closing = asyncio.gather(*(self._builder.close(face, "the gateway is stopping") for face in faces))
        with suppress(TimeoutError):
            await asyncio.wait_for(closing, timeout_s / 2)

    async def ensure(self, run: Run) -> Face:
        """The run's face, opened now if it is not open, ahead of every other that waits.

        Raises:
            CannotNow: it cannot have one; the message says why and what to change.
        """
        face = self.faces.get(run.run_id)
        if face is not None:
            return face
        if self._stopping:
            raise CannotNow("the Cylc wire is stopping")
        if run.namespace != self.config.namespace:
            raise CannotNow(
                f"the Cylc wire serves the namespace {self.config.namespace!r} only (adapters.cylc.namespace); "
                f"jobs of {run.namespace!r} need a platform with communication_method = \"poll\""
            )
        if run.run_id not in self._opening and not self._has_room_for(run):
            raise CannotNow(f"all {self.config.max_faces} faces are taken; raise adapters.cylc.max_faces")
        try:
            return await self._open(run)
        except CANNOT_OPEN as exc:
            raise CannotNow(f"run {run.workflow_id!r} has no face on the Cylc wire: {exc}") from exc

    async def issue(self, face: Face, target: str, access: frozenset[str]) -> KeyPair:
        """A new pair of keys for the jobs of an install target; see `FaceBuilder.issue`.

        Raises:
            CannotNow: it cannot be written down.
        """
        try:
            return await self._builder.issue(face, target, access)
        except OSError as exc:
            raise CannotNow(f"no keys for {target!r}: {exc}") from exc

    def open_again(self, face: Face) -> None:
        """Close a face that cannot go on as it is, and have another one opened for its run."""
        if self.faces.pop(face.run.run_id, None) is face:
            self._spawn(self._reopen(face))

    async def _reopen(self, face: Face) -> None:
        async with self.lock(face.run.workflow_id):
            await self._builder.close(face, "the run's face is opened again")
        self._consider(face.run)

    async def directory(self, run: Run) -> FaceDirectory | None:
        """The run's directory, made and marked; None where the name is somebody else's or the namespace is not ours."""
        if run.namespace != self.config.namespace:
            return None
        async with self.lock(run.workflow_id):
            try:
                directory = await self._builder.directory(run)
            except (NotOurDirectory, OSError) as exc:
                self._note_without(run, str(exc))
                return None
            self._retention.in_use(directory.path.name)
            return directory

    # ---- following the core ----------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        wanted = DeltaFilter(namespaces=frozenset({self.config.namespace}))
        self._subscription = self._connection.subscribe(wanted)
        self._subscription.on_ready = self._drain_soon

    def _drain_soon(self) -> None:
        # Called while a commit is handed out: the work waits for the loop's next turn.
        if not self._drain_due:
            self._drain_due = True
            asyncio.get_running_loop().call_soon(self._drain)

    def _drain(self) -> None:
        self._drain_due = False
        if self._subscription is None or self._stopping:
            return
        try:
            items = self._subscription.drain()
        except SlowConsumer as exc:
            log.warning("cylc_faces_fell_behind", reason=str(exc))
            self._subscribe()
            self._resync()
            return
        touched: dict[str, Face] = {}
        for item in items:
            if isinstance(item, Gap):
                self._resync()
            else:
                self._take(item, touched)
        for face in touched.values():
            face.show_changes()

    def _take(self, delta: Delta, touched: dict[str, Face]) -> None:
        run = delta.run
        face = self.faces.get(run.run_id)
        if face is not None:
            face.take(delta)
            touched[run.run_id] = face
        if delta.opened:
            self._consider(run)
        if delta.closed:
            self._run_closed(run)

    def _show_anew(self, face: Face) -> None:
        log.exception("cylc_delta_not_shown", workflow_id=face.run.workflow_id)
        self._refresh(face)

    def _run_closed(self, run: Run) -> None:
        self._line.leave(run.run_id)
        self.without.pop(run.run_id, None)
        face = self.faces.pop(run.run_id, None)
        if face is not None:
            self._spawn(self._close(face, run))

    def _resync(self) -> None:
        """Read everything anew after deltas were missed."""
        for face in tuple(self.faces.values()):
            self._refresh(face)
        for run in open_runs(self._connection, self.config.namespace):
            self._consider(run)

    def _refresh(self, face: Face) -> None:
        """Show the run's state anew, or close the face of a run that has ended meanwhile."""
        try:
            view = self._builder.view(face.run)
        except RunEnded as exc:
            self._run_closed(exc.run)
        except GatewayError as exc:
            log.error("cylc_face_not_refreshed", workflow_id=face.run.workflow_id, reason=str(exc))
        else:
            face.refresh(view)

    # ---- who gets a face -------------------------------------------------------------------------------------------

    def _consider(self, run: Run) -> None:
        """Put a new run into the waiting line, now or when it is old enough."""
        if run.run_id in self.faces or not is_exposed(run, self.config.expose):
            return
        if self._line.put(run, self.config.expose_after_s, self._gateway.clock.now()):
            self._open_waiting()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = self._gateway.clock.now()
            self._line.grow(self.config.expose_after_s, now, asyncio.get_running_loop().time())
            self._open_waiting()
            await self._retention.remove_old(now, self.config.face_retention_s)

    def _open_waiting(self) -> None:
        """Open faces for the head of the line, at the configured pace, while there is room."""
        now = asyncio.get_running_loop().time()
        while now >= self._next_opening and not self._stopping and (run := self._line.first()) is not None:
            if run.run_id not in self.faces and run.run_id not in self._opening:
                if not self._has_room_for(run):
                    self._note_full()
                    return
                self._is_full = False
                self._next_opening = now + 1.0 / self.config.faces_per_s
                self._spawn(self._open_quietly(run))
            self._line.leave(run.run_id)

    def _has_room_for(self, run: Run) -> bool:
        """Whether the run may have a face now; a durable run's face is given up for a graph or a simulation."""
        if self.config.max_faces > len(self.faces) + len(self._opening):
            return True
        lent = [] if is_delayed(run) else [face for face in self.faces.values() if is_delayed(face.run)]
        if not lent:
            return False
        face = max(lent, key=lambda each: each.run.created)
        del self.faces[face.run.run_id]
        self._spawn(self._give_up(face, run))
        return True

    async def _give_up(self, face: Face, other: Run) -> None:
        """Take a face from a run that goes on; it waits in line for another."""
        async with self.lock(face.run.workflow_id):
            await self._builder.close(face, f"its face goes to {other.engine} {other.workflow_id}")
        log.warning(
            "cylc_face_given_up", workflow_id=face.run.workflow_id, to=other.workflow_id, setting="adapters.cylc.max_faces"
        )
        self._line.stand(face.run)

    def _note_full(self) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning(
                "cylc_faces_all_taken",
                faces=self.config.max_faces,
                waiting=len(self._line),
                advice="raise adapters.cylc.max_faces, and adapters.cylc.ports with it",
            )

    def _note_without(self, run: Run, reason: str) -> None:
        if self.without.get(run.run_id) != reason:
            self.without[run.run_id] = reason
            log.warning("cylc_run_without_face", workflow_id=run.workflow_id, reason=reason)

    # ---- opening and closing ---------------------------------------------------------------------------------------

    async def _open_quietly(self, run: Run) -> None:
        try:
            await self._open(run)
        except RunEnded:
            self.without.pop(run.run_id, None)
        except CANNOT_OPEN as exc:
            self._note_without(run, str(exc))
            self._line.try_again(run, asyncio.get_running_loop().time() + RETRY_S)

    async def _open(self, run: Run) -> Face:
        """Open the run's face once, however many ask for it at the same time."""
        task = self._opening.get(run.run_id)
        if task is None:
            task = self._opening[run.run_id] = self._spawn(self._open_alone(run))
            task.add_done_callback(lambda _: self._opening.pop(run.run_id, None))
        return await asyncio.shield(task)

    async def _open_alone(self, run: Run) -> Face:
        async with self.lock(run.workflow_id):
            face = self.faces.get(run.run_id)
            if face is not None:
                return face
            try:
                face = await self._builder.open(run, self._take_in)
            except BaseException as exc:
                self.faces.pop(run.run_id, None)
                if isinstance(exc, RunEnded) and exc.directory is not None:
                    self._retention.keep_of(exc.directory, exc.run, self._gateway.clock.now())
                raise
            self._retention.in_use(face.directory.path.name)
            self.without.pop(run.run_id, None)
            for tell in tuple(self.on_shown):
                tell(face)
            log.info("cylc_face_opened", workflow_id=run.workflow_id, face=face.directory.path.name, port=face.port)
            return face

    def _take_in(self, face: Face) -> None:
        """A face gets its run's deltas from now on."""
        face.on_lost = self._show_anew
        self.faces[face.run.run_id] = face

    async def _close(self, face: Face, run: Run) -> None:
        async with self.lock(run.workflow_id):
            await self._builder.close(face, shutdown_reason(run))
            self._retention.keep_of(face.directory, run, self._gateway.clock.now())
            log.info("cylc_face_closed", workflow_id=run.workflow_id, face=face.directory.path.name)
        self._open_waiting()

    def lock(self, workflow_id: str) -> asyncio.Lock:
        """One at a time works on a workflow's directory; runs of a chain share it."""
        lock = self._locks.get(workflow_id)
        if lock is None:
            lock = self._locks[workflow_id] = asyncio.Lock()
        return lock

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(coroutine, name="cylc face")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, CANNOT_OPEN):
            log.error("cylc_face_failed", exc_info=error)

    # ---- directories of closed runs --------------------------------------------------------------------------------

    async def _adopt(self) -> None:
        """Open the faces that were open before, and clear away what a crash left of those that are over."""
        still_open = {run.run_id: run for run in open_runs(self._connection, self.config.namespace)}
        marked = await asyncio.to_thread(find_marked, self._builder.site.root, self._builder.site.installation)
        again: list[Run] = []
        for directory in marked:
            run = still_open.get(directory.mark.uuid)
            if run is not None and is_exposed(run, self.config.expose) and len(again) < self.config.max_faces:
                again.append(still_open.pop(run.run_id))
                continue
            # A contact file without a process behind it is a ghost to every client (T27).
            await asyncio.to_thread(directory.remove_contact)
            if run is None:
                self._retain_left_over(directory)
        await asyncio.gather(*(self._open_quietly(run) for run in again))
        for run in still_open.values():
            self._consider(run)

    def _retain_left_over(self, directory: FaceDirectory) -> None:
        """Keep an earlier process's directory for its time; the files of a run that is not known are never removed."""
        mark = directory.mark
        try:
            query = DescribeRun(namespace=mark.namespace, workflow_id=mark.workflow_id, run_id=mark.uuid)
            self._retention.keep_of(directory, self._connection.query(query).run, self._gateway.clock.now())
        except (GatewayError, ValueError):
            self._retention.keep(directory, self._gateway.clock.now(), keep_files=True)
