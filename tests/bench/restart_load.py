"""Load that outlives its server: workflows with one activity, by raw clients that repeat a request until it is answered.

Every acknowledgement is written down, so that afterwards each can be asked of the gateway.
"""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any

from workflow_clients import ARGUMENTS, RESULT, DurableWire, Http

AGAIN_S = 0.1
ACTIVITY_S = 3
"""An activity attempt that was handed out in an answer nobody got is given out again after so long."""
CONNECTION_ERRORS = (OSError, asyncio.IncompleteReadError)


@dataclass
class Acknowledged:
    """What the clients were told, by workflow id.

    Attributes:
        started: run ids. activities, completed: the worker's report was taken.
        given_twice: activities that were handed out again after their completion had been acknowledged.
    """

    started: dict[str, str] = field(default_factory=dict)
    activities: set[str] = field(default_factory=set)
    completed: set[str] = field(default_factory=set)
    given_twice: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.started) + len(self.activities) + len(self.completed)


class Load:
    """Starters and workers on a queue of their own."""

    def __init__(self, port: int) -> None:
        self.http, self.name = Http(port), f"restart-{uuid.uuid4().hex[:12]}"
        self.told = Acknowledged()
        self.starting = True
        self.done: dict[str, asyncio.Event] = {}

    async def request(self, path: str, body: object, headers: bytes) -> Any:
        """The answer to a POST, however often it has to be sent.

        Raises:
            RuntimeError: it was refused.
        """
        while True:
            try:
                return await self.http("POST", path, body, headers)
            except CONNECTION_ERRORS:
                await asyncio.sleep(AGAIN_S)

    async def prepare(self) -> None:
        registration = {
            "worker_id": self.name, "task_queue": self.name, "runtime": "python", "sdk_version": "bench",
            "supported_workflow_types": ["bench.greet"], "supported_activity_types": ["bench.hello"],
            "max_concurrent_workflow_tasks": 1000, "max_concurrent_activity_tasks": 1000,
        }  # fmt: skip
        await self.request("/api/worker/register", registration, DurableWire.WORKER)

    async def start_workflows(self, number: int) -> None:
        """Start one after the other, each when the one before is completed, until `starting` ends."""
        count = 0
        while self.starting:
            count += 1
            workflow_id = f"{self.name}-{number}-{count}"
            done = self.done[workflow_id] = asyncio.Event()
            body = {
                "workflow_id": workflow_id, "workflow_type": "bench.greet", "task_queue": self.name, "input": ARGUMENTS,
                "execution_timeout_seconds": 3600, "run_timeout_seconds": 600, "request_id": workflow_id,
            }  # fmt: skip
            answer = await self.request("/api/workflows", body, DurableWire.CONTROL)
            self.told.started[workflow_id] = answer["run_id"]
            await done.wait()

    async def work(self, kind: str) -> None:
        """Poll and report for ever."""
        while True:
            body = {
                "worker_id": self.name, "task_queue": self.name, "poll_request_id": uuid.uuid4().hex,
                "timeout_seconds": 20, "history_page_size": 500,
            }  # fmt: skip
            answer = await self.request(f"/api/worker/{kind}-tasks/poll", body, DurableWire.WORKER)
            task = answer["task"]
            if task is not None:
                await (self._decide(task) if kind == "workflow" else self._act(task))

    async def _decide(self, task: dict[str, Any]) -> None:
        workflow_id = task["workflow_id"]
        ends = any(event["event_type"] == "ActivityCompleted" for event in task["history_events"])
        command: dict[str, Any] = {"type": "complete_workflow", "result": RESULT} if ends else {
            "type": "schedule_activity", "activity_type": "bench.hello", "arguments": ARGUMENTS, "queue": self.name,
            "start_to_close_timeout": ACTIVITY_S, "retry_policy": {"max_attempts": 5, "backoff_seconds": [1]},
        }  # fmt: skip
        report = {"lease_owner": self.name, "workflow_task_attempt": task["workflow_task_attempt"], "commands": [command]}
        if await self._report(f"/api/worker/workflow-tasks/{task['task_id']}/complete", report) and ends:
            self.told.completed.add(workflow_id)
        if ends and workflow_id in self.done:
            self.done[workflow_id].set()

    async def _act(self, task: dict[str, Any]) -> None:
        workflow_id = task["workflow_id"]
        if workflow_id in self.told.activities:
            self.told.given_twice.append(workflow_id)
        report = {"activity_attempt_id": task["activity_attempt_id"], "lease_owner": self.name, "result": RESULT}
        if await self._report(f"/api/worker/activity-tasks/{task['task_id']}/complete", report):
            self.told.activities.add(workflow_id)

    async def _report(self, path: str, report: dict[str, Any]) -> bool:
        """Whether it was taken. A repeated report may be refused: the first may have been taken, or the lease given on."""
        try:
            await self.request(path, report, DurableWire.WORKER)
        except RuntimeError:
            return False
        return True
