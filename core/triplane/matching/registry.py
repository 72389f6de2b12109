"""Registered workers: who may poll what, and who has been heard of lately. Registrations outlive their connections and our restarts."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from triplane.entities import Worker
from triplane.errors import Conflict, LimitReached, WorkerNotRegistered
from triplane.matching.queues import Types

WorkerKey = tuple[str, str]
"""(namespace, worker id)"""

MAX_TYPES = 10_000


class Registry:
    """The registrations in memory; the caller keeps them on disk."""

    def __init__(self, workers: Iterable[Worker], now: float) -> None:
        # After a restart nobody has been heard of yet; without this grace every query would find no worker.
        self._workers: dict[WorkerKey, Worker] = {(w.namespace, w.worker_id): w for w in workers}
        self._seen: dict[WorkerKey, float] = dict.fromkeys(self._workers, now)
        self._types: dict[tuple[WorkerKey, str], Types] = {}
        self._by_queue: dict[tuple[str, str], set[WorkerKey]] = {}
        for key, worker in self._workers.items():
            self._by_queue.setdefault((worker.namespace, worker.task_queue), set()).add(key)

    def add(self, worker: Worker, most: int) -> None:
        """Take in a registration, or replace the worker's earlier one.

        Raises:
            LimitReached
        """
        key = (worker.namespace, worker.worker_id)
        if key not in self._workers and len(self._workers) >= most:
            raise LimitReached(f"{most} workers are registered already (engines.durable.max_workers)", limit=most)
        self.remove(key)
        self._workers[key] = worker
        self._seen[key] = worker.registered
        self._by_queue.setdefault((worker.namespace, worker.task_queue), set()).add(key)

    def remove(self, key: WorkerKey) -> Worker | None:
        """Forget a registration."""
        worker = self._workers.pop(key, None)
        if worker is not None:
            self._seen.pop(key, None)
            for kind in ("workflow", "activity"):
                self._types.pop((key, kind), None)
            on_queue = self._by_queue[(worker.namespace, worker.task_queue)]
            on_queue.discard(key)
            if not on_queue:
                del self._by_queue[(worker.namespace, worker.task_queue)]
        return worker

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

    def check_poll(self, key: WorkerKey, task_queue: str, build_id: str | None) -> Worker:
        """The registration behind a poll.

        Raises:
            WorkerNotRegistered
            Conflict: with reason `task_queue_mismatch` or `build_id_mismatch`.
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
        return worker

    def types(self, key: WorkerKey, kind: str) -> Types:
        """What a worker takes of a kind of task (`workflow` or `activity`); an empty registration takes any."""
        found = self._types.get((key, kind), False)
        if found is not False:
            return found  # type: ignore[return-value]  # False only marks what has not been worked out yet
        given = self._workers[key].info.get(f"supported_{kind}_types")
        names = [name for name in given[:MAX_TYPES] if isinstance(name, str)] if isinstance(given, (list, tuple)) else []
        self._types[(key, kind)] = types = frozenset(names) or None
        return types

    def heard_of(self, key: WorkerKey, now: float) -> None:
        """A worker did something."""
        if key in self._seen:
            self._seen[key] = now

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

    def has_fresh(self, namespace: str, task_queue: str, workflow_type: str, since: float) -> bool:
        """Whether a worker that takes the workflow type on that queue was heard of since then."""
        for key in self._by_queue.get((namespace, task_queue), ()):
            types = self.types(key, "workflow")
            if self._seen[key] >= since and (types is None or workflow_type in types):
                return True
        return False
