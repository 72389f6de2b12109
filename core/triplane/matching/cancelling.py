"""Requests for cooperative cancellation: only where somebody is there who understands them."""

import asyncio
from collections.abc import Callable
from typing import Any

from triplane.commands.base import Command
from triplane.commands.cancelling import BeginCancellation, RequestCancellation
from triplane.engines.durable.settings import DurableSettings
from triplane.errors import Conflict
from triplane.matching.registry import Registry, is_cooperative
from triplane.service import BusPort, Caller


class Cancellations:
    """Passes requests on to runs that some live worker can take them to."""

    def __init__(self, settings: DurableSettings, bus: BusPort, registry: Registry) -> None:
        self._settings, self._bus, self._registry = settings, bus, registry

    def handlers(self) -> dict[type[Command], Callable[[Any, Caller], Any]]:
        """What it answers."""
        return {RequestCancellation: self.request}

    def request(self, command: RequestCancellation, caller: Caller) -> "asyncio.Future[Any]":
        """Ask a run to cancel itself.

        Raises:
            Conflict: with reason `cooperative_cancellation_unavailable`.
        """
        run_id = self._bus.current_run_id(command.namespace, command.workflow_id)
        live = self._bus.live(run_id) if run_id is not None else None
        if live is not None and live.run.engine == "durable":
            run, since = live.run, self._bus.clock.now() - self._settings.worker_stale_s
            workers = self._registry.serving((run.namespace, run.task_queue), run.workflow_type, since)
            if not any(is_cooperative(worker) for worker in workers):
                raise Conflict(
                    f"no live worker of queue {run.task_queue!r} understands cooperative cancellation; cancel closes the run at once",
                    reason="cooperative_cancellation_unavailable", workflow_id=run.workflow_id, run_id=run.run_id,
                )  # fmt: skip
        begin = BeginCancellation(
            namespace=command.namespace, workflow_id=command.workflow_id, run_id=command.run_id, request=command,
            reason=command.reason, cleanup_timeout_s=command.cleanup_timeout_s,
        )  # fmt: skip
        return self._bus.send(begin, caller)
