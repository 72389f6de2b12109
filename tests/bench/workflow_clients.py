"""Load: starters and workers of workflows with one activity, eight requests a workflow, as raw HTTP clients.

Start; poll, complete a workflow task (schedules the activity); poll, complete the activity; poll, complete a workflow
task (completes the workflow); read the result. The last request goes out once the worker's last completion is
answered, to the floor and to the gateway alike, so both serve exactly eight requests. All clients share one uvloop and
a pool of keep-alive connections.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson
import uvloop
from harness import Sample, cpu_s

PAD = "p" * 300
ARGUMENTS = {"codec": "avro", "blob": "wwHioz3/VYAiNwwCCgZib2IA"}
"""The Avro list `["bob"]`."""
RESULT = {"codec": "avro", "blob": "wwHioz3/VYAiNwRU"}
"""The Avro long 42."""
TIMEOUT_S = 30.0
"""A request that takes longer fails the measurement."""


class Http:
    """A pool of keep-alive connections to one port: `await http(method, path, body)` gives the decoded answer."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.opened: list[asyncio.StreamWriter] = []

    async def __call__(self, method: str, path: str, body: object = None, headers: bytes = b"") -> Any:
        if self.idle:
            reader, writer = self.idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.opened.append(writer)
        data = b"" if body is None else orjson.dumps(body)
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n".encode()
        writer.write(head + b"Content-Type: application/json\r\n" + headers + b"\r\n" + data)
        answer_head = (await reader.readuntil(b"\r\n\r\n")).lower()
        at = answer_head.index(b"content-length:") + 15
        answer = await reader.readexactly(int(answer_head[at:].split(b"\r\n", 1)[0]))
        self.idle.append((reader, writer))
        if answer_head[9:10] != b"2":
            raise RuntimeError(f"{method} {path}: {answer_head[:15].decode()} {answer[:500]!r}")
        return orjson.loads(answer)

    def close(self) -> None:
        for writer in self.opened:
            writer.close()


class Wire(Protocol):
    """How one server spells the eight requests."""

    async def prepare(self) -> None:
        """Whatever a worker does once before it polls."""
        ...

    async def start(self) -> str:
        """Start a workflow; its id."""
        ...

    async def serve_workflow_task(self) -> str | None:
        """Poll and complete one workflow task; the workflow's id if that completed the workflow."""
        ...

    async def serve_activity_task(self) -> None:
        """Poll and complete one activity task."""
        ...

    async def result(self, workflow: str) -> None:
        """Read the result, and fail if it is not there."""
        ...

    async def leave(self) -> None:
        """Whatever a worker does when it ends."""
        ...


class FloorWire:
    """The routes of `floors/workflow.py`, with queues of its own for each measurement.

    Polls that a finished measurement left behind must not get the tasks of the next.
    """

    def __init__(self, http: Http) -> None:
        self.http = http
        self.queue = uuid.uuid4().hex

    async def prepare(self) -> None:
        return

    async def start(self) -> str:
        return str((await self.http("POST", "/start", {"type": "greet", "queue": self.queue, "input": PAD}))["run"])

    async def serve_workflow_task(self) -> str | None:
        task = await self._serve("workflow")
        return str(task["run"]) if task["seq"] == 4 else None

    async def serve_activity_task(self) -> None:
        await self._serve("activity")

    async def _serve(self, kind: str) -> Any:
        task = await self.http("POST", f"/poll/{kind}", {"worker": "w1", "queue": self.queue})
        await self.http("POST", "/complete", {"run": task["run"], "seq": task["seq"], "result": PAD})
        return task

    async def result(self, workflow: str) -> None:
        answer = await self.http("GET", f"/result/{workflow}")
        if answer["status"] != "completed":
            raise RuntimeError(f"workflow {workflow}: {answer}")

    async def leave(self) -> None:
        return


