"""The service that looks for runs which cannot go on by themselves, and for activities past their time.

Every step of a run has its tasks offered and its alarms set, and a restart does both again, so it should find nothing. It is
there for the day on which that is not true.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from triplane.administration.removing import on_its_own
from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.passes import (
    ActivityTimeoutPass,
    CheckActivity,
    FindExpiredActivities,
    FindStuckRuns,
    RedispatchRun,
    RepairPass,
    RepairRun,
    SystemPass,
)
from triplane.commands.system import FireTimer
from triplane.effects import Effect
from triplane.engines.base import RunState
from triplane.engines.durable import repairing
from triplane.engines.durable.ids import activity_execution_id
from triplane.entities import Run
from triplane.errors import GatewayError, NotCurrentRun, NotSupported, RunClosed, RunNotFound, UnknownCommand, WorkflowNotFound
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice

SETTLED_S = 5.0
"""A run that changed later than this may have its tasks still on their way to a queue."""

YIELD_EVERY = 200
_EXECUTION_ID = re.compile(r"^ax-([A-Za-z0-9-]{1,64})-([1-9][0-9]{0,8})$")


class Tasks(Protocol):
    """What is asked of matching."""

    def has_task(self, task_id: str) -> bool:
        """Whether a task is in a queue or with a worker."""
        ...


@dataclass(frozen=True, slots=True)
class _Ailment:
    """What is wrong with a run: tasks in no queue, alarms that did not come, or nothing under way at all."""

    run: Run
    tasks: int
    alarms: tuple[str, ...]
    idle: bool

    @property
    def kinds(self) -> list[str]:
        return ["task"] * bool(self.tasks) + ["alarm"] * bool(self.alarms) + ["run"] * self.idle


class Repair:
    """Answers the commands of `commands.passes`."""

    name: ClassVar[str] = "repair"
    commands: ClassVar[tuple[type[Command], ...]] = (
        RepairRun, FindStuckRuns, RepairPass, FindExpiredActivities, ActivityTimeoutPass,
    )  # fmt: skip
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._last = ""
        self._bus: BusPort

    async def start(self, bus: BusPort) -> None:
        self._bus = bus

    def handle(self, command: Command, caller: Caller) -> Any:
        work: Any
        match command:
            case RepairRun():
                work = self._repair_run(command, caller)
            case FindStuckRuns():
                work = self._find(command)
            case RepairPass():
                work = self._repair_pass(command, caller)
            case FindExpiredActivities():
                work = self._expired(command.namespace, command.limit)
            case ActivityTimeoutPass():
                work = self._timeout_pass(command, caller)
            case _:
                raise UnknownCommand(f"nothing here answers {command.name!r}")
        return on_its_own(self._bus, work, command.name)

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting for long."""

    async def stop(self) -> None:
        """Nothing of its own runs on."""

    # ---- looking ---------------------------------------------------------------------------------------------------

    def _ailment(self, run_id: str, settled_s: float = SETTLED_S) -> _Ailment | None:
        """What is wrong with a durable run; None where it is well, or is none of ours to judge."""
        state = self._state(run_id)
        if state is None:
            return None
        now = self._bus.clock.now()
        if state.run.updated > now - settled_s:
            return None
        lost = sum(1 for task_id in repairing.offered(state) if not self._tasks.has_task(task_id))
        found = _Ailment(state.run, lost, tuple(repairing.late(state, now)), repairing.idle(state))
        return found if found.kinds else None

    def _state(self, run_id: str) -> RunState | None:
        try:
            state = self._bus.live(run_id)
        except GatewayError:
            return None
        return state if state is not None and state.run.engine == "durable" else None

    def _in_turn(self, namespace: str, run_ids: list[str], limit: int) -> Iterator[str]:
        """At most `limit` open runs, going on after the one that was looked at last."""
        position = next((number for number, run_id in enumerate(run_ids) if run_id > self._last), 0)
        for run_id in (run_ids[position:] + run_ids[:position])[:limit]:
            self._last = run_id
            state = self._state(run_id)
            if state is not None and state.run.namespace == namespace:
                yield run_id

    async def _look(self, namespace: str, limit: int) -> tuple[list[_Ailment], int]:
        """What is found in one round, and how many runs are open."""
        run_ids, found = sorted(self._bus.open_runs()), []
        for number, run_id in enumerate(self._in_turn(namespace, run_ids, limit)):
            if number % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
            ailment = self._ailment(run_id)
            if ailment is not None:
                found.append(ailment)
        return found, len(run_ids)

    async def _find(self, command: FindStuckRuns) -> dict[str, Any]:
        found, open_runs = await self._look(command.namespace, command.limit)
        return {
            "scanned": min(open_runs, command.limit),
            "open_runs": open_runs,
            "limit": command.limit,
            **_counts(found),
            "scopes": [
                {"run_id": ailment.run.run_id, "workflow_id": ailment.run.workflow_id, "kind": kind}
                for ailment in found[:100]
                for kind in ailment.kinds
            ],
        }

    # ---- repairing -------------------------------------------------------------------------------------------------

    async def _repair_run(self, command: RepairRun, caller: Caller) -> dict[str, Any]:
        run = self._current(command)
        ailment = self._ailment(run.run_id, settled_s=0.0)
        if ailment is not None:
            await self._repair(ailment)
        audit = audit_record(command, caller, self._bus.clock.now(), run.workflow_id, run.run_id, "accepted")
        await self._bus.write(Slice(audit=(audit,)))
        return {"workflow_id": run.workflow_id, "run_id": run.run_id, "repaired": ailment is not None}

    def _current(self, command: RepairRun) -> Run:
        run_id = self._bus.current_run_id(command.namespace, command.workflow_id)
        view = self._bus.view(run_id) if run_id is not None else None
        if run_id is None or view is None:
            raise WorkflowNotFound(command.workflow_id, command.namespace)
        if command.run_id is not None and command.run_id != run_id:
            named = self._bus.view(command.run_id)
            if named is None or (named.run.namespace, named.run.workflow_id) != (command.namespace, command.workflow_id):
                raise RunNotFound(command.workflow_id, command.run_id)
            raise NotCurrentRun(f"run {command.run_id} of {command.workflow_id!r} is not its current run", run_id=command.run_id)
        if not view.run.is_open:
            raise RunClosed(command.workflow_id, run_id, view.run.status)
        return view.run

    async def _repair(self, ailment: _Ailment) -> None:
        run = ailment.run
        at = {"namespace": run.namespace, "workflow_id": run.workflow_id, "run_id": run.run_id}
        for timer_id in ailment.alarms:
            await self._bus.send(FireTimer(**at, timer_id=timer_id))
        await self._bus.send(RedispatchRun(**at))

    async def _repair_pass(self, command: RepairPass, caller: Caller) -> dict[str, Any]:
        if command.run_ids or command.workflow_id is not None:
            named = list(command.run_ids)
            if command.workflow_id is not None:
                current = self._bus.current_run_id(command.namespace, command.workflow_id)
                named += [current] if current is not None else []
            ailments = [self._ailment(run_id) for run_id in dict.fromkeys(named)]
            found = [a for a in ailments if a is not None and a.run.namespace == command.namespace]
        else:
            found, _ = await self._look(command.namespace, command.limit)
        failures: list[dict[str, str]] = []
        repaired = []
        for ailment in found:
            try:
                await self._repair(ailment)
                repaired.append(ailment)
            except (RunClosed, NotSupported):
                continue  # it has gone on to its end meanwhile
            except GatewayError as error:
                failures.append({"run_id": ailment.run.run_id, "reason": error.message})
        await self._audit(command, caller)
        done = _counts(repaired)
        return {**_counts(found), "repaired_tasks": done["tasks"], "repaired_runs": done["runs"], "failures": failures}

    # ---- activities past their time ----------------------------------------------------------------------------------

    async def _expired(self, namespace: str, limit: int) -> list[str]:
        found: list[str] = []
        for number, run_id in enumerate(sorted(self._bus.open_runs())):
            if number % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
            state = self._state(run_id)
            if state is not None and state.run.namespace == namespace:
                found.extend(activity_execution_id(run_id, sequence) for sequence in self._late(state))
            if len(found) >= limit:
                break
        return found[:limit]

    def _late(self, state: RunState) -> list[int]:
        return repairing.expired(state, self._bus.clock.now())

    async def _timeout_pass(self, command: ActivityTimeoutPass, caller: Caller) -> dict[str, Any]:
        wanted = list(dict.fromkeys(command.execution_ids)) or await self._expired(command.namespace, command.limit)
        results = [await self._time_out(command.namespace, execution_id) for execution_id in wanted[: command.limit]]
        await self._audit(command, caller)
        outcomes = [result["outcome"] for result in results]
        return {
            "processed": len(results), "enforced": outcomes.count("enforced"), "skipped": outcomes.count("skipped"),
            "failed": outcomes.count("error"), "results": results,
        }  # fmt: skip

    async def _time_out(self, namespace: str, execution_id: str) -> dict[str, Any]:
        match = _EXECUTION_ID.match(execution_id)
        state = self._state(match[1]) if match is not None else None
        if match is None or state is None or state.run.namespace != namespace:
            return {"execution_id": execution_id, "outcome": "skipped", "reason": "activity_not_found"}
        if int(match[2]) not in self._late(state):
            return {"execution_id": execution_id, "outcome": "skipped", "reason": "not_expired"}
        run = state.run
        check = CheckActivity(namespace=namespace, workflow_id=run.workflow_id, run_id=run.run_id, sequence=int(match[2]))
        try:
            done = await self._bus.send(check)
        except GatewayError as error:
            return {"execution_id": execution_id, "outcome": "error", "reason": error.message}
        if not done["enforced"]:
            return {"execution_id": execution_id, "outcome": "skipped", "reason": "not_expired"}
        return {"execution_id": execution_id, "outcome": "enforced", "has_retry": done["has_retry"]}

    async def _audit(self, command: SystemPass, caller: Caller) -> None:
        audit = audit_record(command, caller, self._bus.clock.now(), "", "", "accepted")
        await self._bus.write(Slice(audit=(audit,)))


def _counts(ailments: Iterable[_Ailment]) -> dict[str, int]:
    tasks = runs = 0
    for ailment in ailments:
        tasks += ailment.tasks + len(ailment.alarms)
        runs += ailment.idle
    return {"tasks": tasks, "runs": runs}
