"""Matching: the service between durable runs and the workers that serve them."""

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar

from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.messages import AwaitUpdate, QueryRun
from triplane.commands.workers import (
    ActivityReport,
    CompleteActivity,
    CompleteQuery,
    CompleteWorkflowTask,
    DeregisterWorker,
    FailActivity,
    FailQuery,
    FailWorkflowTask,
    HeartbeatActivity,
    HeartbeatWorker,
    HeartbeatWorkflowTask,
    LeaseTask,
    PollTask,
    ReadTaskHistory,
    RegisterWorker,
    ReleaseLease,
    ReportOnTask,
    TaskReport,
)
from triplane.effects import Effect, OfferTask, Resolve, WithdrawTask
from triplane.engines.durable.activities import dead_heartbeat
from triplane.engines.durable.ids import TaskRef, parse_task_id
from triplane.engines.durable.settings import DurableSettings
from triplane.entities import Run, Worker
from triplane.errors import (
    GatewayError,
    LeaseLost,
    NotSupported,
    NoWorker,
    RunNotFound,
    ShuttingDown,
    TaskNotFound,
    UnknownCommand,
    WorkflowNotFound,
)
from triplane.events import Event
from triplane.matching.leases import LeaseBook
from triplane.matching.polls import PollDesk, Waiter
from triplane.matching.queries import QueryDesk, Question
from triplane.matching.registry import Registry, WorkerKey
from triplane.matching.updates import UpdateWaits, accepted, find_update, outcome_of
from triplane.queries import RunView
from triplane.service import SYSTEM, BusPort, Caller
from triplane.store.interface import Slice

_CLOSED_REASONS = {"cancelled": "run_cancelled", "terminated": "run_terminated"}
_FINAL_REPORTS = (CompleteWorkflowTask, FailWorkflowTask, CompleteActivity, FailActivity)
HISTORY_PAGE = 10_000


