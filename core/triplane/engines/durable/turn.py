"""One step of a durable run, with everything at hand; and the rule of what waits behind a workflow task in hand."""

from collections.abc import Callable, Mapping
from typing import Any

from triplane.effects import OfferTask, WithdrawTask
from triplane.engines.base import RunState, Step
from triplane.engines.durable import conditions, ids
from triplane.engines.durable.alarms import NEVER, WAITING_ROW
from triplane.engines.durable.options import build_of
from triplane.engines.durable.selections import ended, is_selection, outermost
from triplane.engines.durable.settings import DurableSettings
from triplane.engines.durable.state import NORMAL, Activity, Buffered, DurableState, WorkflowTask
from triplane.entities import HOST_TYPE
from triplane.errors import LimitReached
from triplane.events import Event
from triplane.operations.mapping import OperationMap
from triplane.visibility.definitions import AttributeDefinitions

FROM_OUTSIDE = frozenset({"SignalReceived", "UpdateAccepted"})
"""Events that a workflow's handlers receive."""


CANCELLATION_REQUESTED = "CooperativeCancellationRequested"


def barrier_of(group: Mapping[str, Any]) -> str:
    """Id of the outermost parallel group, whose members wake the workflow only together; empty outside, and in selections."""
    return "" if not group or is_selection(group) else str(outermost(group).get("parallel_group_id", ""))


