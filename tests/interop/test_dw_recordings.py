"""Every recorded exchange of the `dw` command line in its order against a real gateway: same status, versions and `control_plane`.

Ids and times that a server makes up are learned from our answers as they come.
"""

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_process import GatewayProcess

GOLDEN = Path(__file__).parents[1] / "golden" / "dw"
EXCHANGES = json.loads((GOLDEN / "exchanges.json").read_text())["exchanges"]
OPERATOR = json.loads((GOLDEN / "sdk_operator.json").read_text())["exchanges"]
SETTING = (
    (
        "worker/register",
        {
            "worker_id": "w1", "task_queue": "q", "runtime": "python", "sdk_version": "durable-workflow-python/2.12.0",
            "supported_workflow_types": ["t"], "supported_activity_types": [], "max_concurrent_workflow_tasks": 10,
            "max_concurrent_activity_tasks": 10,
            "task_slots": dict.fromkeys(("workflow_available", "activity_available", "session_available"), 10),
            "process_metrics": {
                "process_id": 1, "memory_bytes": 1, "process_uptime_seconds": 1, "cpu_percent": 0.5, "host": "h",
                "process_started_at": "2026-01-01T00:00:00Z",
            },
        },
    ),
    ("workflows", {"workflow_id": "h1", "workflow_type": "t", "task_queue": "q"}),
    ("workflows/h1/terminate", {}),
)
"""What the recorded operator found."""
ADMIN = '[auth]\nlocal_role = "admin"\n'
IDS = ("run_id", "task_id", "workflow_id", "update_id", "command_id")
MADE_UP = {*IDS, "message", "error", "started_at", "closed_at", "last_progress_at"}
"""Fields of `control_plane` that are a server's own: ids, times and sentences."""
KEPT_PLAIN = {"arguments", "input_envelope", "output_envelope"}
"""The recording server kept plain JSON where payloads are encoded."""
PLACEHOLDERS = ("<same object as worker_protocol.server_capabilities>", "as the first time")
OTHER_STATUS = {
    # The recording server waited for a worker; ours has been told that none knows that type (contract 2.2).
    71: (409, "query_worker_unavailable"),
    # The recording server had no such route.
    67: (200, None),
    # The recording server looked at no run; ours says that this one is closed.
    326: (409, "run_not_active"),
}


def learn(ids: dict[str, str], recorded: Any, answered: Any) -> None:
    """Pair the ids in two answers."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        for key in recorded.keys() & answered.keys():
            if key in IDS and isinstance(recorded[key], str) and isinstance(answered[key], str):
                ids[recorded[key]] = answered[key]
            else:
                learn(ids, recorded[key], answered[key])


def ours(ids: dict[str, str], value: Any) -> Any:
    """The same value with our ids for the recorded ones."""
    text = json.dumps(value)
    for theirs in sorted(ids, key=len, reverse=True):
        text = text.replace(json.dumps(theirs)[1:-1], ids[theirs])
    return json.loads(text)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, tuple[int, dict[str, str], Any, Any]]]:
    """By order: our status, headers and body, and the recorded body with our ids in it."""
    ids: dict[str, str] = {}
    found = {}
    with GatewayProcess(tmp_path_factory.mktemp("dw"), ADMIN) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=40)
        for exchange in EXCHANGES:
            body = None if exchange["body"] is None else json.dumps(ours(ids, exchange["body"]))
            # A look at a workflow between two commands was recorded without the version that the contract asks for.
            headers = {"X-Durable-Workflow-Control-Plane-Version": "2", **exchange["headers"], "Content-Type": "application/json"}
            connection.request(exchange["method"], ours(ids, exchange["path"]), body, headers)
            response = connection.getresponse()
            answered = json.loads(response.read())
            learn(ids, exchange["response"], answered)
            said = {name.lower(): value for name, value in response.getheaders()}
            found[exchange["order"]] = (response.status, said, answered, ours(ids, exchange["response"]))
        connection.close()
    yield found


def same_kind(recorded: Any, answered: Any, where: str) -> None:
    """All that was recorded is answered with a value of the same kind; what was null may have one."""
    if isinstance(recorded, dict):
        assert isinstance(answered, dict), where
        for key, value in recorded.items():
            if key in KEPT_PLAIN or value in PLACEHOLDERS:
                continue
            assert key in answered, f"{where}: {key} is missing"
            if key == "command_id" and answered[key] is None:
                continue  # a stop has no id beside its request's
            same_kind(value, answered[key], f"{where}.{key}")
    elif isinstance(recorded, list):
        assert isinstance(answered, list), where
    elif isinstance(recorded, bool) or isinstance(answered, bool):
        assert recorded is None or isinstance(answered, bool), where
    elif recorded is not None:
        kind = str if isinstance(recorded, str) else (int, float)
        assert isinstance(answered, kind), f"{where}: {answered!r} for {recorded!r}"


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: f"{e['order']}-{e['method']}-{re.sub(r'[^a-z_]+', '-', e['path'][5:])}")
def test_a_recorded_exchange_is_answered_as_it_was(answers, exchange):
    status, headers, answered, recorded = answers[exchange["order"]]
    if exchange["order"] in OTHER_STATUS:
        expected, reason = OTHER_STATUS[exchange["order"]]
        assert (status, answered.get("reason")) == (expected, reason), answered
    else:
        assert status == exchange["status"], answered
        if recorded not in PLACEHOLDERS:
            same_kind({key: value for key, value in recorded.items() if key != "control_plane"}, answered, exchange["path"])
    plane = "protocol-version" if exchange["path"].startswith("/api/worker/") else "control-plane-version"
    if exchange["path"] != "/api/cluster/info":
        assert headers[f"x-durable-workflow-{plane}"] == ("1.20" if plane == "protocol-version" else "2")
    envelope = recorded.get("control_plane") if isinstance(recorded, dict) else None
    if envelope is not None and "schema" in envelope and exchange["order"] not in OTHER_STATUS:
        mine = answered["control_plane"]
        assert envelope.keys() <= mine.keys(), envelope.keys() - mine.keys()
        differs = {key: (value, mine[key]) for key, value in envelope.items() if key not in MADE_UP and mine[key] != value}
        assert not differs
    elif envelope is not None:
        assert answered["control_plane"]["version"] == envelope.get("version", "2") or exchange["order"] in OTHER_STATUS


def test_an_operators_recorded_calls_by_the_sdk_are_answered_in_the_same_shapes(tmp_path):
    with GatewayProcess(tmp_path, ADMIN) as gateway:
        for path, body in SETTING:
            assert gateway.http("POST", f"/api/{path}", body, **{"X-Durable-Workflow-Protocol-Version": "1.20"})[0] < 300
        for exchange in OPERATOR:
            where = f"{exchange['method']} {exchange['path']}"
            status, answered = gateway.http(exchange["method"], exchange["path"], exchange["body"], **exchange["headers"])
            if exchange["order"] in OTHER_STATUS:
                assert (status, answered["reason"]) == OTHER_STATUS[exchange["order"]], (where, answered)
                continue
            assert status == exchange["status"], (where, answered)
            recorded = {key: value for key, value in exchange["response"].items() if key != "control_plane"}
            same_kind(recorded, answered, where)
