"""`triplane demo`: an example run of each engine, and what to try on each wire."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from triplane.cli.configuring import read_config
from triplane.cli.outcome import CommandFailure, ExitCode
from triplane.config import Config
from triplane.config.model import GatewaySection
from triplane_control.client import ControlClient, ControlError
from triplane_control.commanding import ConfigFile, gateway
from triplane_control.packing import pack

READY_LINE = "triplane: ready"
STOP_S = 20.0
WORKER_STOP_S = 5.0
GRAPH, SIMULATION, DURABLE = "demo-weather", "demo-material", "demo-orders"
QUEUE = "orders"


def examples() -> Path:
    """The folder of the examples: in the package where it is installed, in `deploy` in a checkout.

    Raises:
        CommandFailure: neither is there.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "examples", here.parents[1] / "deploy" / "examples"):
        if (folder / "worker.py").is_file():
            return folder
    raise CommandFailure("the examples are not installed", ExitCode.FAILED, "Install the package whole, or run this in a checkout.")


def demo(
    *,
    serve: Annotated[bool, Parameter(negative="", help="Run the gateway and a worker too, until Ctrl-C.")] = False,
    config: ConfigFile = None,
) -> int:
    """Start an example of each engine on the running gateway, and print what to try on each wire.

    With --serve the gateway and a worker for the durable example run as long as this command does. What was started goes on
    at the next start of the gateway.
    """
    settings = read_config(config)
    if not serve:
        with gateway(config) as client:
            print(instructions(settings, config, start_examples(client), worker_runs=False))
        return ExitCode.OK
    # From the first moment, so that nothing started here outlives it.
    signal.signal(signal.SIGTERM, _told_to_end)
    with _serving(config) as server:
        with gateway(config) as client:
            runs = start_examples(client)
        with _working(settings):
            print(instructions(settings, config, runs, worker_runs=True), flush=True)
            return _until_told(server)


def start_examples(client: ControlClient) -> dict[str, str]:
    """Begin each example that is not going on already; the workflow id by engine. An engine that refuses is reported and left out."""
    folder = examples()
    material = json.loads((folder / "material.json").read_text())["input"]
    wanted: dict[str, tuple[str, dict[str, Any]]] = {
        "graph": (GRAPH, {"workflow_type": "weather", "source": {"archive": pack(folder / "weather" / "flow.cylc")}}),
        "simulation": (SIMULATION, {"workflow_type": "material_flow", "source": {"definition": "material_flow"}, "input": material}),
        "durable": (DURABLE, {"workflow_type": "orders", "task_queue": QUEUE}),
    }
    started: dict[str, str] = {}
    for engine, (name, fields) in wanted.items():
        try:
            started[engine] = _start(client, engine, name, fields)
        except ControlError as error:
            print(f"the {engine} example was refused: {error}", file=sys.stderr)
    return started


def _start(client: ControlClient, engine: str, name: str, fields: dict[str, Any]) -> str:
    for attempt in range(1, 1_000):
        workflow_id = name if attempt == 1 else f"{name}-{attempt}"
        try:
            view = client.ask("describe_run", workflow_id=workflow_id)
        except ControlError as error:
            if error.code != "workflow_not_found":
                raise
            client.call("start_run", engine=engine, workflow_id=workflow_id, **fields)
            return workflow_id
        if view["run"]["closed"] is None:
            return workflow_id
    raise ControlError("conflict", f"a thousand workflows named {name} exist")


def instructions(settings: Config, config: Path | None, runs: dict[str, str], worker_runs: bool) -> str:
    """Addresses, and a command to try on each wire that is on."""
    on = settings.enabled_adapters()
    graph = runs.get("graph", GRAPH)
    lines = ["", "Going on: " + ", ".join(f"{workflow_id} ({engine})" for engine, workflow_id in runs.items()), ""]
    if "web" in on:
        section = settings.adapter("web")
        lines += [f"In a browser: http://{_reachable(section.host)}:{section.port}/ui/", ""]
    program, option = _program(settings, config)
    lines += ["Our command line:", *(f"  {program} {command}{option}" for command in ("list", f"show {graph}", f"stop {graph}")), ""]
    if "cylc" in on:
        lines += [
            f"Cylc (run directories in {settings.jobs.run_dir}):",
            "  cylc scan", f"  cylc dump -t {graph}", f"  cylc tui {graph}", f"  cylc hold '{graph}//*'", "",
        ]  # fmt: skip
    if "durable" in on:
        section = settings.adapter("durable")
        url = f"http://{_reachable(section.host)}:{section.port}"
        header = "-H 'X-Durable-Workflow-Control-Plane-Version: 2'"
        lines += [
            f"Durable Workflow SDK and `dw` ({url}):",
            f"  curl {header} {url}/api/workflows",
            f"  curl {header} {url}/api/workflows/{runs.get('durable', DURABLE)}",
        ]
        if not worker_runs:
            lines += [f"  {sys.executable} {examples() / 'worker.py'} {url}    # runs the durable example's tasks"]
        lines += [""]
    if "cyclus" in on:
        section = settings.adapter("cyclus")
        address = f"ws://{_reachable(section.host)}:{section.port}"
        lines += [
            f"Cyclus ({address}; any websocket client):",
            f"  python -m websockets {address}/runs/{runs.get('simulation', SIMULATION)}",
            '  then type  {"event": "table_data", "params": {"table": "Stores"}}',
            "",
        ]
    return "\n".join(lines)


def _program(settings: Config, config: Path | None) -> tuple[str, str]:
    """How this command line is called from here, and the option by which it finds this gateway, if it needs one."""
    beside = Path(sys.executable).with_name("triplane")
    program = "triplane" if shutil.which("triplane") or not beside.exists() else os.path.relpath(beside)
    usual = Path(GatewaySection().data_dir) == settings.gateway.data_dir
    return program, "" if usual or config is None else f" --config {config}"


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host


@contextmanager
def _serving(config: Path | None) -> Iterator["subprocess.Popen[str]"]:
    """A gateway as a child process, ready; its lines are passed on. Stopped in order at the end."""
    command = [sys.executable, "-m", "triplane.cli.main", "serve", *(["--config", str(config)] if config else [])]
    # In a group of its own, so that Ctrl-C reaches it once, from us, and it can drain.
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert server.stdout is not None
    try:
        for line in server.stdout:
            print(line, end="", flush=True)
            if line.startswith(READY_LINE):
                break
        else:
            raise CommandFailure("the gateway did not start; its own message is above", ExitCode.FAILED)
        threading.Thread(target=_pass_on, args=(server.stdout,), daemon=True).start()
        yield server
    finally:
        _end(server, STOP_S)


def _pass_on(stream: Any) -> None:
    for line in stream:
        print(line, end="", flush=True)


@contextmanager
def _working(settings: Config) -> Iterator[None]:
    """The durable example's worker as a child process, where that wire is on."""
    if "durable" not in settings.enabled_adapters():
        yield
        return
    section = settings.adapter("durable")
    url = f"http://{_reachable(section.host)}:{section.port}"
    worker = subprocess.Popen([sys.executable, str(examples() / "worker.py"), url, QUEUE], start_new_session=True)
    try:
        yield
    finally:
        _end(worker, WORKER_STOP_S)


def _end(process: "subprocess.Popen[Any]", patience_s: float) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_told(server: "subprocess.Popen[str]") -> int:
    """Wait for Ctrl-C, SIGTERM, or the gateway's own end; the exit code."""
    with suppress(KeyboardInterrupt):
        return server.wait()
    return ExitCode.OK


def _told_to_end(*_: object) -> None:
    raise KeyboardInterrupt