class DurableWire:
    """The durable wire's control and worker planes, with a queue and a worker of its own for each measurement."""

    CONTROL = b"X-Namespace: default\r\nX-Durable-Workflow-Control-Plane-Version: 2\r\n"
    WORKER = b"X-Namespace: default\r\nX-Durable-Workflow-Protocol-Version: 1.20\r\n"

    def __init__(self, http: Http) -> None:
        self.http = http
        self.name = f"bench-{uuid.uuid4().hex[:12]}"
        self.count = 0

    async def prepare(self) -> None:
        registration = {
            "worker_id": self.name, "task_queue": self.name, "runtime": "python", "sdk_version": "bench",
            "supported_workflow_types": ["bench.greet"], "supported_activity_types": ["bench.hello"],
            "max_concurrent_workflow_tasks": 1000, "max_concurrent_activity_tasks": 1000,
        }  # fmt: skip
        await self.http("POST", "/api/worker/register", registration, self.WORKER)

    async def start(self) -> str:
        self.count += 1
        body = {
            "workflow_id": f"{self.name}-{self.count}", "workflow_type": "bench.greet", "task_queue": self.name,
            "input": ARGUMENTS, "memo": {"pad": PAD}, "execution_timeout_seconds": 3600, "run_timeout_seconds": 600,
        }  # fmt: skip
        return str((await self.http("POST", "/api/workflows", body, self.CONTROL))["workflow_id"])

    async def _poll(self, kind: str) -> Any:
        body = {
            "worker_id": self.name, "task_queue": self.name, "poll_request_id": uuid.uuid4().hex,
            "timeout_seconds": 20, "history_page_size": 500,
        }  # fmt: skip
        while True:
            task = (await self.http("POST", f"/api/worker/{kind}-tasks/poll", body, self.WORKER))["task"]
            if task is not None:
                return task
            body["poll_request_id"] = uuid.uuid4().hex

    async def serve_workflow_task(self) -> str | None:
        task = await self._poll("workflow")
        seen = {event["event_type"] for event in task["history_events"]}
        if "ActivityCompleted" in seen:
            commands: list[dict[str, object]] = [{"type": "complete_workflow", "result": RESULT}]
        else:
            commands = [
                {"type": "schedule_activity", "activity_type": "bench.hello", "arguments": ARGUMENTS, "queue": self.name}
            ]
        report = {"lease_owner": self.name, "workflow_task_attempt": task["workflow_task_attempt"], "commands": commands}
        await self.http("POST", f"/api/worker/workflow-tasks/{task['task_id']}/complete", report, self.WORKER)
        return str(task["workflow_id"]) if "ActivityCompleted" in seen else None

    async def serve_activity_task(self) -> None:
        task = await self._poll("activity")
        report = {"activity_attempt_id": task["activity_attempt_id"], "lease_owner": self.name, "result": RESULT}
        await self.http("POST", f"/api/worker/activity-tasks/{task['task_id']}/complete", report, self.WORKER)

    async def result(self, workflow: str) -> None:
        answer = await self.http("GET", f"/api/workflows/{workflow}", None, self.CONTROL)
        if answer["status"] != "completed" or answer["output"] != 42:
            raise RuntimeError(f"workflow {workflow} is {answer['status']}, output {answer['output']!r}")

    async def leave(self) -> None:
        await self.http("DELETE", f"/api/worker/registrations/{self.name}", None, self.WORKER)


def measure(wire: Callable[[Http], Wire], port: int, pid: int, clients: int, seconds: float) -> Sample:
    """Workflows per second with `clients` starters, each waiting for its result before it starts the next.

    Raises:
        RuntimeError: any refused request, a wrong result, or a workflow that took longer than `TIMEOUT_S`.
    """
    return uvloop.run(_measure(wire, port, pid, clients, seconds))


async def _measure(kind: Callable[[Http], Wire], port: int, pid: int, clients: int, seconds: float) -> Sample:
    http = Http(port)
    wire = kind(http)
    await wire.prepare()
    completed: dict[str, asyncio.Future[None]] = {}
    early: set[str] = set()

    async def work_workflows() -> None:
        while True:
            workflow = await wire.serve_workflow_task()
            if workflow is None:
                continue
            if workflow in completed:
                completed.pop(workflow).set_result(None)
            else:
                early.add(workflow)

    async def work_activities() -> None:
        while True:
            await wire.serve_activity_task()

    async def one_workflow() -> None:
        workflow = await wire.start()
        if workflow in early:
            early.discard(workflow)
        else:
            completed[workflow] = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(TIMEOUT_S):
                await completed[workflow]
        await wire.result(workflow)

    workers = [asyncio.create_task(work()) for work in (work_workflows, work_activities) for _ in range(max(2, clients // 2))]
    try:
        await closed_loop(one_workflow, clients, seconds / 10, workers)
        cpu, start = cpu_s(pid), time.perf_counter()
        latencies = await closed_loop(one_workflow, clients, seconds, workers)
        return Sample.of(latencies, time.perf_counter() - start, cpu_s(pid) - cpu)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await wire.leave()
        http.close()


async def closed_loop(
    once: Callable[[], Awaitable[None]], clients: int, seconds: float, workers: list[asyncio.Task[None]]
) -> list[float]:
    """Latencies, in seconds, of `clients` loops over `once`; a worker that fails ends it all with its error."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def loop() -> None:
        while (start := time.perf_counter()) < end:
            await once()
            latencies.append(time.perf_counter() - start)

    starters = [asyncio.create_task(loop()) for _ in range(clients)]
    waiting: set[asyncio.Task[None]] = set(starters)
    try:
        while waiting:
            done, _ = await asyncio.wait([*waiting, *workers], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            waiting -= done
    finally:
        for starter in starters:
            starter.cancel()
    return latencies
