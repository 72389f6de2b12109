"""The durable wire's session over a real core: whatever a request holds, the answer is a JSON object and never a 5xx."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triplane.auth import LoopbackPeer
from triplane.commands import StartRun
from triplane.engines.durable import DurableEngine
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.store.sqlite import open_store
from triplane.testing.engine import StillEngine
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Request
from triplane_durable.session import Session

CANNOT_NOW = (503, 504)
"""The answers of the 500s that a sound server gives on purpose."""

IDS = st.sampled_from(["open", "waiting", "absent", "..", "%00", "x" * 200, "é", ""])
NAMES = st.sampled_from(["pause", "triplane.pause", "triplane.tasks", "tasks", "hold", "stop", "go", "__class__", "x" * 300])
FIELDS = st.sampled_from([
    "workflow_id", "workflow_type", "task_queue", "input", "duplicate_policy", "memo", "search_attributes", "request_id", "reason",
    "execution_timeout_seconds", "priority", "wait_for", "worker_id", "lease_owner", "workflow_task_attempt",
    "commands", "failure", "result", "activity_attempt_id", "poll_request_id", "timeout_seconds", "supported_workflow_types", "codec",
    "blob", "type", "message", "queue", "runtime", "query_task_attempt", "next_history_page_token", "details", "max_attempts",
])  # fmt: skip
TEXTS = st.text(max_size=12) | FIELDS | st.sampled_from(["avro", "wwHioz3/VYAiNwRU", "fail", "default", "open", "graph:x", "w1", "9" * 40])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=5), max_leaves=15)
BODIES = (
    st.dictionaries(FIELDS, VALUES, max_size=8).map(lambda body: json.dumps(body).encode())
    | VALUES.map(lambda body: json.dumps(body).encode())
    | st.binary(max_size=40)
    | st.sampled_from([b"", b"[]", b"{}", b'{"a":1,"a":2}', b'{"input":NaN}', b'{"timeout_seconds":1e999}', b'"\\ud800"'])
)
ROUTES = st.sampled_from([
    "POST workflows", "GET workflows", "GET workflows/{id}", "GET workflows/{id}/runs", "GET workflows/{id}/runs/{run}",
    "GET workflows/{id}/runs/{run}/history", "POST workflows/{id}/signal/{name}", "POST workflows/{id}/runs/{run}/signal/{name}",
    "POST workflows/open/query/{name}", "POST workflows/{id}/update/{name}", "POST workflows/{id}/cancel",
    "POST workflows/{id}/runs/{run}/terminate", "GET workers", "POST worker/register", "POST worker/heartbeat",
    "DELETE worker/registrations/{id}", "POST worker/workflow-tasks/poll", "POST worker/activity-tasks/poll",
    "POST worker/query-tasks/poll", "POST worker/workflow-tasks/{run}/history", "POST worker/workflow-tasks/{run}/complete",
    "POST worker/workflow-tasks/{run}/fail", "POST worker/workflow-tasks/{run}/heartbeat", "POST worker/activity-tasks/{run}/complete",
    "POST worker/activity-tasks/{run}/fail", "POST worker/activity-tasks/{run}/heartbeat", "POST worker/query-tasks/{run}/complete",
    "PUT workflows", "PATCH {name}", "GET {id}/{id}",
])  # fmt: skip
QUERIES = st.dictionaries(
    st.sampled_from(["page_size", "next_page_token", "status", "query", "workflow_type", "namespace", "task_queue"]),
    st.text(max_size=8) | st.sampled_from(["1", "0", "-1", "9" * 50, "running"]),
    max_size=4,
)
HEADERS = st.fixed_dictionaries(
    {"x-durable-workflow-control-plane-version": st.just("2"), "x-durable-workflow-protocol-version": st.just("1.20")},
    optional={"x-namespace": st.sampled_from(["default", "DEFAULT", "nowhere", "../x", ""])},
)


class Core:
    """A session of the durable wire over a real gateway, on a loop of its own."""

    def __init__(self, directory: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = open_store(directory)
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        engines = {engine.name: engine for engine in (DurableEngine(), StillEngine())}
        self.gateway = Gateway(self.store, engines, (Matching(),))
        await self.gateway.start()
        connection = self.gateway.open_connection("durable", "127.0.0.1", LoopbackPeer("127.0.0.1"))
        config = DurableConfig(long_poll_s=0.01)
        self.session = Session(connection, config, self.gateway.namespaces)
        for workflow_id, engine in (("open", "still"), ("waiting", "durable")):
            await connection.dispatch(StartRun(workflow_id=workflow_id, engine=engine, workflow_type="x", task_queue="default"))

    def ask(self, request: Request) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(self.session.receive(request), 15))

    def close(self) -> None:
        self.loop.run_until_complete(self.gateway.drain())
        self.loop.run_until_complete(self.gateway.stop())
        self.store.close()
        self.loop.close()


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    core = Core(tmp_path_factory.mktemp("data"))
    yield core
    core.close()


@given(route=ROUTES, workflow=IDS, run=IDS, name=NAMES, body=BODIES, query=QUERIES, headers=HEADERS)
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_request_makes_the_wire_fail(
    core: Core, route: str, workflow: str, run: str, name: str, body: bytes, query: dict[str, str], headers: dict[str, str]
) -> None:
    method, _, path = route.partition(" ")
    segments = tuple(part.format(id=workflow, run=run, name=name) for part in path.split("/"))
    response = core.ask(Request(method, segments, query, headers, body))
    assert response.status < 500 or response.status in CANNOT_NOW, response.body
    answer = json.loads(response.encode())
    assert isinstance(answer, dict)
    if response.status >= 400:
        assert answer.get("reason") or answer.get("errors"), answer


def test_after_all_that_a_sound_request_is_answered(core: Core) -> None:
    headers = {"x-durable-workflow-control-plane-version": "2"}
    response = core.ask(Request("GET", ("workflows", "waiting"), {}, headers))
    assert (response.status, response.body["workflow_id"]) == (200, "waiting")
