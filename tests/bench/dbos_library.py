"""Peer: DBOS on PostgreSQL, through a queue to a worker process, and called within one process."""

import functools
import time
from collections.abc import Callable
from contextlib import ExitStack

from environments import DBOS, python_of
from foreign import Foreign
from harness import Sample, tree_cpu_s
from postgres import Postgres

PATIENCE_S = 60.0


class Dbos:
    """Both ways, each with a database of its own; what is not being measured is frozen, because the worker polls."""

    def __init__(self, stack: ExitStack, postgres: Postgres) -> None:
        python = python_of(DBOS)
        self.postgres = postgres
        queue, call = postgres.database("bench_queue"), postgres.database("bench_call")
        self.worker = stack.enter_context(Foreign(python, "dbos_peer.py", "work", queue))
        # The worker looks for its queue in the database only every second at first.
        time.sleep(2)
        self.client = stack.enter_context(Foreign(python, "dbos_peer.py", "enqueue", queue))
        self.caller = stack.enter_context(Foreign(python, "dbos_peer.py", "call", call))
        self.version = str(self.caller.said["version"])
        for each in (self.worker, self.client, self.caller):
            each.freeze()

    def through_queue(self, clients: int, seconds: float) -> Callable[[], Sample]:
        """One process enqueues and waits, another works; CPU is the worker's and the database's."""
        return functools.partial(self._measure, self.client, [self.client, self.worker], self.worker.pid, clients, seconds)

    def called(self, clients: int, seconds: float) -> Callable[[], Sample]:
        """The workflow function called by threads of the process that runs it: a library, without any wire."""
        return functools.partial(self._measure, self.caller, [self.caller], self.caller.pid, clients, seconds)

    def _measure(self, client: Foreign, awake: list[Foreign], pid: int, clients: int, seconds: float) -> Sample:
        for each in awake:
            each.thaw()
        try:
            client.order(seconds + PATIENCE_S, clients=clients, seconds=seconds / 10)
            pids = [pid, self.postgres.pid]
            cpu = tree_cpu_s(pids)
            said = client.order(seconds + PATIENCE_S, clients=clients, seconds=seconds)
            return Sample.of(said["latencies"], said["took"], tree_cpu_s(pids) - cpu)
        finally:
            for each in awake:
                each.freeze()
