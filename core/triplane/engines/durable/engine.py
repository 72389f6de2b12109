"""The durable engine: workers replay a run's history and say what is to happen next; this records it and sees to it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from triplane.commands.base import Command, RunCommand
from triplane.commands.cancelling import BeginCancellation, DeliverCancellation, ObserveActivity
from triplane.commands.graphs import GRAPH_COMMANDS, ScheduleStop, SendExternalTrigger
from triplane.commands.messages import AppendMessage, ReportJob, SignalRun, UpdateRun
from triplane.commands.passes import CheckActivity, RedispatchRun
from triplane.commands.runs import PauseRun, ResumeRun, StartRun, StopRun
from triplane.commands.streams import ChangeStream
from triplane.commands.system import ChildClosed, ContinueStep, FireTimer
from triplane.commands.tasks import TASK_COMMANDS, HoldTasks, KillTasks, PollTasks, ReleaseTasks, SetTasks, TriggerTasks
from triplane.commands.workers import (
    CompleteActivity,
    CompleteWorkflowTask,
    FailActivity,
    FailWorkflowTask,
    HeartbeatActivity,
    HeartbeatWorkflowTask,
    LeaseTask,
    ReadTaskHistory,
    ReleaseLease,
    ReportOnTask,
)
from triplane.engines.base import Preparation, RunState, Step
from triplane.engines.durable import (
    activities,
    cancellation,
    children,
    closing,
    decisions,
    ids,
    memo,
    messages,
    outputs,
    repairing,
    salvage,
    standalone,
    steering,
    timers,
    updates,
    workflow_tasks,
)
from triplane.engines.durable.alarms import (
    ACTIVITY_TIMER,
    CANCEL_TIMER,
    CHILD_TIMER,
    CONDITION_TIMER,
    RUN_TIMER,
    STOP_TIMER,
    USER_TIMER,
    WORKFLOW_TIMER,
)
from triplane.engines.durable.catalogue import EVENTS
from triplane.engines.durable.options import check_options
from triplane.engines.durable.payloads import as_arguments
from triplane.engines.durable.settings import DurableSettings
from triplane.engines.durable.state import Activity, Buffered, Cancellation, Child, DurableState, TimerWait
from triplane.engines.durable.turn import Turn
from triplane.engines.meanings import refusal
from triplane.entities import FINAL_TASK_STATES
from triplane.errors import NotSupported
from triplane.events import Event, EventType
from triplane.operations.mapping import OperationMap
from triplane.visibility.definitions import AttributeDefinitions

Handler = Callable[[Turn, Any], Any]


class DurableEngine:
    """Decides the steps of durable runs.

    A completed workflow task is applied as one step, however many tasks it schedules (at most
    `settings.max_pending_activities`), because the contract has it atomic.

    Attributes:
        settings: `[engines.durable]`; may be replaced while serving.
        operations: which workflow carries out which service operation.
        definitions: search attributes by namespace, which values that workflows set are held against; the gateway's own.
    """

    name: ClassVar[str] = "durable"
    events: ClassVar[tuple[EventType, ...]] = EVENTS
    commands: ClassVar[tuple[type[Command], ...]] = ()
    keeps_history: ClassVar[bool] = True
    prepares: ClassVar[bool] = False
    config_model: ClassVar[type[DurableSettings]] = DurableSettings

    def __init__(self, settings: DurableSettings | None = None) -> None:
        self.settings = settings if settings is not None else DurableSettings()
        self.operations = OperationMap()
        self.definitions = AttributeDefinitions()

    async def prepare(self, start: StartRun, preparation: Preparation) -> Mapping[str, Any]:
        return {}

    def start(self, state: RunState, start: StartRun, prepared: Mapping[str, Any], step: Step) -> None:
        """Record the start and issue the first workflow task.

        Raises:
            InvalidFields: of the options.
            TooLarge, InvalidPayload: of the input.
        """
        check_options(start.options)
        state.private = DurableState()
        turn = Turn(state, step, self.settings)
        standalone.check_start(turn)
        run, detail = state.run, state.detail
        if detail.memo:
            memo.check_start(detail.memo)
        data: dict[str, Any] = {
            "workflow_type": run.workflow_type,
            "workflow_id": run.workflow_id,
            "workflow_instance_id": run.workflow_id,
            "workflow_run_id": run.run_id,
            "task_queue": run.task_queue,
            "payload_codec": "avro",
        }
        if detail.input is not None:
            payload = as_arguments(detail.input, self.settings.max_payload_bytes, "the workflow's input")
            if payload is not detail.input:
                step.set_detail(input=payload)
            data["input"] = payload
        for key in ("execution_timeout_s", "run_timeout_s"):
            if detail.options.get(key) is not None:
                data[f"{key[:-2]}_seconds"] = detail.options[key]
        for key in ("business_key", "continued_from_run_id", "redriven_from_run_id"):
            if detail.options.get(key) is not None:
                data[key] = detail.options[key]
        if detail.parent is not None:
            data["parent_workflow_id"] = detail.parent.get("workflow_id", "")
            data["parent_workflow_run_id"] = detail.parent.get("run_id", "")
        accepted = {key: data[key] for key in ("workflow_instance_id", "workflow_run_id", "workflow_type")}
        turn.emit("StartAccepted", {**accepted, "outcome": "started_new"})
        turn.emit("WorkflowStarted", data)
        if "continued_from_run_id" in detail.options:
            _take_over(turn)
        salvage.keep(turn, prepared.get("kept", ()))
        closing.set_deadlines(turn)
        if turn.is_host:
            standalone.start(turn)
            return
        turn.wake()
        turn.issue_next()

    def salvage(self, history: Sequence[Event]) -> Mapping[str, Any]:
        """What a run that redrives a failed one is prepared with: the results of its activities."""
        return {"kept": salvage.collect(history)}

    def play(self, previous: RunState, state: RunState, step: Step) -> None:
        raise NotSupported("a closed durable run cannot be continued; start its workflow again")

    def handle(self, state: RunState, command: RunCommand, step: Step) -> Any:
        """Apply a command; see each handler for what it raises."""
        handler = _HANDLERS.get(type(command))
        if (refused := refusal(self.name, command) if type(command) in _STEERING else None) is not None:
            raise refused
        if handler is None:
            raise NotSupported(f"a durable run has no {command.name!r}", command=command.name)
        turn = Turn(state, step, self.settings, self.operations, self.definitions)
        if not turn.is_host:
            return handler(turn, command)
        standalone.refuse(command)
        reply = handler(turn, command)
        standalone.settle(turn)
        return reply

    def dump(self, state: RunState) -> Mapping[str, Any]:
        own: DurableState = state.private
        return own.dump()

    def load(self, state: RunState) -> None:
        own = DurableState.load(state.run.data)
        for task in state.tasks.values():
            if task.state in FINAL_TASK_STATES:
                continue
            if "activity" in task.data:
                activity = Activity(*task.data["activity"])
                own.activities[activity.sequence] = activity
            elif "timer" in task.data:
                timer = TimerWait(*task.data["timer"])
                own.timers[timer.sequence] = timer
            elif "child" in task.data:
                child = Child(*task.data["child"])
                own.children[child.sequence] = child
        waiting = [Buffered(*timer.data["waiting"]) for timer in state.timers.values() if "waiting" in timer.data]
        own.buffer = sorted(waiting, key=lambda happening: happening.number)
        messages.note_all(own, state.history)
        messages.note_all(own, own.buffer)
        state.private = own

    def recover(self, state: RunState, step: Step) -> None:
        turn = Turn(state, step, self.settings)
        closing.set_deadlines(turn)
        workflow_tasks.recover(turn)
        for activity in turn.own.activities.values():
            activities.recover(turn, activity)
        for child in turn.own.children.values():
            children.recover(turn, child)


def _take_over(turn: Turn) -> None:
    """What the run before hands on: its memo as encoded, signals that came too late for it, and children it left."""
    options = dict(turn.state.detail.options)
    turn.own.memo_blob = options.pop("memo_blob", None)
    for data, wire, principal in options.pop("carried_signals", ()):
        messages.note(turn.own, data)
        turn.receive(Buffered("SignalReceived", dict(data), wire, principal))
    for workflow_id, *link in options.pop("carried_children", ()):
        turn.own.inherited[workflow_id] = tuple(link)
    if (asked := options.pop("carried_cancellation", None)) is not None:
        cancellation.begin(turn, Cancellation(*asked))
    turn.step.set_detail(options=options)


def _report(turn: Turn, command: ReportOnTask) -> Any:
    handler = _REPORTS.get(type(command.report))
    if handler is None:
        raise NotSupported(f"a durable run takes no report {type(command.report).__name__!r}")
    return handler(turn, command.report)


def _lease(turn: Turn, command: LeaseTask) -> dict[str, Any] | None:
    ref = ids.parse_task_id(command.task_id)
    if ref is None or ref.kind != command.kind:
        return None
    if ref.kind == "workflow":
        return workflow_tasks.lease(turn, command, ref.number)
    return activities.lease(turn, command, ref.number, ref.attempt)


def _release(turn: Turn, command: ReleaseLease) -> dict[str, Any]:
    ref = ids.parse_task_id(command.task_id)
    if ref is None:
        released = False
    elif ref.kind == "workflow":
        released = workflow_tasks.release(turn, ref.number, command.worker_id)
    else:
        released = activities.release(turn, ref.number, ref.attempt, command.worker_id)
    return {"released": released}


def _fire(turn: Turn, command: FireTimer) -> None:
    timer_id = command.timer_id
    if timer_id not in turn.state.timers:
        return
    if timer_id == WORKFLOW_TIMER:
        workflow_tasks.alarm(turn)
    elif timer_id == RUN_TIMER:
        closing.alarm(turn)
    elif timer_id == CANCEL_TIMER:
        cancellation.alarm(turn)
    elif timer_id == STOP_TIMER:
        closing.stop(turn, StopRun(workflow_id=command.workflow_id))
    elif timer_id.startswith(CONDITION_TIMER):
        timers.time_out_condition(turn, int(timer_id[len(CONDITION_TIMER) :]))
    elif timer_id.startswith(ACTIVITY_TIMER):
        activities.alarm(turn, int(timer_id[len(ACTIVITY_TIMER) :]))
    elif timer_id.startswith(USER_TIMER):
        timers.fire(turn, int(timer_id[len(USER_TIMER) :]))
    elif timer_id.startswith(CHILD_TIMER):
        children.alarm(turn, int(timer_id[len(CHILD_TIMER) :]))


def _continue(turn: Turn, command: ContinueStep) -> None:
    """Durable steps are whole; nothing continues."""


_HANDLERS: dict[type[RunCommand], Handler] = {
    ReportOnTask: _report,
    LeaseTask: _lease,
    ReleaseLease: _release,
    FireTimer: _fire,
    ChildClosed: children.closed,
    RedispatchRun: repairing.redispatch,
    CheckActivity: repairing.check_activity,
    BeginCancellation: cancellation.request,
    ContinueStep: _continue,
    SignalRun: updates.signal,
    AppendMessage: messages.append,
    ChangeStream: outputs.change,
    UpdateRun: updates.accept,
    StopRun: closing.stop,
    PauseRun: steering.pause,
    ResumeRun: steering.resume,
    HoldTasks: steering.hold,
    ReleaseTasks: steering.release,
    TriggerTasks: steering.trigger,
    KillTasks: steering.kill,
    PollTasks: steering.poll,
    SetTasks: steering.set_outputs,
    ScheduleStop: steering.stop_later,
    ReportJob: steering.note,
    SendExternalTrigger: updates.trigger_from_outside,
}
_STEERING = frozenset({*TASK_COMMANDS, *GRAPH_COMMANDS})
"""Commands of which the table of meanings may have a refusal; the others are not looked up."""
_REPORTS: dict[type[Command], Handler] = {
    CompleteWorkflowTask: decisions.complete,
    FailWorkflowTask: workflow_tasks.fail,
    HeartbeatWorkflowTask: workflow_tasks.heartbeat,
    ReadTaskHistory: workflow_tasks.read_history,
    CompleteActivity: activities.complete,
    FailActivity: activities.fail,
    HeartbeatActivity: activities.heartbeat,
    ObserveActivity: activities.observe,
    DeliverCancellation: cancellation.deliver,
}
