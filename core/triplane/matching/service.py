"""Matching: the service between durable runs and the workers that serve them."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from triplane.audit import audit_record
from triplane.commands.base import Command, RunCommand
from triplane.commands.cancelling import DeliverCancellation, ObserveActivity, RequestCancellation
from triplane.commands.fleet import FLEET_COMMANDS
from triplane.commands.graphs import SendExternalTrigger
from triplane.commands.messages import AwaitUpdate, QueryRun, SignalRun, UpdateRun
from triplane.commands.runs import StartRun
from triplane.commands.sessions import SESSION_COMMANDS
from triplane.commands.workers import (
    ActivityReport,
    ApproveUpdate,
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
    RejectUpdate,
    ReleaseLease,
    RemoveWorker,
    ReportOnTask,
    TaskReport,
)
from triplane.effects import Effect, OfferTask, Resolve, WithdrawTask
from triplane.engines.durable.activities import dead_heartbeat
from triplane.engines.durable.ids import TaskRef, parse_task_id
from triplane.engines.durable.options import build_of
from triplane.engines.durable.settings import DurableSettings
from triplane.entities import Run, Worker
from triplane.errors import GatewayError, LeaseLost, TaskNotFound, UnknownCommand
from triplane.matching.cancelling import Cancellations
from triplane.matching.fleet import Fleet, then
from triplane.matching.histories import history_of, view_of
from triplane.matching.lanes import lane_of
from triplane.matching.leases import LeaseBook
from triplane.matching.office import ErrandOffice
from triplane.matching.polls import PollDesk, Waiter
from triplane.matching.queues import Takes
from triplane.matching.registry import Registry, WorkerKey
from triplane.matching.rollouts import Rollouts
from triplane.matching.roster import Roster
from triplane.matching.session_service import Sessions
from triplane.matching.updates import UpdateWaits, accepted, find_update, outcome_of
from triplane.service import SYSTEM, BusPort, Caller
from triplane.store.interface import Slice

_CLOSED_REASONS = {"cancelled": "run_cancelled", "terminated": "run_terminated"}
FORGET_EVERY_S = 60.0
NO_ADVICE: Mapping[str, Any] = {}
_FINAL_REPORTS = (CompleteWorkflowTask, FailWorkflowTask, CompleteActivity, FailActivity)


class Matching:
    """Registers workers, gives them tasks as runs offer them, and takes their reports to the runs.

    Attributes:
        settings: `[engines.durable]`.
    """

    name: ClassVar[str] = "matching"
    commands: ClassVar[tuple[type[Command], ...]] = (
        RegisterWorker, HeartbeatWorker, DeregisterWorker, PollTask, CompleteWorkflowTask, FailWorkflowTask,
        HeartbeatWorkflowTask, ReadTaskHistory, CompleteActivity, FailActivity, HeartbeatActivity, CompleteQuery,
        FailQuery, ApproveUpdate, RejectUpdate, RemoveWorker, QueryRun, AwaitUpdate,
        RequestCancellation, DeliverCancellation, ObserveActivity,
        *FLEET_COMMANDS, *SESSION_COMMANDS,
    )  # fmt: skip
    screened: ClassVar[tuple[type[RunCommand], ...]] = (SignalRun, UpdateRun, SendExternalTrigger)
    effects: ClassVar[tuple[type[Effect], ...]] = (OfferTask, WithdrawTask, Resolve)

    def __init__(self, settings: DurableSettings | None = None) -> None:
        self.settings = settings if settings is not None else DurableSettings()
        self.desk = PollDesk(self.settings, self._lease, self._give_back)
        self.registry, self.rollouts = Registry((), 0.0), Rollouts()
        self.leases = LeaseBook()
        self.errands = ErrandOffice(self.settings, self.desk, self.leases)
        self.sessions = Sessions(self.settings, self.desk, self._look_again)
        self._updates = UpdateWaits()
        self._bus: BusPort
        self._draining = False
        self._forget_at = 0.0
        self._handlers: dict[type[Command], Any] = {
            RegisterWorker: self._register,
            HeartbeatWorker: self._beat,
            DeregisterWorker: self._deregister,
            RemoveWorker: self._deregister,
            PollTask: self._poll,
            CompleteQuery: self.errands.complete_query,
            FailQuery: self.errands.fail_query,
            ApproveUpdate: self.errands.approve,
            RejectUpdate: self.errands.reject,
            QueryRun: self.errands.query,
            AwaitUpdate: self._await_update,
            **self.sessions.handlers(),
        }

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        self.rollouts = Rollouts(bus.store.rollouts.all())
        self.registry = Registry(bus.store.workers.all(), bus.clock.now(), self.rollouts.draining, bus.store.contracts.all())
        self.errands.start(bus, self.registry)
        self.sessions.start(bus, self.registry)
        roster = Roster(self.settings, self.registry, self.rollouts, self.leases, self.desk, self.errands, bus)
        self._handlers |= Cancellations(self.settings, bus, self.registry).handlers()
        self._handlers |= Fleet(self.settings, bus, self.registry, self.rollouts, self.desk, roster).handlers()

    async def drain(self) -> None:
        """Answer everything that waits; the tasks stay ready for the next start."""
        self._draining = True
        self.desk.close()
        self.errands.close()
        self._updates.close()

    async def stop(self) -> None:
        """Nothing of its own runs on."""

    def screen(self, command: RunCommand, run: Run) -> "asyncio.Future[None] | None":
        return self.errands.screen(command, run)

    def advise(self, command: StartRun) -> Mapping[str, Any]:
        """New runs on a queue are pinned to the build that an operator promoted there; a chain's next run stays as it was."""
        if not self.rollouts.selected or command.engine != "durable":
            return NO_ADVICE
        build, options = self.rollouts.selected.get((command.namespace, command.task_queue)), command.options
        if build is None or build_of(options) is not None or "continued_from_run_id" in options:
            return NO_ADVICE
        return {"build_id": build}

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
                if effect.session is None:
                    self.desk.offer(effect, lane_of(effect))
                else:
                    self.sessions.offer(effect)
            elif isinstance(effect, WithdrawTask):
                self.desk.withdraw(effect.task_id)
                self.sessions.over(effect.task_id)
            elif isinstance(effect, Resolve):
                self._resolve(effect)

    def _resolve(self, effect: Resolve) -> None:
        if effect.topic == "lease_ended":
            self._lease_over(effect.value)
        elif effect.topic == "lease_held":
            view = self._bus.view(effect.run_id)
            if view is not None:
                self.leases.add(effect.value["task_id"], (view.run.namespace, effect.value["worker_id"]))
                if effect.value.get("session_id") is not None:
                    self.sessions.book.runs(effect.value["task_id"], (view.run.namespace, effect.value["session_id"]))
        elif effect.topic == "update_completed":
            self._updates.completed((effect.run_id, effect.value["update_id"]), effect.value["data"])

    # ---- workers ---------------------------------------------------------------------------------------------------

    def _register(self, command: RegisterWorker, caller: Caller) -> "asyncio.Future[Any]":
        now = self._bus.clock.now()
        key = (command.namespace, command.worker_id)
        worker = Worker(command.namespace, command.worker_id, command.task_queue, now, now, command.info)
        forgotten = self._forget_silent(now, key) if now >= self._forget_at else []
        worker = self.registry.add(worker, self.settings.max_workers)
        self._look_again(key)
        reply = {"worker_id": command.worker_id, "registered": True}
        audit = (audit_record(command, caller, now, "", "", "accepted"),)
        contracts = self.registry.remember(worker)
        change = Slice(workers=(worker,), removed_workers=forgotten, contracts=contracts, audit=audit)
        return then(self._bus.write(change), reply)

    def _forget_silent(self, now: float, but: WorkerKey) -> list[WorkerKey]:
        """Take workers off the list that died long ago without a word, so that they do not fill it."""
        self._forget_at = now + FORGET_EVERY_S
        silent = [key for key in self.registry.silent_since(now - self.settings.worker_forget_s) if key != but]
        for key in silent:
            self.registry.remove(key)
            self.sessions.worker_left(key)
        return silent

    def _look_again(self, key: WorkerKey) -> None:
        """What a worker's polls take has changed."""
        if self.registry.get(key) is not None:
            self.registry.look_again(key)
            self.desk.look_again(key, lambda kind: self._takes(key, kind))

    def _takes(self, key: WorkerKey, kind: str) -> Takes:
        return self.registry.takes(key, kind, self.sessions.lanes_of)

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
        self.sessions.worker_left(key)
        held = self.leases.of(key)
        released = await asyncio.gather(*(self._release(task_id, key, caller) for task_id in held))
        recovered = sum(1 for task_id, did in zip(held, released, strict=True) if did and task_id.startswith("wt-"))
        audit = (audit_record(command, caller, self._bus.clock.now(), "", "", "accepted"),)
        await self._bus.write(Slice(removed_workers=(key,), audit=audit))
        return {"worker_id": key[1], "recovered_workflow_task_count": recovered}

    async def _release(self, task_id: str, worker: WorkerKey, caller: Caller) -> bool:
        """Give a task that a worker holds back to its queue. Returns whether it was still held."""
        self._lease_over(task_id)
        if self.errands.release(task_id, worker):
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

    def figures(self, namespace: str) -> dict[str, Any]:
        """How much there is for the workers of a namespace: `{"queues": [...], "workers": {...}, "polls": int}`."""
        queues = []
        for name in sorted(self.desk.queues(namespace)):
            ready = {kind: self.desk.ready((namespace, name, kind)) for kind in ("workflow", "activity")}
            queues.append({"task_queue": name, **{f"{kind}_ready": len(queue) if queue else 0 for kind, queue in ready.items()}})
        registered = self.registry.keys_of(namespace)
        since = self._bus.clock.now() - self.settings.worker_stale_s
        live = sum(self.registry.seen(self.registry.find(key)) >= since for key in registered)
        return {"queues": queues, "workers": {"registered": len(registered), "live": live}, "polls": len(self.desk)}

    def totals(self) -> dict[str, int]:
        """How much there is over all namespaces: `workflow_ready`, `activity_ready`, `polls`, `registered`, `live`."""
        totals = {"workflow_ready": 0, "activity_ready": 0, "registered": 0, "live": 0, "polls": len(self.desk)}
        for namespace in self._bus.namespaces:
            found = self.figures(namespace)
            for queue in found["queues"]:
                totals["workflow_ready"] += queue["workflow_ready"]
                totals["activity_ready"] += queue["activity_ready"]
            totals["registered"] += found["workers"]["registered"]
            totals["live"] += found["workers"]["live"]
        return totals

    def has_task(self, task_id: str) -> bool:
        """Whether a task is in a queue or with a worker, as far as this process knows."""
        return self.desk.holds(task_id) or self.leases.has(task_id)

    def forget_namespace(self, namespace: str) -> None:
        """Its workers are registered no more, and their polls are answered."""
        for key in self.registry.keys_of(namespace):
            self.registry.remove(key)
            self.desk.dismiss(key)
        self.registry.forget_namespace(namespace)
        self.rollouts.forget_namespace(namespace)
        self.sessions.book.forget_namespace(namespace)

    # ---- polls -----------------------------------------------------------------------------------------------------

    def _poll(self, command: PollTask, caller: Caller) -> Any:
        key = (command.namespace, command.worker_id)
        self.registry.check_poll(key, command.task_queue, command.build_id)
        self.registry.heard_of(key, self._bus.clock.now())
        kind = "workflow+validation" if command.validations and command.kind == "workflow" else command.kind
        return self.desk.poll(command, key, kind, self._takes(key, kind), caller)

    def _lease(self, waiter: Waiter, offer: OfferTask) -> None:
        if offer.kind in ("query", "update_validation"):
            self.errands.lease(waiter, offer)
            return
        run_id = offer.run_id
        if offer.session is not None:
            self.sessions.book.taken(offer.task_id)
        try:
            live = self._bus.live(run_id)
            if live is None:
                self._not_leased(waiter, offer)
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
            self._not_leased(waiter, offer)
            return
        if sent.done():
            self._leased(waiter, offer, sent)
        else:
            sent.add_done_callback(lambda done: self._leased(waiter, offer, done))

    def _leased(self, waiter: Waiter, offer: OfferTask, sent: "asyncio.Future[Any]") -> None:
        # A refusal means that the run closed or is reloaded; it offers again what is still to be done.
        task = None if sent.cancelled() or sent.exception() is not None else sent.result()
        if task is None:
            self._not_leased(waiter, offer)
            return
        self.leases.add(offer.task_id, waiter.worker)
        if offer.session is not None:
            self.sessions.leased(offer, waiter.worker)
        self.desk.deliver(waiter, task, offer.task_id, task["lease_expires_at"] - self._bus.clock.now())

    def _not_leased(self, waiter: Waiter, offer: OfferTask) -> None:
        if offer.session is not None:
            self.sessions.over(offer.task_id)
        self.desk.deliver(waiter, None, offer.task_id, 0.0)

    def _lease_over(self, task_id: str) -> None:
        self.leases.end(task_id)
        self.desk.forget(task_id)
        self.sessions.over(task_id)

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
        if isinstance(command, HeartbeatActivity):
            self.sessions.beat(command.task_id)
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
        if isinstance(command, (HeartbeatActivity, ObserveActivity)):
            return dead_heartbeat(reason)
        raise LeaseLost(
            f"workflow {view.run.workflow_id!r} is closed ({view.run.status})", reason,
            task_id=command.task_id, run_id=ref.run_id, status=view.run.status,
        )  # fmt: skip

    # ---- updates ---------------------------------------------------------------------------------------------------

    def _await_update(self, command: AwaitUpdate, caller: Caller) -> Any:
        view = view_of(self._bus, command)
        found = find_update(reversed(history_of(self._bus, view)), command.update_id)
        if found is not None and found.name == "UpdateCompleted":
            return outcome_of(command.update_id, found.data)
        if not view.run.is_open or self._draining:
            return accepted(command.update_id)
        return self._updates.wait((view.run.run_id, command.update_id), command.timeout_s)
