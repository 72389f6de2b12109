"""The fleet of workers as operators see and steer it: workers, task queues, builds. Source: contract durable 2.6.

What these are answered with is of this moment, from memory; times are wall-clock seconds. They are commands, not queries,
because only matching knows what waits and who polls.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from triplane.commands.base import Access, Command, Scope, ShortName
from triplane.commands.workers import WorkerId

BuildId = Annotated[str, Field(max_length=255)]


class SetBuildRollout(Command):
    """Say what becomes of a build on a task queue; kept until another word is said, also without any worker.

    `drain`: its workers get no new tasks. `resume`: they do again. `promote`: new starts on the queue are pinned to it, and
    it is not draining.

    Attributes:
        build_id: None for the workers that name no build.
    """

    name: ClassVar[str] = "set_build_rollout"
    access: ClassVar[Access] = Access.WRITE
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = "{task_queue, build_id, drain_intent: active|draining, drained_at, promoted_at, new_start_selected}"

    task_queue: ShortName
    build_id: BuildId | None
    action: Literal["drain", "resume", "promote"]


class ShowWorkers(Command):
    """The registered workers, of one queue or status if named, oldest registration first."""

    name: ClassVar[str] = "show_workers"
    access: ClassVar[Access] = Access.READ
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{workers: [worker], stale_after_seconds}"

    task_queue: ShortName | None = None
    status: Literal["active", "draining", "stale"] | None = None


class ShowWorker(Command):
    """One registered worker. Refused with `worker_not_registered`."""

    name: ClassVar[str] = "show_worker"
    access: ClassVar[Access] = Access.READ
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "the worker"

    worker_id: WorkerId


class ShowTaskQueues(Command):
    """Every queue that has workers, ready tasks, waiting polls or a rollout."""

    name: ClassVar[str] = "show_task_queues"
    access: ClassVar[Access] = Access.READ
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "[{name, namespace, stats, admission}]"


class ShowTaskQueue(Command):
    """One queue in full; a queue that nobody uses is shown empty."""

    name: ClassVar[str] = "show_task_queue"
    access: ClassVar[Access] = Access.READ
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{name, namespace, stats, admission, pollers, current_leases}"

    task_queue: ShortName


class ShowBuilds(Command):
    """The builds of a queue: those its workers are of, and those an operator has said something of."""

    name: ClassVar[str] = "show_builds"
    access: ClassVar[Access] = Access.READ
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{builds: [build], stale_after_seconds}"

    task_queue: ShortName


FLEET_COMMANDS: tuple[type[Command], ...] = (SetBuildRollout, ShowWorkers, ShowWorker, ShowTaskQueues, ShowTaskQueue, ShowBuilds)
