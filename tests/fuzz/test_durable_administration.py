"""Namespaces, system passes, the bridge and operations: whatever a request holds, a JSON object comes back and never a 500."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triplane.administration.figures import Figures
from triplane.administration.namespaces import Namespaces
from triplane.administration.repairing import Repair
from triplane.administration.retention import Retention
from triplane.auth import Authenticator, LoopbackPeer
from triplane.bridges import Bridge, Bridges
from triplane.engines.durable import DurableEngine
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.operations import OperationMap, Operations, OperationTarget
from triplane.store.sqlite import open_store
from triplane_durable.bridge import Bridge as BridgeRoutes
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Request
from triplane_durable.namespaces import NamespacePlane
from triplane_durable.nexus import Nexus
from triplane_durable.session import Session
from triplane_durable.system import SystemPlane

ROUTES = [(method, path) for plane in (NamespacePlane, SystemPlane, BridgeRoutes, Nexus) for method, path, _ in plane.routes]
PARTS = st.sampled_from(["n1", "N2", "default", "w1", "shop", "orders", "place", "signed", "..", "%00", "é", "", "x" * 300, "a/b"])
FIELDS = st.sampled_from([
    "name", "description", "retention_days", "driver", "enabled", "threshold_bytes", "config", "disk", "path", "small_payload_bytes",
    "large_payload_bytes", "run_ids", "instance_id", "limit", "execution_ids", "action", "idempotency_key", "target", "input",
    "correlation", "workflow_type", "workflow_id", "signal_name", "update_name", "task_queue", "business_key", "duplicate_policy",
    "wait_for", "wait_timeout_seconds", "arguments", "payload_codec", "mode_override", "caller_namespace", "memo", "labels",
    "search_attributes", "duplicate_start_policy", "target_workflow_instance_id", "codec", "blob",
])  # fmt: skip
TEXTS = FIELDS | PARTS | st.text(max_size=12) | st.sampled_from([
    "local", "s3", "start_workflow", "signal_workflow", "update_workflow", "accepted", "completed", "async", "use_existing", "avro",
    "wwHioz3/VYAiNwRU", "\ud800", "ax-x-1",
])  # fmt: skip
NUMBERS = st.integers() | st.sampled_from([0, 1, -1, 7, 365, 366, 2**63]) | st.floats()
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5), max_leaves=10)
EVENTS = st.fixed_dictionaries({
    "action": st.sampled_from(["start_workflow", "signal_workflow", "update_workflow"]), "idempotency_key": TEXTS,
    "target": st.dictionaries(FIELDS, SCALARS, max_size=6), "input": VALUES,
})  # fmt: skip
BODIES = (
    st.dictionaries(FIELDS, VALUES, max_size=8).map(lambda body: json.dumps(body).encode())
    | EVENTS.map(lambda body: json.dumps(body).encode())
    | st.binary(max_size=30)
    | st.sampled_from([b"", b"[]", b"{}", b"[" * 2_000, b'{"name":"n1"}', b'{"name":"N2","name":"n1"}', b'{"limit":NaN}'])
)
HEADERS = st.fixed_dictionaries(
    {"x-durable-workflow-control-plane-version": st.just("2")},
    optional={"x-namespace": st.sampled_from(["n1", "default", "../x"]), "x-bridge-signature": st.text(max_size=80)},
)


class Core:
    """A session of an administrator over a real gateway, on a loop of its own."""

    def __init__(self, directory: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = open_store(directory)
        self.loop.run_until_complete(self._start(directory))

    async def _start(self, directory: Path) -> None:
        matching = Matching()
        operations = Operations(OperationMap({("shop", "orders", "place"): OperationTarget("Place", "q")}))
        self.gateway = Gateway(
            self.store,
            {"durable": DurableEngine()},
            (matching, operations, Namespaces(data_dir=directory), Retention(), Repair(matching), Figures(matching)),
            authenticator=Authenticator(local_role="admin", owner_uid=os.getuid()),
            bridges=Bridges({"signed": Bridge(("orders.*",), b"secret")}),
        )
        await self.gateway.start()
        connection = self.gateway.open_connection("durable", "127.0.0.1", LoopbackPeer("127.0.0.1"))
        self.session = Session(connection, DurableConfig(long_poll_s=0.01), self.gateway.namespaces)

    def ask(self, method: str, segments: tuple[str, ...], headers: dict[str, str], body: bytes = b"") -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(self.session.receive(Request(method, segments, {}, headers, body)), 60))

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


@given(route=st.sampled_from(ROUTES), parts=st.lists(PARTS, min_size=3, max_size=3), body=BODIES, headers=HEADERS)
@settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_request_makes_the_administration_fail(
    core: Core, route: tuple[str, str], parts: list[str], body: bytes, headers: dict[str, str]
) -> None:
    method, path = route
    if path.endswith("/execute"):
        # Nobody is there to carry anything out: the answer must not wait for it.
        body = body[:-1] + (b"," if len(body) > 2 else b"") + b'"wait_for":"accepted"}' if body[:1] == b"{" else b'{"wait_for":"accepted"}'
    given_parts = iter(parts)
    segments = tuple(next(given_parts) if part[0] == "{" else part for part in path.split("/"))
    response = core.ask(method, segments, headers, body)
    assert response.status < 500 or response.status == 503, (segments, body, response.body)
    answer = json.loads(response.encode())
    assert isinstance(answer, dict)
    if response.status >= 400:
        assert answer.get("reason") or answer.get("errors"), answer


def test_after_all_that_a_namespace_is_made_and_deleted(core: Core) -> None:
    headers = {"x-durable-workflow-control-plane-version": "2"}
    assert core.ask("POST", ("namespaces",), headers, b'{"name":"sound"}').status == 201
    assert core.ask("DELETE", ("namespaces", "sound"), headers).body["status"] == "deleted"
    assert core.ask("GET", ("namespaces", "default"), headers).status == 200
