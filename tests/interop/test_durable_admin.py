"""Namespaces, storage, system passes, the webhook bridge and service operations, as the real SDK's `Client` asks for them."""

import hashlib
import hmac
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290, ForeignClient
from interop.drivers import eventually
from interop.test_durable_sdk import run_program

CONFIG = """
[auth]
local_role = "admin"
[bridge.stripe]
targets = ["orders.*"]
[bridge.signed]
secret_file = "{secret}"
[nexus.shop.orders.place]
workflow_type = "orders.place"
task_queue = "orders"
"""


@pytest.fixture(params=[SDK_290, SDK_212], ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> ForeignClient:
    found: ForeignClient = request.param
    return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    home: Path = tmp_path_factory.mktemp("admin")
    (home / "secret").write_text("between us\n")
    with GatewayProcess(home, CONFIG.format(secret=home / "secret")) as process:
        yield process


def test_what_administrators_and_other_systems_ask_for_is_done(gateway: GatewayProcess, client: ForeignClient) -> None:
    prefix = f"a-{client.name}"
    seen = run_program(client, "durable_admin.py", f"http://127.0.0.1:{gateway.http_port}", prefix)
    team = f"{prefix}-team"
    assert seen["namespaces"] == {
        "made": [team, "a team", 7, "active"],
        "twice": [409, "namespace_already_exists"],
        "changed": ["a team", 9],
        "listed": [team, "default"],
        "stored": ["local", True, 10, {"disk": "d"}],
        "result": {"order": "book", "paid": None},
        "tested": ["passed", "local", 8, 200_000],
        "gone": ["deleted", 2],
        "inside": seen["namespaces"]["missing"],
        "missing": seen["namespaces"]["missing"],
        "default": [409, "namespace_protected"],
        "no driver": seen["namespaces"]["no driver"],
        "empty again": [0, 30],
    }
    assert seen["namespaces"]["missing"] and seen["namespaces"]["no driver"]
    assert seen["passes"] == {
        "repaired": "repair_not_needed", "repair": [0, 0], "retention": ["default", 30, 0, 0], "timeouts": [0, 0],
    }  # fmt: skip
    assert seen["bridge"] == {
        "first": [True, "accepted", "started_new"],
        "again": [False, "duplicate", "duplicate_start"],
        "update": "accepted",
        "signals": ["accepted", "duplicate"],
        "wrong": [[False, "unsupported_routing"], [False, "unknown_target"], [False, "unsupported_action"]],
        "result": {"order": {"order_id": 1}, "paid": {"amount": 40}},
    }
    assert seen["operations"] == {
        "done": ["completed", {"order": "book", "paid": None}, True],
        "accepted": [True, "accepted", "accepted", {"order": "later", "paid": 7}],
        "failure": ["failed", "RuntimeError", True],
        "quiet": [False, True],
        "unknown": [404, "operation_not_found"],
    }


def test_a_signed_event_is_taken_and_an_unsigned_one_is_not(gateway: GatewayProcess) -> None:
    event = {"action": "start_workflow", "idempotency_key": "k", "target": {"workflow_type": "any"}}
    signature = "sha256=" + hmac.new(b"between us", json.dumps(event).encode(), hashlib.sha256).hexdigest()

    def post(**headers: str) -> tuple[int, Any]:
        return gateway.http("POST", "/api/bridge-adapters/webhook/signed", event, **headers)

    assert post()[0] == 401
    assert post(**{"X-Bridge-Signature": signature[:-1] + "x"})[1]["reason"] == "invalid_signature"
    status, accepted = post(**{"X-Bridge-Signature": signature})
    assert (status, accepted["outcome"]) == (202, "accepted")


def test_a_namespace_outlives_the_gateway_and_a_deletion_too(gateway: GatewayProcess) -> None:
    def ask(method: str, path: str, body: Any = None) -> Any:
        status, answer = gateway.http(method, f"/api/{path}", body, **{"X-Namespace": "lasting"})
        assert status < 300, answer
        return answer

    ask("POST", "namespaces", {"name": "lasting"})
    for number in range(20):
        ask("POST", "workflows", {"workflow_type": "T", "workflow_id": f"w-{number}"})
    gateway.stop(signal.SIGKILL)
    gateway.start()
    assert len(ask("GET", "workflows?page_size=50")["workflows"]) == 20
    assert ask("DELETE", "namespaces/lasting")["deleted"]["workflow_runs"] == 20
    gateway.stop(signal.SIGKILL)
    gateway.start()
    assert [space["name"] for space in ask("GET", "namespaces")["namespaces"]] == ["default"]
    ask("POST", "namespaces", {"name": "lasting"})
    assert ask("GET", "workflows")["workflows"] == []


def test_deleting_a_namespace_ends_its_graphs_jobs_too(gateway: GatewayProcess) -> None:
    flow = gateway.definitions / "sleeper" / "flow.cylc"
    flow.parent.mkdir(exist_ok=True)
    flow.write_text(
        "[scheduling]\n    [[graph]]\n        R1 = nap\n"
        f"[runtime]\n    [[nap]]\n        script = echo $$ > {gateway.home}/nap.pid; sleep 300\n"
    )

    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return gateway.http(method, f"/api/{path}", body, **{"X-Namespace": "graphs"})

    assert ask("POST", "namespaces", {"name": "graphs"})[0] == 201
    status, started = ask("POST", "workflows", {"workflow_type": "graph:sleeper", "workflow_id": "nap"})
    assert status == 201, started
    pid = int(eventually("the job to run", lambda: (gateway.home / "nap.pid").exists() and (gateway.home / "nap.pid").read_text().strip()))
    status, gone = ask("DELETE", "namespaces/graphs")
    assert (status, gone["deleted"]["workflow_runs"]) == (200, 1)
    eventually("the job to be gone", lambda: not Path(f"/proc/{pid}").exists())
    eventually("the name to be free", lambda: ask("POST", "namespaces", {"name": "graphs"})[0] == 201)
    assert ask("GET", "workflows")[1]["workflows"] == []
    assert ask("DELETE", "namespaces/graphs")[0] == 200
