"""The errands of matching: queries and update validations, from whoever asks to a worker's poll and back."""

import asyncio
from typing import Any

from triplane.commands.base import RunCommand
from triplane.commands.messages import QueryRun, UpdateRun
from triplane.commands.workers import ApproveUpdate, CompleteQuery, FailQuery, RejectUpdate
from triplane.effects import OfferTask
from triplane.engines.durable.options import build_of
from triplane.engines.durable.settings import DurableSettings
from triplane.entities import Run
from triplane.errors import NotSupported, NoWorker, ShuttingDown
from triplane.matching import registry as workers
from triplane.matching.errands import Errand
from triplane.matching.histories import history_of, view_of
from triplane.matching.lanes import lane_of
from triplane.matching.leases import LeaseBook
from triplane.matching.polls import PollDesk, Waiter
from triplane.matching.queries import QueryDesk
from triplane.matching.registry import Registry, WorkerKey
from triplane.matching.screening import Screening
from triplane.matching.validations import Validation, ValidationDesk
from triplane.queries import RunView
from triplane.service import BusPort, Caller

SHORTEST_LEASE_S = 0.1


class ErrandOffice:
    """Takes errands in, offers them, leases them, and takes the answers.

    Attributes:
        queries, validations: those that are open.
    """

    def __init__(self, settings: DurableSettings, desk: PollDesk, leases: LeaseBook) -> None:
        self.settings, self._desk, self._leases = settings, desk, leases
        self.queries, self.validations = QueryDesk(settings), ValidationDesk(settings)
        self._screening = Screening(settings, self._pinned, self._validate)
        self._bus: BusPort
        self._registry: Registry
        self._draining = False

    def start(self, bus: BusPort, registry: Registry) -> None:
        """What it works with, once the store is open."""
        self._bus, self._registry = bus, registry

    def close(self) -> None:
        """Tell every asker to come again, now and from now on."""
        self._draining = True
        self.queries.close()
        self.validations.close()

    # ---- askers ----------------------------------------------------------------------------------------------------

    def query(self, command: QueryRun, caller: Caller) -> "asyncio.Future[dict[str, Any]]":
        """Ask a run's workers something.

        Raises:
            WorkflowNotFound, RunNotFound, NotSupported, ShuttingDown, LimitReached, TooLarge.
            NoWorker: the reason is `query_worker_unavailable`, or `query_worker_incompatible` where those there are of
                another build than the run is pinned to.
        """
        view = view_of(self._bus, command)
        run = view.run
        if run.engine != "durable":
            raise NotSupported(f"a {run.engine} run has no workers to ask {command.query_name!r}")
        if self._draining:
            raise ShuttingDown("the gateway is stopping; ask again")
        since = self._bus.clock.now() - self.settings.worker_stale_s
        alive = self._registry.serving((run.namespace, run.task_queue), run.workflow_type, since)
        build = build_of(view.detail.options)
        if not alive:
            raise NoWorker(
                f"no live worker of queue {run.task_queue!r} takes workflow type {run.workflow_type!r}",
                reason="query_worker_unavailable",
            )
        if build is not None and all(workers.build_of(worker) != build for worker in alive):
            raise NoWorker(
                f"the run is pinned to build {build!r}, and no live worker of queue {run.task_queue!r} is of it",
                reason="query_worker_incompatible",
            )
        question = self.queries.ask(run, command, build)
        question.future.add_done_callback(lambda done: self._over(question, self.queries))
        offer = self.queries.offer_of(question)
        self._desk.offer(offer, lane_of(offer))
        return question.future

    def screen(self, command: RunCommand, run: Run) -> "asyncio.Future[None] | None":
        """See `Screening.look`; only durable runs have workers that could say anything."""
        if run.engine != "durable":
            return None
        return self._screening.look(self._registry, command, run, self._bus.clock.now())

    def _pinned(self, run: Run) -> str | None:
        live = self._bus.live(run.run_id)
        return build_of(live.detail.options) if live is not None else None

    def _validate(self, run: Run, command: UpdateRun) -> Validation:
        if self._draining:
            raise ShuttingDown("the gateway is stopping; try again when it is back")
        validation = self.validations.ask(run, command, self._pinned(run))
        validation.future.add_done_callback(lambda done: self._over(validation, self.validations))
        offer = self.validations.offer_of(validation)
        self._desk.offer(offer, lane_of(offer))
        return validation

    def _over(self, errand: Errand[Any], desk: QueryDesk | ValidationDesk) -> None:
        self._desk.withdraw(errand.task_id)
        self._leases.end(errand.task_id)
        self._desk.forget(errand.task_id)
        desk.forget(errand)

    # ---- workers ---------------------------------------------------------------------------------------------------

    def lease(self, waiter: Waiter, offer: OfferTask) -> None:
        """Give an errand to a poll."""
        desk: QueryDesk | ValidationDesk = self.queries if offer.kind == "query" else self.validations
        errand: Errand[Any] | None = desk.claim(offer.task_id, waiter.worker[1])
        view = self._bus.view(offer.run_id) if errand is not None else None
        if errand is None or view is None:
            self._desk.deliver(waiter, None, offer.task_id, 0.0)
            return
        lasts_s = max(errand.deadline - asyncio.get_running_loop().time(), SHORTEST_LEASE_S)
        task = self._task(errand, view, offer.kind) | {
            "lease_owner": waiter.worker[1], "lease_expires_at": self._bus.clock.now() + lasts_s,
        }  # fmt: skip
        self._leases.add(offer.task_id, waiter.worker)
        self._desk.deliver(waiter, task, offer.task_id, lasts_s)

    def _task(self, errand: Errand[Any], view: RunView, kind: str) -> dict[str, Any]:
        """The task object of contract durable 4.5 or 4.6, but for the lease."""
        events = history_of(self._bus, view)
        if kind == "query":
            own = {
                "query_task_id": errand.task_id, "query_task_attempt": errand.attempt,
                "query_name": errand.command.query_name, "query_arguments": errand.arguments,
            }  # fmt: skip
        else:
            own = {
                "task_kind": kind, "update_validation_task_id": errand.task_id, "update_validation_attempt": errand.attempt,
                "update_name": errand.command.update_name, "update_arguments": errand.arguments,
            }  # fmt: skip
        return own | {
            "workflow_id": view.run.workflow_id,
            "run_id": view.run.run_id,
            "workflow_type": view.run.workflow_type,
            "payload_codec": "avro",
            "workflow_arguments": view.detail.input,
            "history_events": events,
            "run_status": view.run.status,
            "last_history_sequence": len(events),
            "task_queue": view.run.task_queue,
        }

    def release(self, task_id: str, worker: WorkerKey) -> bool:
        """A worker does not have an errand any more: it is offered to others. Returns whether the worker had it."""
        question = self.queries.unclaim(task_id, worker[1])
        if question is not None:
            offer = self.queries.offer_of(question)
            self._desk.offer(offer, lane_of(offer))
            return True
        validation = self.validations.unclaim(task_id, worker[1])
        if validation is None:
            return False
        run = validation.run
        since = self._bus.clock.now() - self.settings.worker_stale_s
        if self._registry.serving((run.namespace, run.task_queue), run.workflow_type, since):
            offer = self.validations.offer_of(validation)
            self._desk.offer(offer, lane_of(offer))
        else:
            self.validations.lost(validation)
        return True

    def complete_query(self, command: CompleteQuery, caller: Caller) -> dict[str, Any]:
        """A worker's answer to a query."""
        self.queries.complete(command)
        return {"query_task_id": command.task_id, "outcome": "completed"}

    def fail_query(self, command: FailQuery, caller: Caller) -> dict[str, Any]:
        """A worker could not answer a query."""
        self.queries.fail(command)
        return {"query_task_id": command.task_id, "outcome": "failed"}

    def approve(self, command: ApproveUpdate, caller: Caller) -> dict[str, Any]:
        """A validator approved."""
        self.validations.approve(command)
        return {"update_validation_task_id": command.task_id, "outcome": "approved"}

    def reject(self, command: RejectUpdate, caller: Caller) -> dict[str, Any]:
        """A validator rejected, or could not be run."""
        self.validations.reject(command)
        return {"update_validation_task_id": command.task_id, "outcome": "rejected"}
