"""What operators have said of builds, by task queue: which drain, and which one new starts go to (contract durable 2.6)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from triplane.entities import BuildRollout
from triplane.errors import LimitReached
from triplane.matching.registry import QueueName

MAX_PER_QUEUE = 1_000


class Rollouts:
    """The rollouts in memory; the caller keeps them on disk.

    Attributes:
        draining: (namespace, queue, build) of the builds that drain.
        selected: queue → the build that new starts are pinned to.
    """

    def __init__(self, rollouts: Iterable[BuildRollout] = ()) -> None:
        self._by_queue: dict[QueueName, dict[str, BuildRollout]] = {}
        self.draining: set[tuple[str, str, str]] = set()
        self.selected: dict[QueueName, str] = {}
        for rollout in rollouts:
            self._put(rollout)

    def forget_namespace(self, namespace: str) -> None:
        """The namespace was deleted."""
        self.take_back([rollout for queue, builds in self._by_queue.items() if queue[0] != namespace for rollout in builds.values()])

    def take_back(self, stored: Iterable[BuildRollout]) -> None:
        """What was said last could not be stored: only what is in the store holds."""
        stored = list(stored)
        self._by_queue.clear()
        self.draining.clear()
        self.selected.clear()
        for rollout in stored:
            self._put(rollout)

    def of(self, queue: QueueName) -> Mapping[str, BuildRollout]:
        """What was said of the builds of a queue."""
        return self._by_queue.get(queue, {})

    def queues(self, namespace: str) -> list[str]:
        """The queues of a namespace of whose builds something was said."""
        return [queue for space, queue in self._by_queue if space == namespace]

    def change(self, queue: QueueName, build: str, action: str, now: float) -> list[BuildRollout]:
        """Take in an operator's word.

        Args:
            action: `drain`, `resume` or `promote`.

        Returns:
            What is to be stored, the build's own rollout first.

        Raises:
            LimitReached: too many builds of the queue are remembered.
        """
        known = self.of(queue)
        if build not in known and len(known) >= MAX_PER_QUEUE:
            raise LimitReached(f"{MAX_PER_QUEUE} builds of queue {queue[1]!r} are remembered already", limit=MAX_PER_QUEUE)
        before = known.get(build) or BuildRollout(*queue, build)
        if action == "drain":
            # A drained build takes nothing new, so nothing new may be pinned to it.
            after = replace(before, drained_at=now if before.drained_at is None else before.drained_at, selected=False)
        elif action == "promote":
            after = replace(before, drained_at=None, promoted_at=now, selected=True)
        else:
            after = replace(before, drained_at=None)
        changed = [after]
        if after.selected:
            changed.extend(replace(other, selected=False) for other in known.values() if other.selected and other.build_id != build)
        for rollout in changed:
            self._put(rollout)
        return changed

    def _put(self, rollout: BuildRollout) -> None:
        queue, build = (rollout.namespace, rollout.task_queue), rollout.build_id
        self._by_queue.setdefault(queue, {})[build] = rollout
        if rollout.drained_at is not None:
            self.draining.add((*queue, build))
        else:
            self.draining.discard((*queue, build))
        if rollout.selected:
            self.selected[queue] = build
        elif self.selected.get(queue) == build:
            del self.selected[queue]
