"""One durable run in memory: an engine, a clock that moves when told to, and everything a worker and a client would do."""

from dataclasses import replace
from typing import Any

import msgpack

from triplane.clock import ManualClock
from triplane.commands import (
    CompleteActivity,
    CompleteWorkflowTask,
    FailActivity,
    FailWorkflowTask,
    FireTimer,
    HeartbeatActivity,
    LeaseTask,
    ReleaseLease,
    SignalRun,
    StartRun,
    UpdateRun,
)
from triplane.commands.base import RunCommand
from triplane.commands.system import ChildClosed
from triplane.commands.workers import ReportOnTask
from triplane.effects import Effect, EndChild, OfferTask, Resolve, StartChild, WithdrawTask
from triplane.engines.base import RunState, Step
from triplane.engines.durable import DurableEngine, DurableSettings
from triplane.entities import Run, RunDetail, StreamItem, Task, evolve
from triplane.operations import OperationMap, OperationTarget
from triplane.payloads import envelope

RUN = "0190-run"


class DurableRun:
    """A started run. `offers` holds the ids of tasks in their queues, as matching would; `begun` and `ended` what it asks of children."""

    def __init__(self, settings: dict[str, Any] | None = None, **start: Any) -> None:
        self.engine = DurableEngine(DurableSettings(**(settings or {})))
        self.engine.operations = OperationMap({("bank", "accounts", "open"): OperationTarget("OpenAccount", "accounts-queue")})
        self.clock = ManualClock()
        now = self.clock.now()
        kind = start.pop("workflow_type", "flow")
        run = Run("default", "w", RUN, 1, "durable", kind, "q", "pending", now, now)
        options = start.pop("options", {})
        start.setdefault("input", envelope(["bob"]))
        self.state = RunState(run, RunDetail(input=start["input"], options=options, memo=start.get("memo", {}), parent=start.get("parent")))
        self.offers: dict[str, OfferTask] = {}
        self.told: list[Resolve] = []
        self.begun: list[StartChild] = []
        self.ended: list[EndChild] = []
        self.appended: list[StreamItem] = []
        command = StartRun(workflow_id="w", engine="durable", workflow_type=kind, task_queue="q", options=options, **start)
        step = Step(self.state, now, "test", "starter")
        self.engine.start(self.state, command, {}, step)
        self._after(step)

    # ---- the core's part -------------------------------------------------------------------------------------------

    def send(self, command: RunCommand) -> Any:
        step = Step(self.state, self.clock.now(), "test", "somebody")
        reply = self.engine.handle(self.state, command, step)
        self._after(step)
        return reply

    def _after(self, step: Step) -> None:
        self.state.run = evolve(self.state.run, data=self.engine.dump(self.state))
        self.appended.extend(item for outcome in step.changes.streams for item in outcome.items)
        self._carry_out(step.changes.effects)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, OfferTask):
                self.offers[effect.task_id] = effect
            elif isinstance(effect, WithdrawTask):
                self.offers.pop(effect.task_id, None)
            elif isinstance(effect, Resolve):
                self.told.append(effect)
            elif isinstance(effect, StartChild):
                self.begun.append(effect)
            elif isinstance(effect, EndChild):
                self.ended.append(effect)

    def restart(self) -> None:
        """Go through a crash: only what the store would have kept is left."""
        kept = msgpack.unpackb(msgpack.packb(dict(self.state.run.data)))
        tasks = {key: evolve(task, data=msgpack.unpackb(msgpack.packb(dict(task.data)))) for key, task in self.state.tasks.items()}
        timers = {
            k: replace(t, data=msgpack.unpackb(msgpack.packb(dict(t.data))))
            for k, t in self.state.timers.items() if k not in self.state.volatile_timers
        }  # fmt: skip
        self.state = RunState(
            evolve(self.state.run, data=kept), self.state.detail, tasks, dict(self.state.jobs), timers,
            history=list(self.state.history),
        )  # fmt: skip
        self.offers.clear()
        self.begun.clear()
        self.ended.clear()
        self.engine.load(self.state)
        step = Step(self.state, self.clock.now(), "core", "system")
        self.engine.recover(self.state, step)
        self._after(step)

    def advance(self, seconds: float) -> None:
        """Let time pass, firing each timer when it is due."""
        until = self.clock.now() + seconds
        while True:
            due = sorted((t.fire_at, t.timer_id) for t in self.state.timers.values() if t.fire_at <= until)
            if not due or not self.state.run.is_open:
                break
            at, timer_id = due[0]
            self.clock.advance(max(at - self.clock.now(), 0.0))
            self.send(FireTimer(workflow_id="w", run_id=RUN, timer_id=timer_id))
        self.clock.advance(max(until - self.clock.now(), 0.0))

    # ---- a worker's part -------------------------------------------------------------------------------------------

    def offered(self, kind: str) -> list[str]:
        return [task_id for task_id, offer in self.offers.items() if offer.kind == kind]

    def lease(self, kind: str = "workflow", worker: str = "w1", task_id: str | None = None, page: int = 500) -> dict[str, Any] | None:
        """Take the first task of a kind, as matching would have a worker take it."""
        chosen = task_id or next(iter(self.offered(kind)), None)
        if chosen is None:
            return None
        self.offers.pop(chosen, None)
        return self.send(
            LeaseTask(workflow_id="w", run_id=RUN, kind=kind, task_id=chosen, worker_id=worker, history_page_size=page)
        )

    def release(self, task_id: str, worker: str = "w1") -> Any:
        return self.send(ReleaseLease(workflow_id="w", run_id=RUN, task_id=task_id, worker_id=worker))

    def complete(self, task: dict[str, Any], *commands: dict[str, Any], cursors: dict[str, int] | None = None) -> Any:
        return self._report(
            CompleteWorkflowTask(
                task_id=task["task_id"], lease_owner=task["lease_owner"], attempt=task["workflow_task_attempt"], commands=commands,
                message_cursors=cursors,
            )
        )

    def fail(self, task: dict[str, Any], kind: str = "WorkflowTaskWaitingForHistory") -> Any:
        failure = {"type": kind, "message": "because"}
        return self._report(
            FailWorkflowTask(
                task_id=task["task_id"], lease_owner=task["lease_owner"], attempt=task["workflow_task_attempt"], failure=failure
            )
        )

    def do(self, *commands: dict[str, Any]) -> Any:
        """Lease the workflow task and complete it (or, without commands, say that there is nothing new)."""
        task = self.lease()
        assert task is not None, "no workflow task is offered"
        return self.complete(task, *commands) if commands else self.fail(task)

    def finish(self, task: dict[str, Any], result: Any = "done") -> Any:
        return self._report(CompleteActivity(**_attempt(task), result=envelope(result)))

    def break_(self, task: dict[str, Any], message: str = "broken", **failure: Any) -> Any:
        return self._report(FailActivity(**_attempt(task), failure={"message": message, **failure}))

    def beat(self, task: dict[str, Any]) -> Any:
        return self._report(HeartbeatActivity(**_attempt(task)))

    def _report(self, report: Any) -> Any:
        return self.send(ReportOnTask(workflow_id="w", run_id=RUN, report=report))

    # ---- a client's part -------------------------------------------------------------------------------------------

    def signal(self, name: str = "poke", *arguments: Any) -> Any:
        return self.send(SignalRun(workflow_id="w", signal_name=name, arguments=list(arguments)))

    def update(self, name: str = "change", *arguments: Any) -> str:
        return self.send(UpdateRun(workflow_id="w", update_name=name, arguments=list(arguments)))["update_id"]

    # ---- a child's part --------------------------------------------------------------------------------------------

    def close_child(self, sequence: int = 1, status: str = "completed", attempt: int = 1, **ending: Any) -> None:
        """Tell the run that a child has closed, as the core would."""
        if status == "completed":
            ending.setdefault("output", envelope("grown"))
        self.send(
            ChildClosed(
                workflow_id="w", parent_run_id=RUN, sequence=sequence, attempt=attempt, child_workflow_id=f"{RUN}-child-{sequence}",
                ending={"status": status, **ending},
            )
        )  # fmt: skip

    # ---- looking ---------------------------------------------------------------------------------------------------

    @property
    def events(self) -> list[str]:
        return [event.name for event in self.state.history]

    def event(self, name: str) -> Any:
        """The data of the last event of that name."""
        return next(event.data for event in reversed(self.state.history) if event.name == name)

    def task(self, name: str) -> Task:
        return self.state.tasks[("1", name)]


