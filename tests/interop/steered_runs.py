"""A gateway with runs of every engine to be steered by the real `cylc`, and those runs as each of three wires shows them."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from gateway_process import GatewayProcess
from interop import clients
from triplane.payloads import envelope
from triplane_control.client import ControlClient

MODELS = Path(__file__).parents[1] / "unit" / "simulation" / "models"
AT_ONCE = 3
COMMAND_S = 90.0
EFFECT_S = 60.0

FLOW = """
[meta]
    title = "steered"
    description = "a run for every command"
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 3
    runahead limit = P1
    [[special tasks]]
        external-trigger = messaged("data are there")
    [[graph]]
        P1 = \"\"\"
            a => b
            messaged => c
        \"\"\"
[runtime]
    [[root]]
        [[[simulation]]]
            default run length = PT2H
    [[FAMILY]]
    [[a, b]]
        inherit = FAMILY
    [[c, messaged]]
"""
SETTINGS = {
    "TRIPLANE__ADAPTERS__CYLC__PORTS": "[23000, 29000]",
    "TRIPLANE__ADAPTERS__CYLC__EXPOSE_AFTER_S": "0",
    "TRIPLANE__ADAPTERS__CYLC__FACES_PER_S": "100",
    "TRIPLANE__ADAPTERS__CYLC__MAX_FACES": "400",
    "TRIPLANE__ENGINES__SIMULATION__STEP_TIMEOUT_S": "7200",
    "PYTHONPATH": str(MODELS),
}


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Seen:
    """A run as one wire shows it.

    Attributes:
        status: `running`, `paused`, or how it closed.
        tasks: cycle/name → (state, held, queued).
        events: names of its history's events, in order.
    """

    status: str
    tasks: dict[str, tuple[str, bool, bool]]
    events: tuple[str, ...]


class Steered:
    """The gateway and its runs. Each run has an id of its own, `<engine>-<number>`."""

    def __init__(self, home: Path, environment: dict[str, str] | None = None) -> None:
        self.gateway = GatewayProcess(home, environment={**SETTINGS, **(environment or {})})
        folder = self.gateway.definitions / "steered"
        folder.mkdir()
        (folder / "flow.cylc").write_text(FLOW)
        self._numbers = itertools.count(1)
        self._turns: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    def __enter__(self) -> Self:
        self.gateway.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.__exit__()

    # ---- beginnings ------------------------------------------------------------------------------------------------

    def begin(self, engine: str, kind: str = "", run_id: str | None = None) -> str:
        """Start a run and bring it to where it waits.

        A graph: `1/a` runs, `1/messaged` waits. A durable run: `1/charge-1` waits for a worker, one has `1/ship-2`, and
        `1/timer-3` is set. A simulation: it is paused before its first step; of kind `busy` its second step never ends.
        """
        run = run_id or f"{engine}-{next(self._numbers)}"
        with ControlClient(self.gateway.data_dir) as control:
            match engine:
                case "graph":
                    source = {"definition": "steered"}
                    control.call("start_run", workflow_id=run, engine="graph", workflow_type="steered", source=source, mode="simulation")
                    self.until(run, lambda seen: seen.tasks.get("1/a", ("",))[0] == "running", ("control",))
                case "durable":
                    self._begin_durable(control, run)
                case "simulation":
                    model = "hangs_in_checkpoint"
                    control.call("start_run", workflow_id=run, engine="simulation", workflow_type=model)
                    if kind != "busy":
                        # Its process is not even there yet, so no step has begun.
                        control.call("pause_run", workflow_id=run)
                    word, task = ("running", "2/step") if kind == "busy" else ("waiting", "1/step")
                    self.until(run, lambda seen: seen.tasks.get(task, ("",))[0] == word, ("control",))
        contact = self.gateway.home / "cylc-run" / run / ".service" / "contact"
        _wait(f"the face of {run}", contact.exists)
        return run

    @staticmethod
    def _begin_durable(control: ControlClient, run: str) -> None:
        worker = {"worker_id": f"worker-{run}", "task_queue": run}
        control.call("start_run", workflow_id=run, engine="durable", workflow_type="order", task_queue=run, input=envelope([1]))
        control.call("register_worker", info={}, **worker)
        task = control.call("poll_task", kind="workflow", **worker)
        activities = [
            {"type": "schedule_activity", "activity_type": kind, "arguments": envelope([1]), "queue": queue}
            for kind, queue in (("charge", f"{run}-nobody"), ("ship", run))
        ]
        control.call(
            "complete_workflow_task", task_id=task["task_id"], lease_owner=task["lease_owner"], attempt=task["workflow_task_attempt"],
            commands=[*activities, {"type": "start_timer", "delay_seconds": 7_200}],
        )  # fmt: skip
        assert control.call("poll_task", kind="activity", **worker)["activity_type"] == "ship"

    def call(self, run: str, command: str, **fields: Any) -> Any:
        """Apply a command over the control wire."""
        with ControlClient(self.gateway.data_dir) as control:
            return control.call(command, workflow_id=run, **fields)

    def ask(self, run: str, event: str, **params: Any) -> dict[str, Any]:
        """Send an event of the websocket to a run; its answer."""
        with connect(f"ws://localhost:{self.gateway.websocket_port}/runs/{run}") as client:
            return _answer(client, event, params)

    # ---- the real client ---------------------------------------------------------------------------------------------

    async def cylc(self, *arguments: str, stdin: str = "") -> Said:
        """Run a real `cylc` command to its end; at most three run at once."""
        folder, loop = clients.cylc(), asyncio.get_running_loop()
        if self._turns is None or self._turns[0] is not loop:
            self._turns = (loop, asyncio.Semaphore(AT_ONCE))
        async with self._turns[1]:
            process = await asyncio.create_subprocess_exec(
                str(folder / "cylc"), *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                env=clients.environment_of(folder, self.gateway.home), cwd=self.gateway.home,
            )  # fmt: skip
            try:
                async with asyncio.timeout(COMMAND_S):
                    out, err = await process.communicate(stdin.encode())
            except TimeoutError:
                process.kill()
                await process.wait()
                raise
        return Said(process.returncode or 0, out.decode(), err.decode())

    # ---- looking -----------------------------------------------------------------------------------------------------

    def seen(self, run: str, wire: str) -> Seen:
        """A run as a wire shows it."""
        look: dict[str, Callable[[str], Seen]] = {"control": self._by_control, "http": self._by_http, "websocket": self._by_websocket}
        return look[wire](run)

    def _by_control(self, run: str) -> Seen:
        with ControlClient(self.gateway.data_dir) as control:
            view = control.ask("describe_run", workflow_id=run)
            history = control.ask("read_history", workflow_id=run, limit=1_000)
        state = view["run"]
        status = state["status"] if state["closed"] is not None else "paused" if state["paused"] else "running"
        tasks = view["tasks"].values() if isinstance(view["tasks"], dict) else view["tasks"]
        events = tuple(event["name"] for event in history["events"])
        return Seen(status, {f"{t['cycle']}/{t['name']}": (t["state"], t["is_held"], t["is_queued"]) for t in tasks}, events)

    def _by_http(self, run: str) -> Seen:
        status, described = self.gateway.http("GET", f"/api/workflows/{run}")
        assert status == 200, described
        prefix = "triplane." if run.startswith("durable") else ""
        status, rows = self.gateway.http("POST", f"/api/workflows/{run}/query/{prefix}tasks", {})
        assert status == 200, rows
        status, history = self.gateway.http("GET", f"/api/workflows/{run}/runs/{described['run_id']}/history?page_size=1000")
        assert status == 200, history
        word = described["status"] if described.get("closed_at") else "paused" if described.get("wait_kind") == "paused" else "running"
        tasks = {f"{r['cycle']}/{r['name']}": (r["state"], r["is_held"], r["is_queued"]) for r in rows["result"]}
        return Seen(word, tasks, tuple(event["event_type"] for event in history["events"]))

    def _by_websocket(self, run: str) -> Seen:
        with connect(f"ws://localhost:{self.gateway.websocket_port}/runs/{run}?status=1") as client:

            def table(name: str) -> list[dict[str, Any]]:
                answer = _answer(client, "table_data", {"table": f"triplane.{name}", "orient": "records"})
                rows: list[dict[str, Any]] = answer["data"]
                return rows

            tasks = {f"{r['cycle']}/{r['name']}": (r["state"], bool(r["is_held"]), bool(r["is_queued"])) for r in table("Tasks")}
            events = tuple(row["event"] for row in table("History"))
        return Seen(_status_of(events), tasks, events)

    def until(self, run: str, holds: Callable[[Seen], bool], wires: tuple[str, ...] = ("control", "http", "websocket")) -> None:
        """Wait until something holds of a run on every one of these wires."""
        for wire in wires:
            last: list[Seen] = []

            def look(wire: str = wire, last: list[Seen] = last) -> bool:
                last[:] = [self.seen(run, wire)]
                return holds(last[0])

            _wait(f"what is expected of {run} on the wire {wire}", look, last)


def _answer(client: ClientConnection, event: str, params: dict[str, Any]) -> dict[str, Any]:
    client.send(json.dumps({"event": event, "params": params, "id": 1}))
    while (frame := json.loads(client.recv(timeout=20))).get("id") != 1:
        pass
    answer: dict[str, Any] = frame
    return answer


_ENDS = {
    "WorkflowCompleted": "completed", "WorkflowFailed": "failed", "WorkflowCancelled": "cancelled", "WorkflowTerminated": "terminated",
}  # fmt: skip


def _status_of(events: tuple[str, ...]) -> str:
    """What a history says of how the run stands."""
    if events and events[-1] in _ENDS:
        return _ENDS[events[-1]]
    turns = [event for event in events if event in ("RunPaused", "RunResumed")]
    return "paused" if turns and turns[-1] == "RunPaused" else "running"


def _wait(what: str, holds: Callable[[], bool], last: list[Any] | None = None) -> None:
    end = time.monotonic() + EFFECT_S
    while not holds():
        assert time.monotonic() < end, f"waited {EFFECT_S:g} s for {what}; last: {last}"
        time.sleep(0.05)
