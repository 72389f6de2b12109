"""Who holds which task, as far as this process knows: enough to give a leaving worker's tasks back."""

from triplane.matching.registry import WorkerKey


class LeaseBook:
    """Leases by task and by worker. The runs themselves know better; this only finds them."""

    def __init__(self) -> None:
        self._owner: dict[str, WorkerKey] = {}
        self._tasks: dict[WorkerKey, dict[str, None]] = {}

    def add(self, task_id: str, worker: WorkerKey) -> None:
        """A worker has a task."""
        self.end(task_id)
        self._owner[task_id] = worker
        self._tasks.setdefault(worker, {})[task_id] = None

    def end(self, task_id: str) -> None:
        """Nobody has the task any more."""
        worker = self._owner.pop(task_id, None)
        if worker is not None:
            tasks = self._tasks[worker]
            del tasks[task_id]
            if not tasks:
                del self._tasks[worker]

    def has(self, task_id: str) -> bool:
        """Whether somebody has the task."""
        return task_id in self._owner

    def of(self, worker: WorkerKey) -> list[str]:
        """What a worker holds, oldest first."""
        return list(self._tasks.get(worker, ()))