class Matching:
    """Registers workers, gives them tasks as runs offer them, and takes their reports to the runs.

    Attributes:
        settings: `[engines.durable]`.
    """

    name: ClassVar[str] = "matching"
    commands: ClassVar[tuple[type[Command], ...]] = (
        RegisterWorker, HeartbeatWorker, DeregisterWorker, PollTask, CompleteWorkflowTask, FailWorkflowTask,
        HeartbeatWorkflowTask, ReadTaskHistory, CompleteActivity, FailActivity, HeartbeatActivity, CompleteQuery,
        FailQuery, QueryRun, AwaitUpdate,
    )  # fmt: skip
    effects: ClassVar[tuple[type[Effect], ...]] = (OfferTask, WithdrawTask, Resolve)

    def __init__(self, settings: DurableSettings | None = None) -> None:
        self.settings = settings if settings is not None else DurableSettings()
        self.desk = PollDesk(self.settings, self._lease, self._give_back)
        self.queries = QueryDesk(self.settings)
        self.registry = Registry((), 0.0)
        self.leases = LeaseBook()
        self._updates = UpdateWaits()
        self._bus: BusPort
        self._draining = False
        self._handlers: dict[type[Command], Any] = {
            RegisterWorker: self._register,
            HeartbeatWorker: self._beat,
            DeregisterWorker: self._deregister,
            PollTask: self._poll,
            CompleteQuery: self._complete_query,
            FailQuery: self._fail_query,
            QueryRun: self._query,
            AwaitUpdate: self._await_update,
        }

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        self.registry = Registry(bus.store.workers.all(), bus.clock.now())

    async def drain(self) -> None:
        """Answer everything that waits; the tasks stay ready for the next start."""
        self._draining = True
        self.desk.close()
        self.queries.close()
        self._updates.close()

    async def stop(self) -> None:
        """Nothing of its own runs on."""

    def handle(self, command: Command, caller: Caller) -> Any:
        handler = self._handlers.get(type(command))
        if handler is not None:
            return handler(command, caller)
        if isinstance(command, (TaskReport, ActivityReport)):
            return self._report(command, caller)
        raise UnknownCommand(f"matching does not answer {command.name!r}")

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, OfferTask):
                self.desk.offer(effect)
            elif isinstance(effect, WithdrawTask):
                self.desk.withdraw(effect.task_id)
            elif isinstance(effect, Resolve):
                self._resolve(effect)

    def _resolve(self, effect: Resolve) -> None:
        if effect.topic == "lease_ended":
            self._lease_over(effect.value)
        elif effect.topic == "lease_held":
            view = self._bus.view(effect.run_id)
            if view is not None:
                self.leases.add(effect.value["task_id"], (view.run.namespace, effect.value["worker_id"]))
        elif effect.topic == "update_completed":
            self._updates.completed((effect.run_id, effect.value["update_id"]), effect.value["data"])

    # ---- workers ---------------------------------------------------------------------------------------------------

    def _register(self, command: RegisterWorker, caller: Caller) -> "asyncio.Future[Any]":
        now = self._bus.clock.now()
        worker = Worker(command.namespace, command.worker_id, command.task_queue, now, now, command.info)
        self.registry.add(worker, self.settings.max_workers)
        reply = {"worker_id": command.worker_id, "registered": True}
        audit = (audit_record(command, caller, now, "", "", "accepted"),)
        return _then(self._bus.write(Slice(workers=(worker,), audit=audit)), reply)

    def _beat(self, command: HeartbeatWorker, caller: Caller) -> dict[str, Any]:
        key = (command.namespace, command.worker_id)
        worker = self.registry.beat(key, self._bus.clock.now(), command.info)
        self._bus.write(Slice(workers=(worker,)), wait=False)
        return {"worker_id": command.worker_id, "acknowledged": True, "stale_after_seconds": self.settings.worker_stale_s}

    def _deregister(self, command: DeregisterWorker, caller: Caller) -> "asyncio.Future[Any]":
        key = (command.namespace, command.worker_id)
        self.registry.find(key)
        return self._bus.spawn(self._deregistered(command, key, caller), f"deregister {command.worker_id}")

    async def _deregistered(self, command: DeregisterWorker, key: WorkerKey, caller: Caller) -> dict[str, Any]:
        self.registry.remove(key)
        self.desk.dismiss(key)
        held = self.leases.of(key)
        released = await asyncio.gather(*(self._release(task_id, key, caller) for task_id in held))
        recovered = sum(1 for task_id, did in zip(held, released, strict=True) if did and task_id.startswith("wt-"))
        audit = (audit_record(command, caller, self._bus.clock.now(), "", "", "accepted"),)
        await self._bus.write(Slice(removed_workers=(key,), audit=audit))
        return {"worker_id": key[1], "recovered_workflow_task_count": recovered}

    async def _release(self, task_id: str, worker: WorkerKey, caller: Caller) -> bool:
        """Give a task that a worker holds back to its queue. Returns whether it was still held."""
        self._lease_over(task_id)
        question = self.queries.unclaim(task_id, worker[1])
        if question is not None:
            self.desk.offer(self.queries.offer_of(question))
            return True
        ref = parse_task_id(task_id)
        live = self._bus.live(ref.run_id) if ref is not None else None
        if live is None:
            return False
        run = live.run
        try:
            reply = await self._bus.send(
                ReleaseLease(
                    namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id, task_id=task_id, worker_id=worker[1]
                ),
                caller,
            )
        except GatewayError:
            return False  # the run closed, or the lease ends by itself
        return bool(reply["released"])

    def _give_back(self, worker: WorkerKey, task_id: str) -> None:
        self._bus.spawn(self._release(task_id, worker, SYSTEM), f"release {task_id}")

    # ---- polls -----------------------------------------------------------------------------------------------------

    def _poll(self, command: PollTask, caller: Caller) -> Any:
        key = (command.namespace, command.worker_id)
        self.registry.check_poll(key, command.task_queue, command.build_id)
        self.registry.heard_of(key, self._bus.clock.now())
        kind = "activity" if command.kind == "activity" else "workflow"
        return self.desk.poll(command, key, self.registry.types(key, kind), caller)

    def _lease(self, waiter: Waiter, offer: OfferTask) -> None:
        if offer.kind == "query":
            self._lease_query(waiter, offer)
            return
        run_id = offer.run_id
        try:
            live = self._bus.live(run_id)
            if live is None:
                self.desk.deliver(waiter, None, offer.task_id, 0.0)
                return
            # A worker must not decide on what may still be lost: a workflow lease is waited for only if the history it
            # shows is ahead of the disk. An activity attempt is on disk before it leaves, for it may be a payment.
            view = self._bus.view(run_id)
            wait = offer.kind == "activity" or view is None or view.run.history_length < live.run.history_length
            sent = self._bus.send(
                LeaseTask(
                    namespace=offer.namespace, workflow_id=offer.workflow_id, run_id=run_id, kind=offer.kind,
                    task_id=offer.task_id, worker_id=waiter.worker[1], history_page_size=waiter.page_size,
                ),
                waiter.caller, wait=wait,
            )  # fmt: skip
        except GatewayError:
            self.desk.deliver(waiter, None, offer.task_id, 0.0)
            return
        if sent.done():
            self._leased(waiter, offer, sent)
        else:
            sent.add_done_callback(lambda done: self._leased(waiter, offer, done))

    def _leased(self, waiter: Waiter, offer: OfferTask, sent: "asyncio.Future[Any]") -> None:
        # A refusal means that the run closed or is reloaded; it offers again what is still to be done.
        task = None if sent.cancelled() or sent.exception() is not None else sent.result()
        lasts_s = 0.0
        if task is not None:
            self.leases.add(offer.task_id, waiter.worker)
            lasts_s = task["lease_expires_at"] - self._bus.clock.now()
        self.desk.deliver(waiter, task, offer.task_id, lasts_s)

    def _lease_over(self, task_id: str) -> None:
        self.leases.end(task_id)
        self.desk.forget(task_id)

    # ---- reports ---------------------------------------------------------------------------------------------------

    def _report(self, command: TaskReport | ActivityReport, caller: Caller) -> Any:
        ref = parse_task_id(command.task_id)
        wanted = "workflow" if isinstance(command, TaskReport) else "activity"
        if ref is None or ref.kind != wanted:
            raise TaskNotFound(f"no {wanted} task {command.task_id!r}", task_id=command.task_id)
        self.registry.heard_of((command.namespace, command.lease_owner), self._bus.clock.now())
        live = self._bus.live(ref.run_id)
        if live is None:
            return self._report_on_closed(command, ref)
        run = live.run
        if run.namespace != command.namespace or run.engine != "durable":
            raise TaskNotFound(f"no {wanted} task {command.task_id!r}", task_id=command.task_id)
        report = ReportOnTask(namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id, report=command)
        sent = self._bus.send(report, caller, wait=command.durable)
        if isinstance(command, _FINAL_REPORTS):
            task_id = command.task_id
            sent.add_done_callback(lambda done: None if done.cancelled() or done.exception() else self._lease_over(task_id))
        return sent

    def _report_on_closed(self, command: TaskReport | ActivityReport, ref: TaskRef) -> Any:
        view = self._bus.view(ref.run_id)
        if view is None or view.run.namespace != command.namespace or view.run.engine != "durable":
            raise TaskNotFound(f"no {ref.kind} task {command.task_id!r}", task_id=command.task_id)
        self._lease_over(command.task_id)
        reason = _CLOSED_REASONS.get(view.run.status, "run_closed") if ref.kind == "activity" else "run_closed"
        if isinstance(command, HeartbeatActivity):
            return dead_heartbeat(reason)
        raise LeaseLost(
            f"workflow {view.run.workflow_id!r} is closed ({view.run.status})", reason,
            task_id=command.task_id, run_id=ref.run_id, status=view.run.status,
        )  # fmt: skip

    # ---- queries ---------------------------------------------------------------------------------------------------

    def _query(self, command: QueryRun, caller: Caller) -> "asyncio.Future[dict[str, Any]]":
        view = self._view(command)
        run = view.run
        if run.engine != "durable":
            raise NotSupported(f"a {run.engine} run has no workers to ask {command.query_name!r}")
        if self._draining:
            raise ShuttingDown("the gateway is stopping; ask again")
        since = self._bus.clock.now() - self.settings.worker_stale_s
        if not self.registry.has_fresh(run.namespace, run.task_queue, run.workflow_type, since):
            raise NoWorker(
                f"no live worker of queue {run.task_queue!r} takes workflow type {run.workflow_type!r}",
                reason="query_worker_unavailable",
            )
        question = self.queries.ask(run, command)
        question.future.add_done_callback(lambda done: self._asked(question))
        self.desk.offer(self.queries.offer_of(question))
        return question.future

    def _asked(self, question: Question) -> None:
        self.desk.withdraw(question.task_id)
        self._lease_over(question.task_id)
        self.queries.forget(question)

    def _lease_query(self, waiter: Waiter, offer: OfferTask) -> None:
        question = self.queries.claim(offer.task_id, waiter.worker[1])
        view = self._bus.view(offer.run_id) if question is not None else None
        if question is None or view is None:
            self.desk.deliver(waiter, None, offer.task_id, 0.0)
            return
        lasts_s = max(question.deadline - asyncio.get_running_loop().time(), 0.1)
        events = self._history(view)
        task = {
            "query_task_id": question.task_id,
            "query_task_attempt": question.attempt,
            "workflow_id": view.run.workflow_id,
            "run_id": view.run.run_id,
            "workflow_type": view.run.workflow_type,
            "query_name": question.command.query_name,
            "payload_codec": "avro",
            "workflow_arguments": view.detail.input,
            "query_arguments": question.arguments,
            "history_events": events,
            "run_status": view.run.status,
            "last_history_sequence": len(events),
            "task_queue": view.run.task_queue,
            "lease_owner": waiter.worker[1],
            "lease_expires_at": self._bus.clock.now() + lasts_s,
        }
        self.leases.add(offer.task_id, waiter.worker)
        self.desk.deliver(waiter, task, offer.task_id, lasts_s)

    def _complete_query(self, command: CompleteQuery, caller: Caller) -> dict[str, Any]:
        self.queries.complete(command)
        return {"query_task_id": command.task_id, "outcome": "completed"}

    def _fail_query(self, command: FailQuery, caller: Caller) -> dict[str, Any]:
        self.queries.fail(command)
        return {"query_task_id": command.task_id, "outcome": "failed"}

    # ---- updates ---------------------------------------------------------------------------------------------------

    def _await_update(self, command: AwaitUpdate, caller: Caller) -> Any:
        view = self._view(command)
        found = find_update(reversed(self._history(view)), command.update_id)
        if found is not None and found.name == "UpdateCompleted":
            return outcome_of(command.update_id, found.data)
        if not view.run.is_open or self._draining:
            return accepted(command.update_id)
        return self._updates.wait((view.run.run_id, command.update_id), command.timeout_s)

    # ---- within ----------------------------------------------------------------------------------------------------

    def _view(self, command: QueryRun | AwaitUpdate) -> RunView:
        """The committed state of the run a command names.

        Raises:
            WorkflowNotFound, RunNotFound.
        """
        current = self._bus.current_run_id(command.namespace, command.workflow_id)
        if current is None:
            raise WorkflowNotFound(command.workflow_id, command.namespace)
        view = self._bus.view(command.run_id or current)
        run: Run | None = view.run if view is not None else None
        if view is None or run is None or (run.namespace, run.workflow_id) != (command.namespace, command.workflow_id):
            raise RunNotFound(command.workflow_id, command.run_id or current)
        return view

    def _history(self, view: RunView) -> list[Event]:
        """The committed history of a run, open or closed."""
        live = self._bus.live(view.run.run_id)
        total = view.run.history_length
        if live is not None and len(live.history) >= total:
            return live.history[:total]
        events: list[Event] = []
        while len(events) < total:
            page = self._bus.store.histories.read(view.run.run_id, len(events), HISTORY_PAGE)
            if not page:
                break
            events.extend(page)
        return events[:total]


def _then(first: "asyncio.Future[Any]", value: Any) -> "asyncio.Future[Any]":
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
