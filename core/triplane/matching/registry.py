"""Registered workers: who may poll what, and who has been heard of lately. Registrations outlive their connections and our restarts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import replace
from typing import Any

from triplane.entities import CommandContract, Worker
from triplane.errors import Conflict, LimitReached, WorkerNotRegistered
from triplane.matching.contracts import Known, known_from, known_of, last_word
from triplane.matching.lanes import COOPERATIVE, VALIDATION, lanes_of_build
from triplane.matching.queues import ORDINARY, Takes, Types

WorkerKey = tuple[str, str]
"""(namespace, worker id)"""
QueueName = tuple[str, str]
"""(namespace, task queue)"""

MAX_TYPES = 10_000
MAX_SHARED = 10_000
MAX_REMEMBERED = 100_000

_BASES = {
    "workflow": (ORDINARY,),
    "workflow+validation": (ORDINARY, VALIDATION),
    "update_validation": (VALIDATION,),
    "query": (ORDINARY,),
    "activity": (ORDINARY,),
}
"""Kind of poll → the sorts of tasks it is for."""


def build_of(worker: Worker) -> str:
    """The build a worker is of; empty where it does not say (contract durable 2.6: the unversioned cohort)."""
    build = worker.info.get("build_id")
    return build.strip() if isinstance(build, str) else ""


def capacity_of(worker: Worker, field: str) -> int | None:
    """A number of slots as registered; None where the worker does not say."""
    most = worker.info.get(field)
    return most if isinstance(most, int) and not isinstance(most, bool) and most >= 0 else None


def no_lanes(worker: Worker) -> Iterable[str]:
    """None besides those that every worker of its build looks at."""
    return ()


def is_cooperative(worker: Worker) -> bool:
    """Whether a worker understands cooperative cancellation, as it said at its registration (contract durable 1.2)."""
    capabilities = worker.info.get("capabilities")
    return isinstance(capabilities, (list, tuple)) and "cooperative_cancellation" in capabilities


def _only_does_activities(worker: Worker) -> bool:
    """Whether a worker that names no workflow types has none, where it could as well mean any.

    The released SDK's worker says what contracts its workflows have, also when there are none; others leave the field out.
    """
    return "workflow_command_contracts" in worker.info and bool(worker.info.get("supported_activity_types"))


class Registry:
    """The registrations in memory; the caller keeps them on disk.

    Args:
        draining: (namespace, queue, build) of the builds that get no new tasks; may change.
        contracts: what workers said that are perhaps registered no more.
    """

    def __init__(
        self,
        workers: Iterable[Worker],
        now: float,
        draining: Set[tuple[str, str, str]] = frozenset(),
        contracts: Iterable[CommandContract] = (),
    ) -> None:
        self._draining = draining
        self._last = {(word.namespace, word.task_queue, word.workflow_type): word for word in contracts}
        # After a restart nobody has been heard of yet; without this grace every query would find no worker.
        self._workers: dict[WorkerKey, Worker] = {(w.namespace, w.worker_id): w for w in workers}
        self._seen: dict[WorkerKey, float] = dict.fromkeys(self._workers, now)
        self._types: dict[tuple[WorkerKey, str], Types] = {}
        self._takes: dict[tuple[WorkerKey, str], Takes] = {}
        self._shared: dict[tuple[Types, frozenset[str]], Takes] = {}
        self._known: dict[QueueName, dict[str, Known]] = {}
        self._by_queue: dict[QueueName, dict[WorkerKey, None]] = {}
        for key, worker in self._workers.items():
            self._by_queue.setdefault((worker.namespace, worker.task_queue), {})[key] = None

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def add(self, worker: Worker, most: int) -> Worker:
        """Take in a registration, or replace the worker's earlier one, whose age it keeps.

        Raises:
            LimitReached
        """
        key = (worker.namespace, worker.worker_id)
        if key not in self._workers and len(self._workers) >= most:
            raise LimitReached(f"{most} workers are registered already (engines.durable.max_workers)", limit=most)
        earlier = self.remove(key)
        if earlier is not None:
            worker = replace(worker, registered=earlier.registered)
        self._workers[key] = worker
        self._seen[key] = worker.heartbeat
        queue = (worker.namespace, worker.task_queue)
        self._by_queue.setdefault(queue, {})[key] = None
        self._known.pop(queue, None)
        return worker

    def remove(self, key: WorkerKey) -> Worker | None:
        """Forget a registration."""
        worker = self._workers.pop(key, None)
        if worker is not None:
            self._seen.pop(key, None)
            for kind in ("workflow", "activity"):
                self._types.pop((key, kind), None)
            self.look_again(key)
            queue = (worker.namespace, worker.task_queue)
            on_queue = self._by_queue[queue]
            del on_queue[key]
            self._known.pop(queue, None)
            if not on_queue:
                del self._by_queue[queue]
        return worker

    def keys_of(self, namespace: str) -> list[WorkerKey]:
        """Everyone registered in a namespace."""
        return [key for key in self._workers if key[0] == namespace]

    def find(self, key: WorkerKey) -> Worker:
        """A registration.

        Raises:
            WorkerNotRegistered
        """
        worker = self._workers.get(key)
        if worker is None:
            raise WorkerNotRegistered(
                f"worker {key[1]!r} is not registered in namespace {key[0]!r}; register it first", worker_id=key[1]
            )
        return worker

    def get(self, key: WorkerKey) -> Worker | None:
        """A registration, if there is one."""
        return self._workers.get(key)

    def on_queue(self, queue: QueueName) -> list[Worker]:
        """The workers of a queue, oldest registration first."""
        return [self._workers[key] for key in self._by_queue.get(queue, ())]

    def queues(self, namespace: str) -> list[str]:
        """The queues that workers of a namespace are registered for."""
        return [queue for space, queue in self._by_queue if space == namespace]

    # ---- polls -----------------------------------------------------------------------------------------------------

    def check_poll(self, key: WorkerKey, task_queue: str, build_id: str | None) -> Worker:
        """The registration behind a poll.

        Raises:
            WorkerNotRegistered
            Conflict: with reason `task_queue_mismatch`, `build_id_mismatch` or `worker_draining`.
        """
        worker = self.find(key)
        if worker.task_queue != task_queue:
            raise Conflict(
                f"worker {key[1]!r} is registered for queue {worker.task_queue!r}, not {task_queue!r}",
                reason="task_queue_mismatch", worker_id=key[1], task_queue=worker.task_queue,
            )  # fmt: skip
        registered = worker.info.get("build_id")
        if build_id is not None and registered is not None and build_id != registered:
            raise Conflict(
                f"worker {key[1]!r} is registered with build {registered!r}, not {build_id!r}",
                reason="build_id_mismatch", worker_id=key[1], build_id=registered,
            )  # fmt: skip
        if self._draining and self.drains(worker):
            raise Conflict(
                f"build {build_of(worker)!r} of worker {key[1]!r} is draining on queue {task_queue!r}: it gets no new tasks",
                reason="worker_draining", worker_id=key[1],
            )  # fmt: skip
        return worker

    def drains(self, worker: Worker) -> bool:
        """Whether a worker gets no new tasks because its build is draining."""
        return (worker.namespace, worker.task_queue, build_of(worker)) in self._draining

    def status(self, worker: Worker, since: float) -> str:
        """`stale` where it was not heard of since then, else `draining` or `active`."""
        if self.seen(worker) < since:
            return "stale"
        return "draining" if self.drains(worker) else "active"

    def types(self, key: WorkerKey, kind: str) -> Types:
        """What a worker takes of a kind of task (`workflow` or `activity`); an empty registration takes any."""
        found = self._types.get((key, kind), False)
        if found is not False:
            return found  # type: ignore[return-value]  # False only marks what has not been worked out yet
        given = self._workers[key].info.get(f"supported_{kind}_types")
        names = [name for name in given[:MAX_TYPES] if isinstance(name, str)] if isinstance(given, (list, tuple)) else []
        self._types[(key, kind)] = types = frozenset(names) or None
        return types

    def takes(self, key: WorkerKey, kind: str, more: Callable[[Worker], Iterable[str]] = no_lanes) -> Takes:
        """What a poll of a worker takes.

        Args:
            kind: `workflow`, `workflow+validation`, `update_validation`, `query` or `activity`.
            more: further lanes of a worker for activities; asked only the first time, and after `look_again`.
        """
        found = self._takes.get((key, kind))
        if found is not None:
            return found
        worker, bases = self._workers[key], _BASES[kind]
        if kind in ("workflow", "workflow+validation") and is_cooperative(worker):
            bases = (*bases, COOPERATIVE)
        lanes = lanes_of_build(bases, build_of(worker))
        if kind == "activity":
            lanes.update(more(worker))
        what = (self.types(key, "activity" if kind == "activity" else "workflow"), frozenset(lanes))
        takes = self._shared.get(what)
        if takes is None:
            if len(self._shared) >= MAX_SHARED:
                self._shared.clear()
            takes = self._shared[what] = Takes(*what)
        self._takes[(key, kind)] = takes
        return takes

    def look_again(self, key: WorkerKey) -> None:
        """What a worker takes has changed."""
        for kind in _BASES:
            self._takes.pop((key, kind), None)

    # ---- life ------------------------------------------------------------------------------------------------------

    def heard_of(self, key: WorkerKey, now: float) -> None:
        """A worker did something."""
        if key in self._seen:
            self._seen[key] = now

    def seen(self, worker: Worker) -> float:
        """When a worker was last heard of."""
        return self._seen[(worker.namespace, worker.worker_id)]

    def beat(self, key: WorkerKey, now: float, info: dict[str, Any]) -> Worker:
        """A worker's heartbeat: the registration as it is to be stored.

        Raises:
            WorkerNotRegistered
        """
        worker = self.find(key)
        changes = {k: v for k, v in info.items() if k in ("task_slots", "process_metrics")}
        self._workers[key] = worker = replace(worker, heartbeat=now, info={**worker.info, **changes} if changes else worker.info)
        self._seen[key] = now
        return worker

    def silent_since(self, before: float) -> list[WorkerKey]:
        """Workers that have not been heard of since then."""
        return [key for key, seen in self._seen.items() if seen < before]

    # ---- workflow types --------------------------------------------------------------------------------------------

    def serving(self, queue: QueueName, workflow_type: str, since: float) -> list[Worker]:
        """The workers of a queue that take new tasks of a workflow type and were heard of since then."""
        return [w for w in self._of_type(queue, workflow_type) if self.status(w, since) == "active"]

    def known(self, queue: QueueName, workflow_type: str) -> Known:
        """What the registered workers of a queue say of a workflow type, alive or not; without any, what the last one said."""
        types = self._known.get(queue)
        if types is None:
            types = self._known[queue] = {}
            if len(self._known) > MAX_SHARED:
                self._known = {queue: types}
        found = types.get(workflow_type)
        if found is None:
            if len(types) >= MAX_TYPES:
                types.clear()
            workers = [*self._of_type(queue, workflow_type)]
            last = self._last.get((*queue, workflow_type))
            found = types[workflow_type] = known_of(workers, workflow_type) if workers else known_from(last)
        return found

    def remember(self, worker: Worker) -> list[CommandContract]:
        """Keep what a worker says of its workflows beyond its registration. Returns what is new in it, to be stored."""
        told = worker.info.get("workflow_command_contracts")
        new = []
        for workflow_type in [*told][:MAX_TYPES] if isinstance(told, Mapping) else ():
            word = last_word(worker, workflow_type)
            key = (worker.namespace, worker.task_queue, workflow_type)
            if word is None or self._last.get(key) == word or (key not in self._last and len(self._last) >= MAX_REMEMBERED):
                continue
            self._last[key] = word
            new.append(word)
        return new

    def forget_namespace(self, namespace: str) -> None:
        """The namespace was deleted: what its workers said is forgotten; their registrations are removed one by one."""
        self._last = {key: word for key, word in self._last.items() if key[0] != namespace}

    def _of_type(self, queue: QueueName, workflow_type: str) -> Iterator[Worker]:
        for key in self._by_queue.get(queue, ()):
            types, worker = self.types(key, "workflow"), self._workers[key]
            if workflow_type in types if types is not None else not _only_does_activities(worker):
                yield worker
