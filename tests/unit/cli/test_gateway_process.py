"""A gateway as an operator meets it: signals, ports, data directories."""

import http.client
import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from gateway_process import GatewayProcess

WAITS = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    [[graph]]
        R1 = a
[runtime]
    [[a]]
        script = sleep 60
"""


def test_sigterm_answers_long_polls_removes_contact_files_and_ends_with_0(gateway_process: GatewayProcess, tmp_path: Path) -> None:
    gateway = gateway_process
    definition = gateway.definitions / "waits"
    definition.mkdir()
    (definition / "flow.cylc").write_text(WAITS)
    gateway.cli("start", "graph:waits", "--id", "waits")
    contact = gateway.home / "cylc-run" / "waits" / ".service" / "contact"
    _await(contact.exists)
    worker = {"worker_id": "w1", "task_queue": "q", "runtime": "python", "supported_workflow_types": [], "supported_activity_types": []}
    plane = {"X-Durable-Workflow-Protocol-Version": "1.20"}
    assert gateway.http("POST", "/api/worker/register", worker, **plane)[0] == 201
    waiting = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=30)
    asked = {"worker_id": "w1", "task_queue": "q", "timeout_seconds": 30, "poll_request_id": "p1"}
    waiting.request("POST", "/api/worker/workflow-tasks/poll", json.dumps(asked), {"Content-Type": "application/json", **plane})
    # A request that was sent later and is answered: so the poll has been read, and waits.
    assert gateway.http("GET", "/api/ready")[0] == 200
    began = time.monotonic()
    assert gateway.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
    answer = waiting.getresponse()
    assert answer.status in (200, 503) and json.loads(answer.read()) is not None
    assert not contact.exists()
    assert not (gateway.data_dir / "control.sock").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", gateway.http_port)) != 0


def test_ctrl_c_stops_it_in_order_too(gateway_process: GatewayProcess) -> None:
    assert gateway_process.stop(signal.SIGINT) == 0
    assert gateway_process.output.rstrip().endswith("triplane: stopped")
    assert not (gateway_process.data_dir / "control.sock").exists()


def test_a_restart_takes_up_what_was_open(gateway_process: GatewayProcess) -> None:
    gateway = gateway_process
    gateway.cli("start", "idle", "--queue", "nobody", "--id", "kept")
    gateway.stop(signal.SIGKILL)
    gateway.start()
    assert "with 1 open run" in gateway.output
    assert '"kept"' in gateway.cli("show", "kept", "--json").stdout


def test_a_second_gateway_is_refused_with_the_owners_pid(gateway_process: GatewayProcess) -> None:
    second = gateway_process.cli("serve", check=False)
    assert second.returncode == 1
    assert f"process {gateway_process.pid}" in second.stderr and "Traceback" not in second.stderr
    assert gateway_process.http("GET", "/api/ready")[0] == 200


@pytest.mark.parametrize("wire", ["durable", "cyclus"])
def test_a_port_that_is_taken_is_named_and_nothing_is_left_half_done(tmp_path: Path, wire: str) -> None:
    gateway = GatewayProcess(tmp_path)
    port = gateway.http_port if wire == "durable" else gateway.websocket_port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        refused = gateway.cli("serve", check=False)
    assert refused.returncode == 1, refused.stderr
    assert str(port) in refused.stderr and f"adapters.{wire}.port" in refused.stderr and "Traceback" not in refused.stderr
    assert "ready" not in refused.stdout
    assert not (gateway.data_dir / "control.sock").exists()
    with gateway:
        assert gateway.http("GET", "/api/ready")[0] == 200


@pytest.mark.parametrize("off", ["durable", "cylc", "cyclus", "web"])
def test_each_foreign_wire_can_be_switched_off(tmp_path: Path, off: str) -> None:
    with GatewayProcess(tmp_path, environment={f"TRIPLANE__ADAPTERS__{off.upper()}__ENABLED": "false"}) as gateway:
        ready = [line.partition(":")[0] for line in gateway.output.splitlines() if ": ready" in line]
        assert ready == [name for name in ("control", "cyclus", "cylc", "durable", "web", "triplane") if name != off]
        assert gateway.cli("list").returncode == 0


def test_listening_off_loopback_without_credentials_is_refused(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, environment={"TRIPLANE__ADAPTERS__DURABLE__HOST": "0.0.0.0"})
    refused = gateway.cli("serve", check=False)
    assert refused.returncode == 2 and "adapters.durable.host" in refused.stderr and "auth.tokens" in refused.stderr


def _await(holds: Any, deadline_s: float = 15.0) -> None:
    until = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
