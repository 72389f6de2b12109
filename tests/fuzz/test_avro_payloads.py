"""Payloads made to hurt: each is decoded or refused, soon, and without becoming more than it weighs; none upsets the gateway."""

import base64
import io
import os
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fastavro
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triplane.auth import Authenticator, LoopbackPeer
from triplane.engines.durable import DurableEngine
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.payloads import PayloadError, decode, encode
from triplane.payloads.avro import HEADER
from triplane.store.sqlite import open_store
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Request
from triplane_durable.session import Session

ENOUGH_S = 2.0
"""Far more than any of these takes, on a machine that does other things too."""


def long(number: int) -> bytes:
    """A zig-zag integer of any size, also beyond 64 bits."""
    zigzag = number * 2 if number >= 0 else -number * 2 - 1
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*out, zigzag])


COUNTS = st.sampled_from([0, 1, 2, -1, -2, 1_000, -1_000, 20_000_000, -20_000_000, 2**31, 2**63 - 1, -(2**63), 2**70]) | st.integers(-9, 9)
LEAVES = st.one_of(
    st.just(b"\x00"),
    st.binary(min_size=1, max_size=2).map(lambda raw: b"\x02" + raw),
    COUNTS.map(lambda number: b"\x04" + long(number)),
    st.floats().map(lambda number: b"\x06" + struct.pack("<d", number)),
    st.tuples(st.sampled_from([b"\x08", b"\x0a"]), COUNTS, st.binary(max_size=8)).map(lambda t: t[0] + long(t[1]) + t[2]),
    st.integers(-3, 20).map(long),
)


