"""The README's lines for each client, run as they stand (but for addresses) by the real clients against a gateway with the demo."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_process import GatewayProcess
from interop.clients import environment_of

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"
SCRIPTS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
NOT_IN_A_TEST = ("cylc tui",)
"""It takes over the terminal."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """The demo, as `make run` has it: the examples' definitions, one run of each engine, and the worker."""
    home = tmp_path_factory.mktemp("readme")
    (home / "definitions").symlink_to(EXAMPLES)
    with GatewayProcess(home, environment={"TRIPLANE__ADAPTERS__CYLC__EXPOSE_AFTER_S": "0"}) as running:
        running.cli("demo")
        worker = subprocess.Popen([sys.executable, str(EXAMPLES / "worker.py"), f"http://127.0.0.1:{running.http_port}", "orders"])
        try:
            yield running
        finally:
            worker.terminate()
            worker.wait(10)
            running.cli("stop", "demo-weather", "--kill", check=False)


def here(text: str, gateway: GatewayProcess) -> str:
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{gateway.http_port}").replace("localhost:4242", f"localhost:{gateway.websocket_port}")


def test_the_cylc_lines_work(gateway: GatewayProcess, cylc_bin: Path) -> None:
    block = README.partition("**Cylc**")[2].partition("**Durable")[0]
    lines = [shlex.split(line, comments=True) for line in re.findall(r"^    (cylc .*)$", block, re.MULTILINE)]
    assert len(lines) >= 6
    environment = environment_of(cylc_bin, gateway.home)
    await_face(gateway, "demo-orders")
    for line in lines:
        if not " ".join(line).startswith(NOT_IN_A_TEST):
            done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, f"{shlex.join(line)}: {done.stdout}{done.stderr}"
    scan = subprocess.run(["cylc", "scan"], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "demo-orders" in scan.stdout


def test_the_sdk_script_works(gateway: GatewayProcess, sdk290_bin: Path, sdk212_bin: Path) -> None:
    script = here(next(script for script in SCRIPTS if "durable_workflow" in script), gateway)
    for number, folder in enumerate((sdk290_bin, sdk212_bin)):
        command = [folder / "python", "-c", script.replace("my-weather", f"my-weather-{number}")]
        environment = environment_of(folder, gateway.home)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "running" in done.stdout and "packed" in done.stdout


def test_the_websocket_script_works(gateway: GatewayProcess, websocket_bin: Path) -> None:
    script = here(next(script for script in SCRIPTS if "websockets" in script), gateway)
    command = [websocket_bin / "python", "-u", "-c", script]
    with subprocess.Popen(command, env=environment_of(websocket_bin, gateway.home), stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        try:
            # It goes on for ever; a heartbeat comes every few seconds, so this loop ends.
            assert any(line.startswith("table_data") and "Quantity" in line for line in first_lines(client.stdout, 6))
        finally:
            client.kill()


def first_lines(stream: Iterator[str], count: int) -> Iterator[str]:
    for _, line in zip(range(count), stream, strict=False):
        yield line


def await_face(gateway: GatewayProcess, name: str) -> None:
    """A durable run gets its face only when it has been open for a while."""
    contact = gateway.home / "cylc-run" / name / ".service" / "contact"
    until = time.monotonic() + 30
    while not contact.exists():
        assert time.monotonic() < until, f"no face for {name}"
        time.sleep(0.05)
