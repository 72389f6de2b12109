"""What operators have said of builds."""

from dataclasses import asdict
from typing import Any

from triplane.entities import BuildRollout
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

UPSERT_ROLLOUT = "INSERT INTO build_rollouts VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET body = excluded.body"


def rollout_row(rollout: BuildRollout) -> tuple[Any, ...]:
    """Parameters of `UPSERT_ROLLOUT`."""
    return (rollout.namespace, rollout.task_queue, rollout.build_id, pack(asdict(rollout)))


class SqliteRolloutStore:
    """Reads rollouts."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def all(self) -> list[BuildRollout]:
        """Every rollout, by namespace, queue and build."""
        rows = self._readers.get().execute("SELECT body FROM build_rollouts ORDER BY namespace, task_queue, build_id")
        return [BuildRollout(**unpack(row[0])) for row in rows]
