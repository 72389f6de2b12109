"""The ten-line script of an unmodified websocket client, in a Python of its own, against `triplane serve`."""

import json
import signal
import subprocess
import textwrap
import time
from pathlib import Path

from websockets.sync.client import connect

from gateway_process import GatewayProcess

SLOW = {"model": "material_flow", "input": {"duration": 100_000, "pace_s": 0.02, "seed": 3}, "title": "Slow ore"}

TEN_LINES = """
    import asyncio, json, sys, websockets
    async def main():
        async with websockets.connect(sys.argv[1]) as ws:
            for request in json.loads(sys.argv[2]):
                await ws.send(json.dumps(request))
                while request["event"] not in ("pause", "unpause"):
                    answer = json.loads(await asyncio.wait_for(ws.recv(), 20))
                    if answer["event"] not in ("heartbeat", "echo"): print(json.dumps(answer)); break
    asyncio.run(main())
"""


def talk(python: Path, gateway: GatewayProcess, path: str, *requests: dict) -> list[dict]:
    """Run the script; its answers, one for each request that has one."""
    address = f"ws://localhost:{gateway.websocket_port}{path}"
    command = [str(python / "python"), "-c", textwrap.dedent(TEN_LINES), address, json.dumps(requests)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + gateway.output[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def event(name: str, **params: object) -> dict:
    return {"event": name, "params": params}


def test_a_ten_line_script_loads_reads_pauses_and_stops_a_simulation(tmp_path, websocket_bin):
    with GatewayProcess(tmp_path) as gateway:
        (gateway.definitions / "slow.json").write_text(json.dumps(SLOW))
        loaded, registry, info, missing, names = talk(
            websocket_bin, gateway, "/",
            event("load", input="slow"), event("pause"), event("registry_request"), event("table_data", table="Info", orient="records"),
            event("table_data", table="NoSuchTable"), event("table_names_request"),
        )  # fmt: skip
        assert loaded == {"event": "loaded", "params": {"status": "ok"}, "data": None}
        assert registry["data"] == [] and info["data"][0]["Seed"] == 3
        assert missing["data"] == "NoSuchTable is not available." and {"Agents", "Info"} <= set(names["data"])
        described = gateway.http("GET", "/api/workflows/cyclus-default")[1]
        assert described["status"] in ("running", "waiting")
        assert "cyclus-default" in gateway.cli("list", "--json").stdout
        (answer,) = talk(websocket_bin, gateway, "/", event("unpause"), event("shutdown", when="now"))
        assert answer["event"] == "shutdown"
        assert gateway.http("GET", "/api/workflows/cyclus-default")[1]["status"] == "terminated"


def test_a_simulation_started_over_http_is_seen_and_ended_here(tmp_path, websocket_bin):
    with GatewayProcess(tmp_path) as gateway:
        (gateway.definitions / "slow.json").write_text(json.dumps(SLOW))
        status, started = gateway.http(
            "POST", "/api/workflows", {"workflow_id": "ore-1", "workflow_type": "simulation:slow", "task_queue": "none"}
        )
        assert status in (200, 201), started
        end = time.monotonic() + 30
        while not talk(websocket_bin, gateway, "/runs/ore-1", event("table_data", table="Tasks", orient="records"))[0]["data"]:
            assert time.monotonic() < end, "no step ever began"
        _, tasks = talk(
            websocket_bin, gateway, "/runs/ore-1",
            event("hold", tasks="*"), event("table_data", table="Tasks", orient="records", conds=[["is_held", "==", True]]),
        )  # fmt: skip
        assert all(task["name"] == "step" and task["state"] == "waiting" for task in tasks["data"])
        (history, answer) = talk(
            websocket_bin, gateway, "/runs/ore-1",
            event("table_data", table="History", conds=[["seq", "==", 1]], orient="records"), event("shutdown"),
        )  # fmt: skip
        assert history["data"][0]["event"] == "WorkflowStarted" and history["data"][0]["wire"] == "durable"
        assert answer["event"] == "shutdown"


def test_graphs_and_durable_runs_are_watched_and_ended_here_too(tmp_path, websocket_bin):
    with GatewayProcess(tmp_path) as gateway:
        flow = tmp_path / "flow" / "flow.cylc"
        flow.parent.mkdir()
        flow.write_text(
            "[scheduling]\n cycling mode = integer\n initial cycle point = 1\n [[graph]]\n  R1 = a => b\n"
            "[runtime]\n [[a]]\n  script = sleep 60\n [[b]]\n"
        )
        gateway.cli("start", str(flow.parent), "--id", "graph-1")
        gateway.cli("start", "orders", "--queue", "q", "--id", "orders-1")
        for workflow_id, tasks in [("graph-1", ["a", "b"]), ("orders-1", [])]:
            names, shown, history, answer = talk(
                websocket_bin, gateway, f"/runs/{workflow_id}?tables=all",
                event("table_names_request"), event("pause"), event("table_data", table="Tasks", orient="columns"),
                event("unpause"), event("table_data", table="History", orient="records"), event("shutdown", when="now"),
            )  # fmt: skip
            assert names["data"] == ["History", "Jobs", "Tasks"]
            assert set(shown["data"]["name"].values()) <= set(tasks) and bool(shown["data"]["name"]) == bool(tasks)
            happened = [record["event"] for record in history["data"]]
            assert {"WorkflowStarted", "RunPaused", "RunResumed"} <= set(happened)
            assert answer["event"] == "shutdown"
        _await(lambda: all(r["status"] == "terminated" for r in _listed(gateway)), "both runs to end")


def _listed(gateway: GatewayProcess) -> list[dict]:
    listed = [gateway.http("GET", f"/api/workflows/{workflow_id}")[1] for workflow_id in ("graph-1", "orders-1")]
    assert len(listed) == 2
    return listed


def test_killed_gateways_lose_no_row_double_none_and_leave_no_child_behind(tmp_path, websocket_bin):
    gateway = GatewayProcess(tmp_path)
    source = {"duration": 150, "seed": 11}
    paced = {"model": "material_flow", "input": {**source, "pace_s": 0.06, "checkpoint_every": 4}}
    (gateway.definitions / "paced.json").write_text(json.dumps(paced))

    def rows(path: str, table: str) -> list:
        # In this process: it is asked again and again.
        with connect(f"ws://localhost:{gateway.websocket_port}{path}") as socket:
            socket.send(json.dumps(event("table_data", table=table)))
            while (answer := json.loads(socket.recv(20)))["event"] in ("heartbeat", "echo"):
                pass  # Said to every watcher, by the simulation's repeating action.
        data = answer["data"] if isinstance(answer["data"], dict) else {"index": [], "data": []}
        return [[number, *row[1:]] for number, row in zip(data["index"], data["data"], strict=True)]

    with gateway:
        talk(websocket_bin, gateway, "/", event("load", input="paced"), event("set_repeating_actions", actions=[["echo", {"s": 1}]]))
        for _ in range(3):
            before = len(rows("/", "Stores"))
            _await(lambda before=before: len(rows("/", "Stores")) > before + 5, "some steps")
            (jobs,) = talk(websocket_bin, gateway, "/", event("table_data", table="Jobs", orient="records"))
            child = int(jobs["data"][-1]["job_id"])
            gateway.stop(signal.SIGKILL)
            _await(lambda child=child: not _alive(child), "the child to end with its gateway")
            gateway.start()
        _await(lambda: rows("/", "Finish"), "the last step")
        talk(websocket_bin, gateway, "/runs/undisturbed", event("load", input=source))
        _await(lambda: rows("/runs/undisturbed", "Finish"), "the last step of the other")
        for table in ("Flows", "Stores", "Losses", "Info", "Agents", "Finish"):
            assert rows("/", table) == rows("/runs/undisturbed", table), table


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _await(holds, what: str) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, f"waited for {what}"
        time.sleep(0.02)
