"""Errands: what somebody waits for while a worker does it, and what is stored nowhere. A restart loses them; the asker asks again.

Queries and update validations are errands. Each is open until it is answered or its time is over, is held by one worker
at a time, and is bounded by queue and over all.
"""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from triplane.commands.base import RunCommand
from triplane.commands.workers import TaskReport
from triplane.effects import OfferTask
from triplane.engines.durable.settings import DurableSettings
from triplane.entities import Run
from triplane.errors import GatewayError, LeaseLost, LimitReached, TaskNotFound

MAX_OVER = 10_000

C = TypeVar("C", bound=RunCommand)


@dataclass(slots=True, eq=False)
class Errand(Generic[C]):
    """A request on its way to a worker and back; `owner` is empty until a worker has it.

    Attributes:
        build: the build its run is pinned to, if it is.
        deadline: the loop's time at which its asker is told that it took too long.
    """

    task_id: str
    run: Run
    command: C
    build: str | None
    priority: int
    arguments: dict[str, Any]
    future: "asyncio.Future[Any]"
    alarm: asyncio.TimerHandle
    deadline: float
    attempt: int = 0
    owner: str = ""


class ErrandDesk(Generic[C]):
    """Open errands of one kind, by task id.

    Attributes:
        kind: of the tasks they become; prefix: of their ids; thing: what people call one.
    """

    kind: ClassVar[str]
    prefix: ClassVar[str]
    thing: ClassVar[str]
    not_found: ClassVar[str]
    not_leased: ClassVar[str]
    stale: ClassVar[str]
    answered: ClassVar[str]
    timed_out: ClassVar[str]
    """The contract's reasons for refusing a report."""

    def __init__(self, settings: DurableSettings) -> None:
        self.settings = settings
        self._open: dict[str, Errand[C]] = {}
        self._over: OrderedDict[str, str] = OrderedDict()
        self._per_queue: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def pending(self, namespace: str, task_queue: str) -> int:
        """How many are open on a queue."""
        return self._per_queue.get((namespace, task_queue), 0)

    # ---- the asker -------------------------------------------------------------------------------------------------

    def _begin(
        self, run: Run, command: C, arguments: dict[str, Any], wait_s: float, build: str | None, priority: int
    ) -> Errand[C]:
        self._refuse_if_full(run)
        loop = asyncio.get_running_loop()
        task_id = f"{self.prefix}-{secrets.token_hex(12)}"
        future: asyncio.Future[Any] = loop.create_future()
        alarm = loop.call_later(wait_s, self._time_out, task_id)
        errand = Errand(task_id, run, command, build, priority, arguments, future, alarm, loop.time() + wait_s)
        self._open[task_id] = errand
        queue = (run.namespace, run.task_queue)
        self._per_queue[queue] = self._per_queue.get(queue, 0) + 1
        return errand

    def _refuse_if_full(self, run: Run) -> None:
        settings = self.settings
        if len(self._open) >= settings.max_waiting_queries:
            raise LimitReached(
                f"{settings.max_waiting_queries} {self.thing}s wait already (engines.durable.max_waiting_queries); try again"
            )
        if self.pending(run.namespace, run.task_queue) >= settings.max_queries_per_queue:
            raise LimitReached(
                f"{settings.max_queries_per_queue} {self.thing}s wait on queue {run.task_queue!r} already "
                "(engines.durable.max_queries_per_queue); try again"
            )

    def offer_of(self, errand: Errand[C]) -> OfferTask:
        """The errand as a task for matching."""
        run = errand.run
        return OfferTask(
            run.run_id, run.namespace, run.task_queue, self.kind, errand.task_id, run.workflow_type, run.workflow_id,
            priority=errand.priority, build=errand.build,
        )  # fmt: skip

    def forget(self, errand: Errand[C]) -> None:
        """Nobody waits for the answer any more."""
        errand.alarm.cancel()
        if errand.task_id in self._open:
            self._close(errand, self.timed_out)

    def close(self) -> None:
        """The gateway stops: every asker is told to come again."""
        for errand in [*self._open.values()]:
            self._answer(errand, self._stopping(errand))

    # ---- the worker ------------------------------------------------------------------------------------------------

    def claim(self, task_id: str, worker_id: str) -> Errand[C] | None:
        """Give an errand to a worker; None where nobody waits for the answer any more."""
        errand = self._open.get(task_id)
        if errand is None or errand.future.done():
            return None
        errand.attempt += 1
        errand.owner = worker_id
        return errand

    def unclaim(self, task_id: str, worker_id: str) -> Errand[C] | None:
        """The worker did not get it after all, or left; the errand, if it is to be offered again."""
        errand = self._open.get(task_id)
        if errand is None or errand.owner != worker_id or errand.future.done():
            return None
        errand.owner = ""
        return errand

    def _fence(self, report: TaskReport) -> Errand[C]:
        errand = self._open.get(report.task_id)
        # Whether there is such a task in another namespace is nobody's business here.
        if errand is not None and errand.run.namespace != report.namespace:
            errand = None
        if errand is None:
            reason = self._over.get(report.task_id)
            if reason is None:
                raise TaskNotFound(f"no {self.thing} task {report.task_id!r}", task_id=report.task_id, reason=self.not_found)
            raise LeaseLost(f"{self.thing} task {report.task_id!r} is over", reason, task_id=report.task_id)
        if errand.owner != report.lease_owner:
            raise LeaseLost(
                f"{self.thing} task {report.task_id!r} is not leased to {report.lease_owner!r}",
                self.not_leased, task_id=report.task_id,
            )  # fmt: skip
        if errand.attempt != report.attempt:
            raise LeaseLost(
                f"{self.thing} task {report.task_id!r} is at attempt {errand.attempt}, not {report.attempt}",
                self.stale, task_id=report.task_id,
            )  # fmt: skip
        return errand

    # ---- within ----------------------------------------------------------------------------------------------------

    def _late(self, errand: Errand[C]) -> GatewayError:
        """What the asker is told when time is over."""
        raise NotImplementedError

    def _stopping(self, errand: Errand[C]) -> GatewayError:
        """What the asker is told when the gateway stops."""
        raise NotImplementedError

    def _time_out(self, task_id: str) -> None:
        errand = self._open.get(task_id)
        if errand is not None:
            self._answer(errand, self._late(errand), self.timed_out)

    def _answer(self, errand: Errand[C], outcome: Any, remembered: str = "") -> None:
        errand.alarm.cancel()
        self._close(errand, remembered or self.answered)
        if errand.future.done():
            return
        if isinstance(outcome, Exception):
            errand.future.set_exception(outcome)
        else:
            errand.future.set_result(outcome)

    def _close(self, errand: Errand[C], reason: str) -> None:
        del self._open[errand.task_id]
        queue = (errand.run.namespace, errand.run.task_queue)
        left = self._per_queue[queue] - 1
        if left:
            self._per_queue[queue] = left
        else:
            del self._per_queue[queue]
        self._over[errand.task_id] = reason
        while len(self._over) > MAX_OVER:
            self._over.popitem(last=False)
