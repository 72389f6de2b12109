"""Which runs have faces right now: follows the core, opens and closes faces, and says which runs have none.

Faces are opened off the commit path, a few per second; a job that must report gets its run's face at once. Lives
on the event loop's thread. Source: architecture, section "Faces".
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog
import zmq

from triplane.connection import Connection
from triplane.deltas import Delta, DeltaFilter, Gap
from triplane.entities import Run
from triplane.errors import CannotNow, GatewayError, NamespaceNotFound, SlowConsumer
from triplane.gateway import Gateway
from triplane.queries import DescribeRun, ListRuns, RunPage
from triplane.subscriptions import Subscription
from triplane_cylc.config import CylcConfig
from triplane_cylc.faces.builder import FaceBuilder, RunEnded
from triplane_cylc.faces.directory import FaceDirectory, NotOurDirectory, find_marked
from triplane_cylc.faces.face import Face
from triplane_cylc.faces.keys import KeyPair
from triplane_cylc.faces.policy import Priority, due, is_delayed, is_exposed, priority, shutdown_reason
from triplane_cylc.transport.ports import NoFreePort

TICK_S: Final = 0.2
# How long a run that could not get a face waits before it tries again: ports come free, folders are moved aside.
RETRY_S: Final = 10.0
CANNOT_OPEN: Final = (NotOurDirectory, NoFreePort, RunEnded, OSError, zmq.ZMQError, GatewayError)
_PAGE: Final = 500

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
        self._line: list[Priority] = []
        self._waiting: dict[str, Run] = {}
        self._is_full = False
        self._again: dict[str, tuple[float, Run]] = {}
        self._young: OrderedDict[str, Run] = OrderedDict()
        self._retained: dict[str, tuple[float, FaceDirectory, bool]] = {}
        self._opening: dict[str, asyncio.Task[Face]] = {}
        # A lock lives as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._subscription: Subscription | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._drain_due = False
        self._stopping = False
        self._next_opening = 0.0

    async def start(self) -> None:
        """Take up again what an earlier process left, then follow the core. Returns when known faces are open."""
        self._subscribe()
        await self._adopt()
        self._ticker = self._gateway.spawn(self._tick(), "cylc faces")

    async def stop(self, timeout_s: float) -> None:
        """Take all faces away, contact files first; directories, keys and ports stay for the next start."""
        self._stopping = True
        if self._subscription is not None:
            self._subscription.close()
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        # Not cancelled: a contact file on its way to the disk would be left there.
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=timeout_s / 2)
        faces, self.faces = list(self.faces.values()), {}
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

    async def directory(self, run: Run) -> FaceDirectory | None:
        """The run's directory, made and marked; None where the name is somebody else's or the namespace is not ours."""
        if run.namespace != self.config.namespace:
            return None
        async with self._lock(run):
            try:
                directory = await self._builder.directory(run)
            except (NotOurDirectory, OSError) as exc:
                self._note_without(run, str(exc))
                return None
            self._retained.pop(directory.path.name, None)
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
        self._young.pop(run.run_id, None)
        self._waiting.pop(run.run_id, None)
        self._again.pop(run.run_id, None)
        self.without.pop(run.run_id, None)
        face = self.faces.pop(run.run_id, None)
        if face is not None:
            self._spawn(self._close(face, run))

    def _resync(self) -> None:
        """Read everything anew after deltas were missed."""
        for face in tuple(self.faces.values()):
            self._refresh(face)
        for run in self._open_runs():
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

    def _open_runs(self) -> list[Run]:
        runs: list[Run] = []
        after: str | None = None
        while True:
            query = ListRuns(namespace=self.config.namespace, open=True, limit=_PAGE, after=after)
            try:
                page: RunPage = self._connection.query(query)
            except NamespaceNotFound:
                # It may be created while we serve; until then there is nothing to show.
                log.warning("cylc_namespace_not_found", namespace=self.config.namespace, setting="adapters.cylc.namespace")
                return runs
            runs += [run for run, _ in page.runs]
            after = page.next
            if after is None:
                return runs

    # ---- who gets a face -------------------------------------------------------------------------------------------

    def _consider(self, run: Run) -> None:
        """Put a new run into the waiting line, now or when it is old enough."""
        if run.run_id in self.faces or not is_exposed(run, self.config.expose):
            return
        if is_delayed(run) and due(run, self.config.expose_after_s) > self._gateway.clock.now():
            # In order of creation, so only the head of this line is ever looked at.
            self._young[run.run_id] = run
        else:
            self._stand_in_line(run)
            self._open_waiting()

    def _stand_in_line(self, run: Run) -> None:
        if run.run_id not in self._waiting:
            self._waiting[run.run_id] = run
            heapq.heappush(self._line, priority(run))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = self._gateway.clock.now()
            while self._young:
                run_id, run = next(iter(self._young.items()))
                if due(run, self.config.expose_after_s) > now:
                    break
                del self._young[run_id]
                self._stand_in_line(run)
            for run_id, (when, run) in tuple(self._again.items()):
                if when <= asyncio.get_running_loop().time():
                    del self._again[run_id]
                    self._stand_in_line(run)
            self._open_waiting()
            await self._remove_old_directories(now)

    def _open_waiting(self) -> None:
        """Open faces for the head of the line, at the configured pace, while there is room."""
        now = asyncio.get_running_loop().time()
        while self._line and now >= self._next_opening and not self._stopping:
            run_id = self._line[0][-1]
            if run_id not in self._waiting or run_id in self.faces or run_id in self._opening:
                heapq.heappop(self._line)
                self._waiting.pop(run_id, None)
                continue
            if not self._has_room_for(self._waiting[run_id]):
                self._note_full()
                return
            self._is_full = False
            heapq.heappop(self._line)
            self._next_opening = now + 1.0 / self.config.faces_per_s
            self._spawn(self._open_quietly(self._waiting.pop(run_id)))

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
        async with self._lock(face.run):
            await self._builder.close(face, f"its face goes to {other.engine} {other.workflow_id}")
        log.warning(
            "cylc_face_given_up", workflow_id=face.run.workflow_id, to=other.workflow_id, setting="adapters.cylc.max_faces"
        )
        self._stand_in_line(face.run)

    def _note_full(self) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning(
                "cylc_faces_all_taken",
                faces=self.config.max_faces,
                waiting=len(self._waiting),
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
            self._again[run.run_id] = (asyncio.get_running_loop().time() + RETRY_S, run)

    async def _open(self, run: Run) -> Face:
        """Open the run's face once, however many ask for it at the same time."""
        task = self._opening.get(run.run_id)
        if task is None:
            task = self._opening[run.run_id] = self._spawn(self._open_alone(run))
            task.add_done_callback(lambda _: self._opening.pop(run.run_id, None))
        return await asyncio.shield(task)

    async def _open_alone(self, run: Run) -> Face:
        async with self._lock(run):
            face = self.faces.get(run.run_id)
            if face is not None:
                return face
            try:
                face = await self._builder.open(run, self._take_in)
            except BaseException as exc:
                self.faces.pop(run.run_id, None)
                if isinstance(exc, RunEnded) and exc.directory is not None:
                    self._retain_of(exc.directory, exc.run)
                raise
            self._retained.pop(face.directory.path.name, None)
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
        async with self._lock(run):
            await self._builder.close(face, shutdown_reason(run))
            self._retain_of(face.directory, run)
            log.info("cylc_face_closed", workflow_id=run.workflow_id, face=face.directory.path.name)
        self._open_waiting()

    def _lock(self, run: Run) -> asyncio.Lock:
        """One at a time works on a workflow's directory; runs of a chain share it."""
        return self._lock_of(run.workflow_id)

    def _lock_of(self, workflow_id: str) -> asyncio.Lock:
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
        open_runs = {run.run_id: run for run in self._open_runs()}
        marked = await asyncio.to_thread(find_marked, self._builder.site.root, self._builder.site.installation)
        again: list[Run] = []
        for directory in marked:
            run = open_runs.get(directory.mark.uuid)
            if run is not None and is_exposed(run, self.config.expose) and len(again) < self.config.max_faces:
                again.append(open_runs.pop(run.run_id))
                continue
            # A contact file without a process behind it is a ghost to every client (T27).
            await asyncio.to_thread(directory.remove_contact)
            if run is None:
                self._retain_left_over(directory)
        await asyncio.gather(*(self._open_quietly(run) for run in again))
        for run in open_runs.values():
            self._consider(run)

    def _retain_left_over(self, directory: FaceDirectory) -> None:
        """Keep an earlier process's directory for its time; the files of a run that is not known are never removed."""
        mark = directory.mark
        try:
            query = DescribeRun(namespace=mark.namespace, workflow_id=mark.workflow_id, run_id=mark.uuid)
            self._retain_of(directory, self._connection.query(query).run)
        except (GatewayError, ValueError):
            self._retained[directory.path.name] = (self._gateway.clock.now(), directory, True)

    def _retain_of(self, directory: FaceDirectory, run: Run) -> None:
        closed = run.closed if run.closed is not None else self._gateway.clock.now()
        self._retained[directory.path.name] = (closed, directory, run.engine == "graph")

    async def _remove_old_directories(self, now: float) -> None:
        for name, (closed, directory, keep_files) in tuple(self._retained.items()):
            if closed + self.config.face_retention_s > now:
                continue
            async with self._lock_of(directory.mark.workflow_id):
                if self._retained.pop(name, None) is None:
                    continue
                try:
                    await asyncio.to_thread(directory.remove, keep_files)
                except OSError as exc:
                    log.warning("cylc_directory_not_removed", path=str(directory.path), reason=str(exc))