def activity(activity_type: str = "charge", **fields: Any) -> dict[str, Any]:
    return {"type": "schedule_activity", "activity_type": activity_type, "arguments": envelope([1]), "queue": "q", **fields}


def timer(delay_s: int) -> dict[str, Any]:
    return {"type": "start_timer", "delay_seconds": delay_s}


def child(workflow_type: str = "Child", **fields: Any) -> dict[str, Any]:
    return {"type": "start_child_workflow", "workflow_type": workflow_type, "arguments": envelope([1]), "queue": "q", **fields}


def call(operation: str = "open", **fields: Any) -> dict[str, Any]:
    names = {"endpoint_name": "bank", "service_name": "accounts", "operation_name": operation}
    payload = {"payload_codec": "avro", "request_payload": envelope(["ada"])["blob"]}
    return {"type": "start_service_operation", **names, **payload, "mode_override": "sync", "wait_for": "completed", **fields}


def condition(key: str = "ready", **fields: Any) -> dict[str, Any]:
    return {"type": "open_condition_wait", "condition_key": key, "condition_definition_fingerprint": "sha256:1", **fields}


def complete(result: Any = "end") -> dict[str, Any]:
    return {"type": "complete_workflow", "result": envelope(result)}


def in_group(commands: list[dict[str, Any]], base: int) -> list[dict[str, Any]]:
    """The commands as members of one parallel group, as the SDK marks them."""
    size = len(commands)
    keys = [
        {
            "parallel_group_id": f"parallel-activities:{base}:{size}", "parallel_group_kind": "activity",
            "parallel_group_base_sequence": base, "parallel_group_size": size, "parallel_group_index": index,
        }
        for index in range(size)
    ]  # fmt: skip
    return [{**command, **key, "parallel_group_path": [dict(key)]} for command, key in zip(commands, keys, strict=True)]


def _attempt(task: dict[str, Any]) -> dict[str, Any]:
    return {key: task[key] for key in ("task_id", "activity_attempt_id", "lease_owner")}