def blocks(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Arrays and maps in blocks that lie about how many items they have, or about their size."""
    block = st.tuples(COUNTS, st.lists(inner, max_size=4), st.booleans(), COUNTS).map(
        lambda t: long(t[0]) + (long(t[3]) if t[2] else b"") + b"".join(t[1])
    )
    return st.tuples(st.sampled_from([b"\x0c", b"\x0e"]), st.lists(block, max_size=3), st.sampled_from([b"", b"\x00"])).map(
        lambda t: t[0] + b"".join(t[1]) + t[2]
    )


DATA = st.recursive(LEAVES, blocks, max_leaves=12)
BOMBS = [
    b"\x0c" + long(20_000_000),
    b"\x0e" + long(2**63 - 1),
    b"\x0c" + long(-(2**63)) + long(1),
    b"\x0c" + long(-20_000_000) + long(2**62) + b"\x00" * 50,
    b"\x0c\x02" * 5_000,
    b"\x0c\x01\x02" * 5_000,
    b"\x0e\x02\x00" * 5_000,
    b"\x0a" + long(2**62),
    b"\x08" + long(-1),
    b"\x04" + b"\xff" * 10_000,
    b"\x0c" + (b"\x02\x00" * 40_000) + b"\x00",
]


def blob(datum: bytes) -> str:
    return base64.b64encode(HEADER + datum).decode()


def weight(value: Any) -> int:
    """How many values there are in a value."""
    if isinstance(value, dict):
        return 1 + sum(weight(item) for item in value.values())
    if isinstance(value, list):
        return 1 + sum(weight(item) for item in value)
    return 1


def decoded(datum: bytes) -> None:
    began = time.monotonic()
    try:
        value = decode(blob(datum))
    except PayloadError:
        pass
    else:
        # Each value takes a byte at least, so nothing can grow.
        assert weight(value) <= len(datum)
        orjson.dumps(value)
    assert time.monotonic() - began < ENOUGH_S


@given(DATA | st.binary(max_size=200))
@settings(max_examples=1_500, deadline=None)
def test_whatever_a_payload_holds_it_is_decoded_or_refused(datum: bytes) -> None:
    decoded(datum)


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_does_not_go_off(bomb: bytes) -> None:
    decoded(bomb)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_sound_payload_with_a_few_bytes_changed_is_decoded_or_refused(data: st.DataObject) -> None:
    sound = bytearray(base64.b64decode(encode({"a": [1, 2.5, "text", None, True], "b": {"c": "é" * 5}})))
    for _ in range(data.draw(st.integers(1, 4))):
        sound[data.draw(st.integers(len(HEADER), len(sound) - 1))] = data.draw(st.integers(0, 255))
    decoded(bytes(sound[len(HEADER) :]))


VALUE = {
    "type": "record", "name": "Value", "namespace": "durable_workflow.protocol",
    "fields": [{"name": "value", "type": [
        "null",
        {"type": "record", "name": "BooleanValue", "fields": [{"name": "boolean", "type": "boolean"}]},
        {"type": "record", "name": "LongValue", "fields": [{"name": "long", "type": "long"}]},
        {"type": "record", "name": "DoubleValue", "fields": [{"name": "double", "type": "double"}]},
        {"type": "record", "name": "BytesValue", "fields": [{"name": "bytes", "type": "bytes"}]},
        {"type": "record", "name": "StringValue", "fields": [{"name": "string", "type": "string"}]},
        {"type": "record", "name": "ArrayValue", "fields": [{"name": "items", "type": {"type": "array", "items": "Value"}}]},
        {"type": "record", "name": "MapValue", "fields": [{"name": "entries", "type": {"type": "map", "values": "Value"}}]},
    ]}],
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=15,
)
_PARSED = fastavro.parse_schema(VALUE)


def as_record(value: Any) -> dict[str, Any]:
    """A JSON value as another implementation of Avro wants to have it."""
    space = "durable_workflow.protocol."
    if value is None:
        return {"value": None}
    if isinstance(value, bool):
        return {"value": (f"{space}BooleanValue", {"boolean": value})}
    if isinstance(value, int):
        return {"value": (f"{space}LongValue", {"long": value})}
    if isinstance(value, float):
        return {"value": (f"{space}DoubleValue", {"double": value})}
    if isinstance(value, str):
        return {"value": (f"{space}StringValue", {"string": value})}
    if isinstance(value, list):
        return {"value": (f"{space}ArrayValue", {"items": [as_record(item) for item in value]})}
    return {"value": (f"{space}MapValue", {"entries": {key: as_record(item) for key, item in value.items()}})}


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_another_implementation_writes_what_we_read_and_the_other_way_round(value: Any) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _PARSED, as_record(value))
    assert decode(blob(out.getvalue())) == value
    assert base64.b64decode(encode(value)) == HEADER + out.getvalue()


# ---- through the wire -------------------------------------------------------------------------------------------------


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    store = open_store(tmp_path / "data")
    gateway = Gateway(store, {"durable": DurableEngine()}, [Matching()], authenticator=Authenticator(owner_uid=os.getuid()))
    await gateway.start()
    connection = gateway.open_connection("durable", "127.0.0.1", LoopbackPeer("127.0.0.1"))
    yield Session(connection, DurableConfig(), gateway.namespaces)
    await gateway.stop()
    store.close()


async def ask(session: Session, method: str, path: str, body: Any = None) -> Any:
    headers = {"x-durable-workflow-control-plane-version": "2", "x-durable-workflow-protocol-version": "1.20"}
    raw = b"" if body is None else orjson.dumps(body)
    response = await session.receive(Request(method, tuple(path.split("/")), {}, headers, raw))
    assert response.status < 500 or response.status in (503, 504), response.body
    orjson.loads(response.encode())
    return response


_number = 0


@given(DATA | st.sampled_from(BOMBS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_payload_made_to_hurt_upsets_nothing_wherever_it_is_put(session: Session, datum: bytes) -> None:
    global _number
    _number += 1
    workflow_id, payload = f"w-{_number}", {"codec": "avro", "blob": blob(datum)}
    queue = {"worker_id": "w", "task_queue": workflow_id}
    await ask(session, "POST", "worker/register", {**queue, "runtime": "python"})
    start = {"workflow_id": workflow_id, "workflow_type": "T", "task_queue": workflow_id, "input": payload}
    if (await ask(session, "POST", "workflows", start)).status != 201:
        return
    task = (await ask(session, "POST", "worker/workflow-tasks/poll", {**queue, "timeout_seconds": 1})).body["task"]
    commands = [
        {"type": "upsert_memo", "entries": payload},
        {"type": "record_side_effect", "result": payload["blob"]},
        {"type": "schedule_activity", "activity_type": "a", "arguments": payload, "queue": workflow_id},
    ]
    lease = {"lease_owner": "w", "workflow_task_attempt": task["workflow_task_attempt"]}
    for some in (commands, commands[1:]):
        await ask(session, "POST", f"worker/workflow-tasks/{task['task_id']}/complete", {**lease, "commands": some})
    activity = (await ask(session, "POST", "worker/activity-tasks/poll", {**queue, "timeout_seconds": 0})).body["task"]
    if activity is not None:
        done = {"activity_attempt_id": activity["activity_attempt_id"], "lease_owner": "w", "result": payload}
        await ask(session, "POST", f"worker/activity-tasks/{activity['task_id']}/complete", done)
    await ask(session, "POST", f"workflows/{workflow_id}/signal/go", {"input": payload})
    await ask(session, "POST", f"workflows/{workflow_id}/update/go", {"input": payload, "request_id": workflow_id})
    began = time.monotonic()
    for path in (f"workflows/{workflow_id}", "workflows"):
        assert (await ask(session, "GET", path)).status == 200
    assert time.monotonic() - began < ENOUGH_S
