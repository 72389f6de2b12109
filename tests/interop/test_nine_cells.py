"""Nine cells: a run of each engine, seen alike from each wire, after each of ten changes made from changing wires.

Only real clients: the `cylc` command 8.5.4, the durable-workflow SDK 2.12.0 (its client, and its worker for the durable
run), and the `websockets` library. Each wire can also end a run of each engine.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, bin_dir
from interop.drivers import PROGRAMS, Clients, TaskSet, eventually

GATED_FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 2
    runahead limit = P0
    [[graph]]
        P1 = "a => b & c"
[runtime]
    [[root]]
        script = while [[ -d {gates} && ! -e {gates}/$CYLC_WORKFLOW_ID.$CYLC_TASK_CYCLE_POINT.$CYLC_TASK_NAME ]]; do sleep 0.1; done
    [[a, b, c]]
"""
SLOW_MATERIAL = {"model": "material_flow", "input": {"duration": 500, "pace_s": 1.5}}
ENGINES = ("graph", "durable", "simulation")
EXPOSE_AT_ONCE = "expose_after_s = 0.1\n"


class Cells:
    """A gateway with its three clients, and gates that hold jobs and activities until they are opened."""

    def __init__(self, home: Path) -> None:
        self.gates = home / "gates"
        self.gates.mkdir(parents=True)
        self.gateway = GatewayProcess(home)
        text = self.gateway.config_file.read_text()
        self.gateway.config_file.write_text(text.replace("[adapters.cylc]\n", f"[adapters.cylc]\n{EXPOSE_AT_ONCE}"))
        flow = self.gateway.definitions / "gated"
        flow.mkdir()
        (flow / "flow.cylc").write_text(GATED_FLOW.format(gates=self.gates))
        (self.gateway.definitions / "slow.json").write_text(json.dumps(SLOW_MATERIAL))
        self.worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Cells":
        self.gateway.start()
        self.clients = Clients(self.gateway)
        url = f"http://127.0.0.1:{self.gateway.http_port}"
        self.worker = subprocess.Popen(
            [str(bin_dir(SDK_212) / "python"), str(PROGRAMS / "gate_worker.py"), url, "gates", str(self.gates)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        # Jobs outlive a gateway; with the gates gone, those of a failed test end too.
        self.gates.rename(self.gates.with_name("no-gates"))
        self.clients.__exit__()
        assert self.worker is not None
        self.worker.kill()
        self.worker.wait(10)
        self.gateway.__exit__()

    def open_gate(self, name: str) -> None:
        (self.gates / name).touch()

    def start(self, engine: str, run: str) -> None:
        """Start a run over HTTP, with the SDK."""
        kinds = {"graph": "graph:gated", "simulation": "simulation:slow", "durable": "gated"}
        self.clients.sdk(
            "start_workflow", workflow_type=kinds[engine], workflow_id=run, task_queue="gates",
            input=[run] if engine == "durable" else [],
        )  # fmt: skip
        eventually(f"the face of {run}", lambda: run in self.clients.cylc("scan", "-t", "name").split())

    def agree_on(self, run: str, engine: str, holds: Callable[[TaskSet], bool], what: str) -> TaskSet:
        """The tasks on which the wires agree, once they also are what was expected."""
        seen: list[TaskSet] = []

        def expected() -> bool:
            seen.append(self.clients.agreed_tasks(run, engine))
            return holds(seen[-1])

        try:
            eventually(what, expected)
        except AssertionError as error:
            raise AssertionError(f"{error}; the wires agree on {sorted(seen[-1])}") from error
        return seen[-1]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    with Cells(tmp_path_factory.mktemp("cells")) as cells:
        yield cells


def has(*expected: tuple[str, str, str, int]) -> Callable[[TaskSet], bool]:
    return lambda tasks: set(expected) <= tasks


def restart(cells: Cells, run: str, engine: str) -> None:
    """Take the gateway down and up again: what the wires tell is what they told."""
    before = cells.clients.agreed_tasks(run, engine)
    assert cells.gateway.stop() == 0
    cells.gateway.start()
    eventually("the face to be back", lambda: run in cells.clients.cylc("scan", "-t", "name").split())
    assert cells.clients.agreed_tasks(run, engine) == before


@pytest.mark.timeout(240)
def test_a_graph_is_the_same_on_three_wires_through_ten_changes_and_a_restart(cells: Cells) -> None:
    clients, run = cells.clients, "graph"
    cells.start("graph", run)  # 1: HTTP
    cells.agree_on(run, "graph", has(("1", "a", "running", 1)), "a to run")
    clients.cylc("hold", f"{run}//1/b")  # 2: Cylc
    clients.agreed_tasks(run, "graph")
    cells.open_gate("graph.1.a")  # 3: a job's own message
    cells.agree_on(run, "graph", has(("1", "a", "succeeded", 1), ("1", "b", "waiting", 0), ("1", "c", "running", 1)), "c alone to run")
    clients.sdk("update_workflow", run, "release", args=["1/b"])  # 4: HTTP
    cells.agree_on(run, "graph", has(("1", "b", "running", 1)), "b to run")
    clients.websocket(run, "pause")  # 5: websocket
    clients.agreed_tasks(run, "graph")
    cells.open_gate("graph.1.b")  # 6, 7: two jobs end while the run is paused
    cells.open_gate("graph.1.c")
    cells.agree_on(run, "graph", has(("1", "b", "succeeded", 1), ("1", "c", "succeeded", 1)), "b and c to end")
    assert ("2", "a", "running", 1) not in clients.agreed_tasks(run, "graph")
    assert "paused" in clients.cylc("scan", "--states=paused", "-t", "rich", "--colour=never")
    clients.cylc("play", run)  # 8: Cylc
    cells.agree_on(run, "graph", has(("2", "a", "running", 1)), "the second cycle to begin")
    clients.sdk("signal_workflow", run, "pause")  # 9: HTTP
    clients.agreed_tasks(run, "graph")
    clients.websocket(run, "unpause")  # 10: websocket
    dumped = clients.cylc("dump", "-t", run)
    assert "2/a:running" in dumped and "1/c" not in dumped
    restart(cells, run, "graph")
    for gate in ("2.a", "2.b", "2.c"):
        cells.open_gate(f"graph.{gate}")
    eventually("the graph to complete", lambda: clients.sdk("describe_workflow", run)["status"] == "completed", 60)
    eventually("its face to close", lambda: run not in clients.cylc("scan", "-t", "name").split())
    assert {t[:4] for t in clients.sdk_tasks(run, "graph")} == {(c, n, "succeeded", 1) for c in "12" for n in "abc"}
    assert clients.websocket_tasks(run) == clients.sdk_tasks(run, "graph")


@pytest.mark.timeout(240)
def test_a_durable_run_is_the_same_on_three_wires_through_ten_changes_and_a_restart(cells: Cells) -> None:
    clients, run = cells.clients, "durable"
    cells.start("durable", run)  # 1: HTTP
    cells.agree_on(run, "durable", has(("1", "gate-1", "running", 1)), "the activity to run")
    clients.cylc("pause", run)  # 2: Cylc
    clients.agreed_tasks(run, "durable")
    cells.open_gate("durable-one")  # 3: a worker's completion
    cells.agree_on(run, "durable", has(("1", "gate-1", "succeeded", 1)), "the activity to end")
    clients.websocket(run, "unpause")  # 4: websocket
    cells.agree_on(run, "durable", lambda tasks: any(t[1] == "timer-2" for t in tasks), "the timer to start")  # 5: a timer
    cells.agree_on(run, "durable", has(("1", "timer-2", "succeeded", 0), ("1", "gate-3", "running", 1)), "the second activity to run")
    clients.sdk("signal_workflow", run, "triplane.pause")  # 6: HTTP
    clients.agreed_tasks(run, "durable")
    clients.cylc("play", run)  # 7: Cylc
    clients.agreed_tasks(run, "durable")
    cells.open_gate("durable-two")  # 8: a worker's completion
    cells.agree_on(run, "durable", has(("1", "gate-3", "succeeded", 1)), "the second activity to end")
    clients.websocket(run, "pause")  # 9: websocket
    clients.agreed_tasks(run, "durable")
    clients.sdk("signal_workflow", run, "triplane.resume")  # HTTP
    clients.sdk("signal_workflow", run, "go")  # 10: HTTP
    cells.agree_on(run, "durable", lambda tasks: any(t[2] == "running" and t[1].startswith("gate-") for t in tasks), "the third activity")
    assert "1/gate-3:succeeded" in clients.cylc("dump", "-t", run)
    restart(cells, run, "durable")
    cells.open_gate("durable-three")
    eventually("the run to complete", lambda: clients.sdk("describe_workflow", run)["status"] == "completed", 60)
    assert clients.sdk("describe_workflow", run)["output"] == "durable"
    assert clients.websocket_tasks(run) == clients.sdk_tasks(run, "durable")


@pytest.mark.timeout(240)
def test_a_simulation_is_the_same_on_three_wires_through_ten_changes_and_a_restart(cells: Cells) -> None:
    clients, run = cells.clients, "simulation"
    cells.start("simulation", run)  # 1: HTTP
    pausing: list[Callable[[], object]] = [
        lambda: clients.cylc("pause", run),
        lambda: clients.websocket(run, "pause"),
        lambda: clients.sdk("signal_workflow", run, "pause"),
        lambda: clients.cylc("pause", run),
    ]
    resuming: list[Callable[[], object]] = [
        lambda: clients.websocket(run, "unpause"),
        lambda: clients.sdk("signal_workflow", run, "resume"),
        lambda: clients.cylc("play", run),
        lambda: clients.sdk("signal_workflow", run, "resume"),
    ]
    steps = [0]
    for pause, resume in zip(pausing, resuming, strict=True):  # 2 to 9, each by another wire than the one before
        pause()
        steps.append(max(int(task[0]) for task in clients.agreed_tasks(run, "simulation")))
        resume()
        eventually(
            "a further step", lambda: max(int(task[0]) for task in clients.websocket_tasks(run)) > steps[-1]
        )
    clients.websocket(run, "pause")  # 10: websocket
    tasks = clients.agreed_tasks(run, "simulation")
    assert {task[1] for task in tasks} == {"step"} and steps == sorted(steps)
    assert f"{max(int(t[0]) for t in tasks)}/step:" in clients.cylc("dump", "-t", run)
    restart(cells, run, "simulation")
    clients.sdk("terminate_workflow", run)
    eventually("the run to end", lambda: clients.sdk("describe_workflow", run)["status"] == "terminated")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("engine", ENGINES)
def test_each_wire_finds_reads_and_ends_a_run(cells: Cells, engine: str) -> None:
    clients = cells.clients
    runs = {wire: f"{engine}-by-{wire}" for wire in ("cylc", "http", "websocket")}
    for run in runs.values():
        cells.start(engine, run)
    listed = {w["workflow_id"] for w in clients.sdk("list_workflows", status="running")["executions"]}
    assert set(runs.values()) <= listed

    by_cylc = runs["cylc"]
    assert clients.cylc("ping", by_cylc).strip()
    assert clients.cylc("client", by_cylc, "ping_workflow", "-n").strip() == "true"
    clients.cylc("stop", "--kill", by_cylc)
    eventually("cylc's stop", lambda: clients.sdk("describe_workflow", by_cylc)["status"] in ("terminated", "cancelled"))
    eventually("its contact to go", lambda: by_cylc not in clients.cylc("scan", "-t", "name").split())

    by_http = runs["http"]
    described = clients.sdk("describe_workflow", by_http)
    assert described["status"] in ("pending", "running", "waiting")
    history = clients.sdk("get_history", by_http, described["run_id"])["events"]
    assert [e["event_type"] for e in history if e["event_type"] in ("StartAccepted", "WorkflowStarted")][-1] == "WorkflowStarted"
    clients.sdk("cancel_workflow" if engine == "durable" else "terminate_workflow", by_http)
    eventually("HTTP's stop", lambda: clients.sdk("describe_workflow", by_http)["status"] in ("terminated", "cancelled"))

    by_websocket = runs["websocket"]
    assert clients.table(by_websocket, "Tasks") is not None
    names = [row["event"] for row in clients.table(by_websocket, "History")]
    assert "WorkflowStarted" in names
    clients.websocket(by_websocket, "shutdown", when="now")
    eventually("the websocket's stop", lambda: clients.sdk("describe_workflow", by_websocket)["status"] in ("terminated", "cancelled"))
    last = [e["event_type"] for e in clients.sdk("get_history", by_http, described["run_id"])["events"]][-1]
    assert last in ("WorkflowCancelled", "WorkflowTerminated")
