"""Long polls: one task wakes one poll, and a task that was given to a dead connection goes to the retry or back to its queue."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from triplane.commands.workers import PollTask
from triplane.effects import OfferTask
from triplane.engines.durable.settings import DurableSettings
from triplane.errors import LimitReached
from triplane.matching.queues import ORDINARY, Takes, TaskQueue
from triplane.matching.registry import WorkerKey
from triplane.service import Caller, Handing

PollKey = tuple[str, str, str, str]
"""(namespace, worker id, kind, poll id)"""
QueueKey = tuple[str, str, str]
"""(namespace, task queue, kind)"""
Leased = dict[str, Any]

MAX_ANSWERS = 10_000


@dataclass(slots=True, eq=False)
class Waiter:
    """A poll that has no answer yet.

    Attributes:
        number: order of arrival.
        kind: of poll, as `Registry.takes` knows it.
        deadline: the loop's time at which it is answered with nothing.
        leasing: a task is on its way to it, so the deadline waits for the outcome.
    """

    number: int
    worker: WorkerKey
    kind: str
    takes: Takes
    queue_key: QueueKey
    caller: Caller
    deadline: float
    page_size: int
    poll_key: PollKey | None
    future: Handing
    leasing: bool = False
    alarm: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Answer:
    """A task given to a poll, for the same poll coming again until `until` (the loop's time)."""

    task_id: str
    task: Leased
    until: float


def queue_kind(kind: str) -> str:
    """The queue that tasks of a kind wait in: update validations wait where workflow tasks do, for one poll takes both."""
    return "workflow" if kind == "update_validation" else kind


def _id_of(task: Leased) -> str:
    found: str = task.get("task_id") or task.get("query_task_id") or task["update_validation_task_id"]
    return found


class PollDesk:
    """Brings ready tasks and waiting polls together. All of it on the event loop's thread.

    Args:
        lease: begins to lease a task to a poll; the outcome comes by `deliver`.
        give_back: called with a worker and the id of a task that was leased to it and reached nobody.
    """

    def __init__(
        self,
        settings: DurableSettings,
        lease: Callable[[Waiter, OfferTask], None],
        give_back: Callable[[WorkerKey, str], None],
    ) -> None:
        self.settings = settings
        self._lease, self._give_back = lease, give_back
        self._queues: dict[QueueKey, TaskQueue] = {}
        self._where: dict[str, QueueKey] = {}
        self._waiters: dict[int, Waiter] = {}
        self._by_worker: dict[WorkerKey, dict[int, Waiter]] = {}
        self._by_poll: dict[PollKey, Waiter] = {}
        self._answers: OrderedDict[PollKey, _Answer] = OrderedDict()
        self._answered_for: dict[str, PollKey] = {}
        self._held: dict[str, asyncio.TimerHandle] = {}
        self._count = 0
        self._closed = False

    def __len__(self) -> int:
        """Polls that wait."""
        return len(self._waiters)

    # ---- tasks -----------------------------------------------------------------------------------------------------

    def offer(self, offer: OfferTask, lane: str = ORDINARY) -> None:
        """A task is ready: it goes to the poll that has waited longest for its like, or into its queue."""
        key = (offer.namespace, offer.task_queue, queue_kind(offer.kind))
        queue = self._queue(key)
        while (waiting := queue.waiter_for(offer.item_type, lane)) is not None:
            waiter = self._waiters.get(waiting.number)
            if waiter is not None and not waiter.future.done():
                self._begin_lease(waiter, offer)
                self._tidy(key)
                return
        queue.add(offer, lane)
        self._where[offer.task_id] = key

    def withdraw(self, task_id: str) -> None:
        """A task is not to be had any more."""
        key = self._where.pop(task_id, None)
        if key is not None:
            self._queues[key].remove(task_id)
            self._tidy(key)

    def holds(self, task_id: str) -> bool:
        """Whether a task waits in a queue, or for a poll to come again."""
        return task_id in self._where or task_id in self._held

    def ready(self, key: QueueKey) -> TaskQueue | None:
        """The tasks of a queue that wait for a worker; None where there are none."""
        return self._queues.get(key)

    def queues(self, namespace: str) -> list[str]:
        """The task queues of a namespace in which something waits, tasks or polls."""
        return list({queue for space, queue, _ in self._queues if space == namespace})

    # ---- polls -----------------------------------------------------------------------------------------------------

    def poll(
        self, command: PollTask, worker: WorkerKey, kind: str, takes: Takes, caller: Caller
    ) -> "asyncio.Future[Leased | None] | Leased | None":
        """A task, or the future of one, or None where there is none and the poll does not wait.

        Args:
            kind: of poll; takes: what it takes, now.

        Raises:
            LimitReached: too many polls wait.
        """
        if self._closed:
            return None
        loop = asyncio.get_running_loop()
        poll_key = (worker[0], worker[1], command.kind, command.poll_id) if command.poll_id is not None else None
        if poll_key is not None:
            answer = self._answers.get(poll_key)
            if answer is not None and loop.time() < answer.until:
                held = self._held.pop(answer.task_id, None)
                if held is not None:
                    held.cancel()
                return answer.task
        key = (command.namespace, command.task_queue, queue_kind(command.kind))
        if len(self._waiters) >= self.settings.max_waiting_polls:
            raise LimitReached(
                f"{self.settings.max_waiting_polls} polls wait already (engines.durable.max_waiting_polls)",
                reason="long_poll_capacity_exhausted",
            )
        queue = self._queue(key)
        offer = queue.take(takes)
        if offer is None and command.timeout_s == 0:
            self._tidy(key)
            return None
        self._count += 1
        future = Handing(loop=loop)
        deadline = loop.time() + command.timeout_s
        waiter = Waiter(
            self._count, worker, kind, takes, key, caller, deadline, command.history_page_size, poll_key, future
        )
        self._waiters[waiter.number] = waiter
        self._by_worker.setdefault(worker, {})[waiter.number] = waiter
        future.undelivered = partial(self._undelivered, waiter)
        future.add_done_callback(partial(self._gone, waiter))
        if poll_key is not None:
            earlier = self._by_poll.get(poll_key)
            self._by_poll[poll_key] = waiter
            if earlier is not None and not earlier.future.done():
                # Its client has left it and asks again; what may be on its way to it will find the new one.
                self._queue(earlier.queue_key).leave(earlier)
                earlier.future.set_result(None)
        if offer is not None:
            self._where.pop(offer.task_id, None)
            self._begin_lease(waiter, offer)
        else:
            queue.wait(waiter)
            waiter.alarm = loop.call_at(deadline, self._expire, waiter)
        return future

    def deliver(self, waiter: Waiter, task: Leased | None, task_id: str, lasts_s: float) -> None:
        """The outcome of a lease.

        Args:
            task: what the worker gets; None where the task was not to be had, so that the poll goes on waiting.
            lasts_s: seconds the lease lasts, and its answer may be repeated.
        """
        waiter.leasing = False
        if task is None:
            if not waiter.future.done():
                self._wait_on(waiter)
            return
        receiver: Waiter | None = waiter
        if waiter.future.done():
            receiver = self._by_poll.get(waiter.poll_key) if waiter.poll_key is not None else None
            if receiver is not None and (receiver.leasing or receiver.future.done()):
                receiver = None
        if waiter.poll_key is not None:
            self._remember(waiter.poll_key, _Answer(task_id, task, asyncio.get_running_loop().time() + lasts_s))
        if receiver is not None:
            self._queue(receiver.queue_key).leave(receiver)
            receiver.future.set_result(task)
        else:
            self._hold(waiter, task_id)

    def forget(self, task_id: str) -> None:
        """The lease of a task is over: no poll is given it again."""
        poll_key = self._answered_for.pop(task_id, None)
        if poll_key is not None:
            self._answers.pop(poll_key, None)
        held = self._held.pop(task_id, None)
        if held is not None:
            held.cancel()

    def dismiss(self, worker: WorkerKey) -> None:
        """Answer all polls of a worker with nothing."""
        for waiter in [*self._by_worker.get(worker, {}).values()]:
            self._answer_nothing(waiter)

    def look_again(self, worker: WorkerKey, takes: Callable[[str], Takes]) -> None:
        """What a worker's polls take has changed.

        Args:
            takes: what a poll of a kind takes now.
        """
        for waiter in [*self._by_worker.get(worker, {}).values()]:
            now = takes(waiter.kind)
            if now is waiter.takes:
                continue
            queue = self._queue(waiter.queue_key)
            waited = queue.leave(waiter)
            waiter.takes = now
            if waited and not waiter.future.done():
                self._wait_on(waiter)

    def close(self) -> None:
        """Answer everything that waits with nothing, now and from now on."""
        self._closed = True
        for waiter in [*self._waiters.values()]:
            self._answer_nothing(waiter)
        for held in self._held.values():
            held.cancel()
        self._held.clear()

    # ---- within ----------------------------------------------------------------------------------------------------

    def _queue(self, key: QueueKey) -> TaskQueue:
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = TaskQueue()
        return queue

    def _tidy(self, key: QueueKey) -> None:
        queue = self._queues.get(key)
        if queue is not None and queue.idle:
            del self._queues[key]

    def _begin_lease(self, waiter: Waiter, offer: OfferTask) -> None:
        waiter.leasing = True
        self._lease(waiter, offer)

    def _wait_on(self, waiter: Waiter) -> None:
        """A poll's task turned out not to be there: the next one, or more waiting."""
        loop = asyncio.get_running_loop()
        if loop.time() >= waiter.deadline or self._closed:
            waiter.future.set_result(None)
            return
        queue = self._queue(waiter.queue_key)
        offer = queue.take(waiter.takes)
        if offer is not None:
            self._where.pop(offer.task_id, None)
            self._begin_lease(waiter, offer)
            return
        queue.wait(waiter)
        if waiter.alarm is None:
            waiter.alarm = loop.call_at(waiter.deadline, self._expire, waiter)

    def _expire(self, waiter: Waiter) -> None:
        if not waiter.leasing:
            self._answer_nothing(waiter)

    def _answer_nothing(self, waiter: Waiter) -> None:
        self._queue(waiter.queue_key).leave(waiter)
        if not waiter.future.done():
            waiter.future.set_result(None)

    def _gone(self, waiter: Waiter, future: "asyncio.Future[Leased | None]") -> None:
        """A poll has its answer, or its client hung up."""
        # The two refer to each other, and polls are too many to be left to the garbage collector.
        waiter.future.undelivered = None
        self._waiters.pop(waiter.number, None)
        of_worker = self._by_worker.get(waiter.worker)
        if of_worker is not None:
            of_worker.pop(waiter.number, None)
            if not of_worker:
                del self._by_worker[waiter.worker]
        if waiter.alarm is not None:
            waiter.alarm.cancel()
        if waiter.poll_key is not None and self._by_poll.get(waiter.poll_key) is waiter:
            del self._by_poll[waiter.poll_key]
        queue = self._queues.get(waiter.queue_key)
        if queue is not None:
            queue.leave(waiter)
            self._tidy(waiter.queue_key)

    def _undelivered(self, waiter: Waiter, task: Leased | None) -> None:
        """The client hung up in the moment its answer came."""
        if task is not None:
            self._hold(waiter, _id_of(task))

    def _hold(self, waiter: Waiter, task_id: str) -> None:
        """A task reached nobody: it waits a little for the same poll to come again, then goes back to its queue."""
        if waiter.poll_key is None or self._closed:
            self._return(waiter.worker, task_id)
        else:
            loop = asyncio.get_running_loop()
            self._held[task_id] = loop.call_later(self.settings.handover_s, self._return, waiter.worker, task_id)

    def _remember(self, poll_key: PollKey, answer: _Answer) -> None:
        self._answers[poll_key] = answer
        self._answered_for[answer.task_id] = poll_key
        while len(self._answers) > MAX_ANSWERS:
            _, old = self._answers.popitem(last=False)
            self._answered_for.pop(old.task_id, None)

    def _return(self, worker: WorkerKey, task_id: str) -> None:
        self._held.pop(task_id, None)
        self.forget(task_id)
        self._give_back(worker, task_id)
