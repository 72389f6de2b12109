"""The operator's commands on workers, task queues and builds."""

import asyncio
from collections.abc import Callable
from typing import Any

from triplane.audit import audit_record
from triplane.commands.fleet import SetBuildRollout, ShowBuilds, ShowTaskQueue, ShowTaskQueues, ShowWorker, ShowWorkers
from triplane.engines.durable.settings import DurableSettings
from triplane.matching.polls import PollDesk
from triplane.matching.registry import Registry, build_of
from triplane.matching.rollouts import Rollouts
from triplane.matching.roster import Roster
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice


class Fleet:
    """Answers the commands of `triplane.commands.fleet`."""

    def __init__(
        self, settings: DurableSettings, bus: BusPort, registry: Registry, rollouts: Rollouts, desk: PollDesk, roster: Roster
    ) -> None:
        self._settings, self._bus, self._registry, self._rollouts = settings, bus, registry, rollouts
        self._desk, self._roster = desk, roster

    def show_workers(self, command: ShowWorkers, caller: Caller) -> dict[str, Any]:
        """See the command."""
        shown = self._roster.workers(command.namespace, command.task_queue, command.status)
        return {"workers": shown, "stale_after_seconds": self._settings.worker_stale_s}

    def show_worker(self, command: ShowWorker, caller: Caller) -> dict[str, Any]:
        """See the command."""
        return self._roster.worker(self._registry.find((command.namespace, command.worker_id)))

    def show_task_queues(self, command: ShowTaskQueues, caller: Caller) -> list[dict[str, Any]]:
        """See the command."""
        return self._roster.task_queues(command.namespace)

    def show_task_queue(self, command: ShowTaskQueue, caller: Caller) -> dict[str, Any]:
        """See the command."""
        return self._roster.task_queue(command.namespace, command.task_queue)

    def show_builds(self, command: ShowBuilds, caller: Caller) -> dict[str, Any]:
        """See the command."""
        shown = self._roster.builds(command.namespace, command.task_queue)
        return {"builds": shown, "stale_after_seconds": self._settings.worker_stale_s}

    def set_rollout(self, command: SetBuildRollout, caller: Caller) -> "asyncio.Future[Any]":
        """Drain, resume or promote a build. Its workers' polls that wait are answered with nothing when it drains.

        Raises:
            LimitReached
        """
        queue, build = (command.namespace, command.task_queue), (command.build_id or "").strip()
        now = self._bus.clock.now()
        changed = self._rollouts.change(queue, build, command.action, now)
        rollout = changed[0]
        if command.action == "drain":
            for worker in self._registry.on_queue(queue):
                if build_of(worker) == build:
                    self._desk.dismiss((worker.namespace, worker.worker_id))
        audit = (audit_record(command, caller, now, "", "", "accepted"),)
        reply = {
            "task_queue": command.task_queue,
            "build_id": build or None,
            "drain_intent": "draining" if rollout.drained_at is not None else "active",
            "drained_at": rollout.drained_at,
            "promoted_at": rollout.promoted_at,
            "new_start_selected": rollout.selected,
        }
        written = self._bus.write(Slice(rollouts=changed, audit=audit))
        written.add_done_callback(self._written)
        return then(written, reply)

    def _written(self, done: "asyncio.Future[Any]") -> None:
        if done.cancelled() or done.exception() is not None:
            self._rollouts.take_back(self._bus.store.rollouts.all())

    def handlers(self) -> dict[type, Callable[[Any, Caller], Any]]:
        """Handler by command."""
        return {
            SetBuildRollout: self.set_rollout,
            ShowWorkers: self.show_workers,
            ShowWorker: self.show_worker,
            ShowTaskQueues: self.show_task_queues,
            ShowTaskQueue: self.show_task_queue,
            ShowBuilds: self.show_builds,
        }


def then(first: "asyncio.Future[Any]", value: Any) -> "asyncio.Future[Any]":
    """A future of `value`, once `first` has ended well."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(ended: "asyncio.Future[Any]") -> None:
        if future.done():
            return
        if ended.cancelled():
            future.cancel()
        elif (error := ended.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    first.add_done_callback(done)
    return future