class Turn:
    """A run's state, the engine's own part of it, the step, the settings, and the operations and search attributes there are."""

    __slots__ = ("definitions", "operations", "own", "settings", "state", "step")

    def __init__(
        self,
        state: RunState,
        step: Step,
        settings: DurableSettings,
        operations: OperationMap | None = None,
        definitions: AttributeDefinitions | None = None,
    ) -> None:
        self.state, self.step, self.settings, self.operations = state, step, settings, operations
        self.definitions = definitions
        self.own: DurableState = state.private

    @property
    def now(self) -> float:
        return self.step.now

    @property
    def run_id(self) -> str:
        return self.state.run.run_id

    @property
    def is_host(self) -> bool:
        """Whether the run only hosts a standalone activity."""
        return self.state.run.workflow_type == HOST_TYPE

    @property
    def is_moved_by_input(self) -> bool:
        """Whether a signal or an update can make the workflow go on: only where it waits for a condition.

        Elsewhere a task without news does no harm, but to a workflow that has read a message stream: the SDK (2.9.0,
        2.12.0) cannot say of such a one that it has nothing new, and lets the task's lease run out.
        """
        own = self.own
        return not own.cursors or own.condition is not None or bool(own.selected)

    @property
    def next_arrival(self) -> int:
        """A number that no arrival of this run had before: every arrival makes the history or the buffer longer."""
        return self.state.run.history_length + len(self.own.buffer) + 1

    # ---- history ---------------------------------------------------------------------------------------------------

    def emit(self, name: str, data: dict[str, Any]) -> Event:
        """Append an event now."""
        return self.step.emit(name, data, keep=True)

    def touch(self) -> None:
        """Have the engine's own state stored although nothing else changed."""
        self.step.changes.run_changed = True

    def refuse_if_full(self) -> None:
        """Raise `LimitReached` where the history can take nothing more from outside."""
        most = self.settings.max_history_events
        if self.state.run.history_length + len(self.own.buffer) >= most:
            raise LimitReached(
                f"the run's history has {most} events (engines.durable.max_history_events); it should continue as a new run"
            )

    def receive(self, happening: Buffered) -> None:
        """Record what came from outside: now, or behind the workflow task that somebody has in hand."""
        task = self.own.task
        if (task is not None and task.guarded) or self._has_no_place(happening):
            happening.number = self.next_arrival
            self.own.buffer.append(happening)
            self.step.set_timer(f"{WAITING_ROW}{happening.number}", NEVER, happening.to_data())
        else:
            self._record(happening)

    def flush(self, at_end: bool = False) -> None:
        """Record what waited; `at_end` of the run all of it."""
        waiting, self.own.buffer = self.own.buffer, []
        for happening in waiting:
            if not at_end and self._has_no_place(happening):
                self.own.buffer.append(happening)
                continue
            self.step.clear_timer(f"{WAITING_ROW}{happening.number}")
            self._record(happening)

    def _has_no_place(self, happening: Buffered) -> bool:
        """Whether a signal or an update must wait for the workflow's next step, although nobody has a task in hand.

        Before the first step, and after a condition's timeout, the SDK (2.9.0, 2.12.0) lets it satisfy a condition that
        is never recorded, but on replay binds it to the next one that is: it would no longer find its own history right.
        """
        if happening.name not in FROM_OUTSIDE or "through_position" in happening.data:
            return False
        own = self.own
        if own.task_number == 0 or (own.task is not None and own.task.number == 1):
            return True
        return own.condition is not None and own.condition.timed_out

    def drop_waiting(self, dropped: Callable[[Buffered], bool]) -> list[Buffered]:
        """Take out of what waits all that matches, and return it; it will not be recorded."""
        out = [happening for happening in self.own.buffer if dropped(happening)]
        if out:
            self.own.buffer = [happening for happening in self.own.buffer if not dropped(happening)]
            for happening in out:
                self.step.clear_timer(f"{WAITING_ROW}{happening.number}")
        return out

    def happening(self, name: str, data: dict[str, Any], **fields: Any) -> Buffered:
        """A `Buffered` that names who is behind this step."""
        return Buffered(name, data, self.step.wire, self.step.principal, **fields)

    def _record(self, happening: Buffered) -> None:
        step = self.step
        wire, principal = step.wire, step.principal
        step.wire, step.principal = happening.wire, happening.principal
        event = self.emit(happening.name, happening.data)
        wake = happening.wake
        if happening.name == "TimerFired":
            conditions.note_timeout(self, happening.data)
        elif happening.name == CANCELLATION_REQUESTED:
            self._pass_to_capable_workers()
        elif happening.name == "SignalReceived":
            wake = self.is_moved_by_input
            conditions.satisfy_selected(self)
        if is_selection(happening.data):
            ended(self, event)
        step.wire, step.principal = wire, principal
        if happening.group:
            left = self.own.groups.get(happening.group, 1) - 1
            if left > 0:
                # The worker takes a group's results only when all are there; woken earlier it would do the group again.
                self.own.groups[happening.group] = left
                return
            self.own.groups.pop(happening.group, None)
        if happening.update_id:
            self.own.agenda.append(happening.update_id)
        elif wake:
            self.wake()

    # ---- workflow tasks --------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have a workflow task issued when the present one is over."""
        if self.is_host:
            return
        agenda, task = self.own.agenda, self.own.task
        if task is not None and not task.guarded and task.update_id == NORMAL:
            pass  # nobody has it yet: whoever gets it will see what happened
        elif not agenda or agenda[-1] != NORMAL:
            agenda.append(NORMAL)
        if self.own.parked:
            agenda.extend(self.own.parked)
            self.own.parked = []

    def issue_next(self) -> None:
        """Open the next workflow task, if there is one to do and none open."""
        own = self.own
        if own.task is not None or not own.agenda or not self.state.run.is_open:
            return
        own.task_number += 1
        own.task = WorkflowTask(own.task_number, update_id=own.agenda.pop(0))
        self.touch()
        self.offer_workflow_task()

    def offer_workflow_task(self) -> None:
        """Put the open workflow task in its queue, unless the run is paused."""
        task, run = self.own.task, self.state.run
        if task is not None and task.phase == "ready" and not run.paused:
            task_id = ids.workflow_task_id(run.run_id, task.number)
            self._offer("workflow", task_id, run.task_queue, run.workflow_type)

    def _pass_to_capable_workers(self) -> None:
        """The cancellation is in the history: only workers that understand it may have the run's tasks from now on."""
        assert self.own.cancellation is not None
        self.own.cancellation.is_recorded = True
        self.withdraw_workflow_task()
        self.offer_workflow_task()

    def offer_activity(self, activity: Activity) -> None:
        """Put an activity's present attempt in its queue, unless it is held or the run is paused and it was not triggered."""
        if activity.phase == "queued" and not activity.held and (activity.forced or not self.state.run.paused):
            task_id = ids.activity_task_id(self.run_id, activity.sequence, activity.attempt)
            self._offer("activity", task_id, activity.queue, activity.activity_type, activity.options.get("worker_session"))

    def withdraw_activity(self, activity: Activity) -> None:
        """Take an activity's present attempt out of its queue."""
        if activity.phase == "queued":
            task_id = ids.activity_task_id(self.run_id, activity.sequence, activity.attempt)
            self.step.effect(WithdrawTask(self.run_id, task_id))

    def withdraw_workflow_task(self) -> None:
        """Take the open workflow task out of its queue."""
        task = self.own.task
        if task is not None and task.phase == "ready":
            self.step.effect(WithdrawTask(self.run_id, ids.workflow_task_id(self.run_id, task.number)))

    def _offer(self, kind: str, task_id: str, queue: str, item_type: str, session: Mapping[str, Any] | None = None) -> None:
        run, options = self.state.run, self.state.detail.options
        # A run's build says nothing of the workers on other queues.
        build = build_of(options) if queue == run.task_queue else None
        self.step.effect(
            OfferTask(
                run.run_id, run.namespace, queue, kind, task_id, item_type, run.workflow_id,
                options.get("priority", 5), options.get("fairness_key", ""), options.get("fairness_weight", 1), build, session,
                kind == "workflow" and self.own.cancellation is not None and self.own.cancellation.is_recorded,
            )
        )  # fmt: skip

    # ---- alarms ----------------------------------------------------------------------------------------------------

    def arm(self, timer_id: str, at: float, durable: bool) -> None:
        """See to it that `timer_id` fires at `at` or before.

        An alarm that is set for earlier stays: it finds nothing due, and is set anew. So a lease that is renewed every
        second does not move an alarm every second.
        """
        timer = self.state.timers.get(timer_id)
        if timer is None or timer.fire_at > at:
            self.step.set_timer(timer_id, at, durable=durable)
