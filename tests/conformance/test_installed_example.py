"""The example adapter installed as anybody's would be: its own package, found by entry point, served by `triplane serve`."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.line_driver import free_port
from gateway_process import GatewayProcess

EXAMPLE = Path(__file__).parent.parent / "example_adapter"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with the example adapter installed in it, as pip does it."""
    target, source = tmp_path / "site", tmp_path / "source"
    # pip builds in the source folder, and the project's own must stay as it is.
    subprocess.run(["cp", "-r", str(EXAMPLE), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", str(target), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


async def ask(port: int, line: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{line}\n".encode())
    answer = (await asyncio.wait_for(reader.readline(), 5)).decode().strip()
    writer.close()
    return answer


async def test_an_installed_adapter_is_configured_served_and_drained_like_ours(installed: Path, tmp_path: Path) -> None:
    port = free_port()
    environment = {"PYTHONPATH": f"{installed}:{os.environ.get('PYTHONPATH', '')}"}
    with GatewayProcess(tmp_path / "home", f"[adapters.line]\nport = {port}\n", environment) as gateway:
        assert f"line: ready at tcp://127.0.0.1:{port}" in gateway.output
        status, _ = gateway.http("POST", "/api/workflows", {"workflow_id": "w", "workflow_type": "t", "task_queue": "q"})
        assert status == 201
        assert await ask(port, "pause w") == "ok paused"
        assert gateway.http("GET", "/api/workflows/w")[1]["wait_kind"] == "paused"
        assert (await ask(port, "show nothing")).startswith("error workflow_not_found")
        assert gateway.stop() == 0


async def test_an_unknown_key_of_an_installed_adapter_is_refused_by_its_path(installed: Path, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(installed)}
    gateway = GatewayProcess(tmp_path / "home", "[adapters.line]\nprot = 1\n", environment, ready=False)
    done = gateway.cli("config", "check", check=False)
    assert done.returncode != 0
    assert "adapters.line.prot" in done.stdout + done.stderr
