"""Registered workers."""

from typing import Any

from triplane.entities import Worker
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

UPSERT_WORKER = (
    "INSERT INTO workers VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE SET task_queue = excluded.task_queue,"
    " registered = excluded.registered, heartbeat = excluded.heartbeat, info = excluded.info"
)
DELETE_WORKER = "DELETE FROM workers WHERE namespace = ? AND worker_id = ?"


def worker_row(worker: Worker) -> tuple[Any, ...]:
    """Parameters of `UPSERT_WORKER`."""
    return (
        worker.namespace, worker.worker_id, worker.task_queue, worker.registered, worker.heartbeat, pack(worker.info),
    )  # fmt: skip


class SqliteWorkerStore:
    """Reads registered workers."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def all(self) -> list[Worker]:
        """Every worker, oldest registration first."""
        rows = self._readers.get().execute(
            "SELECT namespace, worker_id, task_queue, registered, heartbeat, info FROM workers ORDER BY registered, worker_id"
        )
        return [_worker_from(row) for row in rows]


def _worker_from(row: tuple[Any, ...]) -> Worker:
    namespace, worker_id, task_queue, registered, heartbeat, info = row
    return Worker(namespace, worker_id, task_queue, registered, heartbeat, unpack(info))
