"""The three real clients of one gateway, each as a test wants to use it: read a run's tasks, change a run, end it."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from gateway_process import GatewayProcess
from interop.clients import CYLC, SDK_212, WEBSOCKET, bin_dir

PROGRAMS = Path(__file__).parent / "programs"
TaskSet = frozenset[tuple[str, str, str, int]]
"""(cycle, task, state, submit number) of each task of a run."""

TASKS_QUERY = "query { workflows { taskProxies { cyclePoint name state jobSubmits flowNums } } }"


def eventually(what: str, holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of `holds()`; an assertion error that shows the last one, if there is none in time."""
    until = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < until, f"waited {seconds:g} s for {what}; last: {value!r}"
        time.sleep(0.05)
    return value


class LineDriver:
    """A program in another interpreter that answers a JSON line with a JSON line."""

    def __init__(self, python: Path, program: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [str(python), str(PROGRAMS / program), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, request: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self.hear()

    def hear(self) -> Any:
        """The next line that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the driver ended with {self._process.wait(10)}"
        return json.loads(line)

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)


class Clients:
    """The `cylc` command, the SDK's client and a websocket client, pointed at one gateway."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self._environment = {
            **os.environ, "HOME": str(gateway.home), "PATH": f"{bin_dir(CYLC)}:{os.environ['PATH']}",
        }  # fmt: skip
        self._sdk = LineDriver(bin_dir(SDK_212) / "python", "sdk_driver.py", f"http://127.0.0.1:{gateway.http_port}")
        self._websocket = LineDriver(bin_dir(WEBSOCKET) / "python", "ws_driver.py")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sdk.close()
        self._websocket.close()

    # ---- cylc ------------------------------------------------------------------------------------------------------

    def cylc(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """Run `cylc ARGUMENTS`; its standard output."""
        done = subprocess.run(
            ["cylc", *arguments], capture_output=True, text=True, env=self._environment, timeout=60, input=stdin, check=False
        )
        assert not check or done.returncode == 0, f"cylc {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def cylc_tasks(self, run: str) -> TaskSet:
        """A run's tasks as `cylc client` reads them by GraphQL, without those in view that have not come to be."""
        args = json.dumps({"request_string": TASKS_QUERY, "variables": {}})
        answer = json.loads(self.cylc("client", run, "graphql", stdin=args))
        (workflow,) = answer["workflows"]
        came_to_be = [t for t in workflow["taskProxies"] if t["flowNums"] != "[]"]
        return frozenset((t["cyclePoint"], t["name"], t["state"], t["jobSubmits"]) for t in came_to_be)

    # ---- the SDK ---------------------------------------------------------------------------------------------------

    def sdk(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        """Call a method of the SDK's `Client`."""
        answer = self._sdk.ask([method, list(arguments), keywords])
        assert "ok" in answer, f"{method}{arguments}: {answer}"
        return answer["ok"]

    def sdk_tasks(self, run: str, engine: str) -> TaskSet:
        """A run's tasks as the reserved query tells them."""
        name = "triplane.tasks" if engine == "durable" else "tasks"
        rows = self.sdk("query_workflow", run, name)["result"]
        return frozenset((r["cycle"], r["name"], r["state"], r["submit_num"]) for r in rows)

    # ---- websocket -------------------------------------------------------------------------------------------------

    def websocket(self, run: str, event: str, awaited: str | None = None, **params: Any) -> Any:
        """Send an event to a run, and wait for one if asked."""
        url = f"ws://localhost:{self.gateway.websocket_port}/runs/{run}"
        answer = self._websocket.ask({"url": url, "send": {"event": event, "params": params}, "await": awaited})
        assert answer is None or answer["event"] == awaited, answer
        return answer

    def table(self, run: str, name: str) -> list[dict[str, Any]]:
        """A table of a run, as records."""
        rows: list[dict[str, Any]] = self.websocket(run, "table_data", "table_data", table=name, orient="records")["data"]
        return rows

    def websocket_tasks(self, run: str) -> TaskSet:
        """A run's tasks as `table_data` tells them."""
        rows = self.table(run, "triplane.Tasks")
        return frozenset((r["cycle"], r["name"], r["state"], r["submit_num"]) for r in rows)

    # ---- all three -------------------------------------------------------------------------------------------------

    def agreed_tasks(self, run: str, engine: str) -> TaskSet:
        """A run's tasks as all three wires report them, once they agree with each other and nothing moved meanwhile.

        On the Cylc wire a graph's tasks that succeeded leave the view when nothing next to them is active.
        """
        seen: dict[str, TaskSet] = {}

        def agree() -> bool:
            seen["websocket"] = self.websocket_tasks(run)
            seen["sdk"] = self.sdk_tasks(run, engine)
            seen["cylc"] = self.cylc_tasks(run)
            seen["websocket again"] = self.websocket_tasks(run)
            left = seen["sdk"] - seen["cylc"]
            is_in_view = not left if engine != "graph" else all(state == "succeeded" for _, _, state, _ in left)
            return seen["websocket"] == seen["sdk"] == seen["websocket again"] and seen["cylc"] <= seen["sdk"] and is_in_view

        until = time.monotonic() + 30.0
        while not agree():
            assert time.monotonic() < until, f"the wires do not agree on {run}: {seen}"
        return seen["sdk"]
