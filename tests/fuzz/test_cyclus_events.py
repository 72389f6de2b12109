"""The Cyclus wire's session over a real core: whatever frame comes, there is a plan, and what the plan reads is JSON or a refusal."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from triplane.auth import LoopbackPeer
from triplane.commands import SignalRun, StartRun
from triplane.errors import GatewayError
from triplane.gateway import Gateway
from triplane.store.sqlite import open_store
from triplane.testing.engine import StillEngine
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.plans import HangUp, Load, Place, Read, ReadPages, Say, Sleep, Submit
from triplane_cyclus.session import Session, invalid_fields

EVENTS = st.sampled_from([
    "heartbeat", "loaded", "load", "registry", "registry_request", "register_tables", "deregister_tables", "table_names",
    "table_names_request", "table_data", "agent_annotations", "echo", "sleep", "pause", "unpause", "shutdown", "hold", "release", "trigger",
    "set_repeating_actions", "__class__", "",
])  # fmt: skip
KEYS = st.sampled_from([
    "table", "conds", "orient", "s", "n", "when", "tables", "spec", "input", "paused", "actions", "tasks", "limit", "offset",
    "precision", "id",
])  # fmt: skip
TEXTS = st.text(max_size=8) | st.sampled_from([
    "Tasks", "Jobs", "History", "triplane.History", "triplane.Tasks", "split", "records", "index", "columns", "values", "table", "==", "<=",
    "name", "seq", "event", "data", "now", "empty", "1/a", "*/b", ":lib:Agent", "a'; DROP TABLE runs; --", "\ud800", "é" * 300,
])  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
CONDITIONS = st.none() | st.lists(st.tuples(TEXTS, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in"]), SCALARS), max_size=3)
READS = st.fixed_dictionaries({}, optional={"table": TEXTS, "conds": CONDITIONS, "orient": TEXTS, "limit": SCALARS, "precision": SCALARS})
PARAMS = st.dictionaries(KEYS, VALUES, max_size=4) | VALUES
MESSAGES = st.fixed_dictionaries({"event": EVENTS | TEXTS | SCALARS}, optional={"params": PARAMS, "id": SCALARS, "data": VALUES})
TABLE_READS = st.fixed_dictionaries({"event": st.just("table_data"), "params": READS})
FRAMES = (MESSAGES | TABLE_READS | VALUES).map(json.dumps) | st.text(max_size=30) | st.binary(max_size=30)


class Core:
    """A session over a real gateway with one run, on a loop of its own."""

    def __init__(self, directory: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = open_store(directory)
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self.gateway = Gateway(self.store, {"still": StillEngine()}, ())
        await self.gateway.start()
        self.connection = self.gateway.open_connection("cyclus", "127.0.0.1", LoopbackPeer("127.0.0.1"))
        await self.connection.dispatch(StartRun(workflow_id="w", engine="still", workflow_type="x"))
        for arguments in (None, {"deep": [1.5, "\u2028", None]}, float("inf"), 10**30):
            await self.connection.dispatch(SignalRun(workflow_id="w", signal_name="s", arguments=arguments))

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


def check_frame(text: str) -> None:
    """A frame to a client is strict JSON with an event, so that browsers can read it too."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    message = json.loads(text, parse_constant=refuse)
    assert isinstance(message["event"], str)
    text.encode()


@example(raw='{"event":"table_data","params":{"table":"\\ud800"}}')
@example(raw='{"event":"table_data","params":{"table":"History"}}')
@given(raw=FRAMES)
@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_frame_has_a_plan_and_every_reading_an_answer(core: Core, raw: str | bytes) -> None:
    plan = Session(CyclusConfig(max_garbage=5), Place("default", "w")).receive(raw)
    assert isinstance(plan, Say | Read | ReadPages | Submit | Load | Sleep | HangUp)
    if isinstance(plan, Say):
        check_frame(plan.text)
    elif isinstance(plan, Sleep):
        assert 0 <= plan.seconds <= CyclusConfig().max_sleep_s
    elif isinstance(plan, Read | ReadPages):
        try:
            text = plan.answer(core.connection.query) if isinstance(plan, Read) else last_page(plan, core)
        except ValidationError as invalid:
            # The client's queue tells these as the core's own refusal of fields.
            assert invalid_fields(invalid).message
        except GatewayError as refusal:
            assert refusal.message
        else:
            check_frame(text)


def last_page(plan: ReadPages, core: Core) -> str:
    """The frame that a long reading ends with."""
    *turns, text = plan.pages(core.connection.query)
    assert turns == [None] * len(turns) and text is not None
    return text


@given(frames=st.lists(st.sampled_from(["{", "[]", '{"event":7}', '{"event":"echo","params":{"s":1}}']), max_size=40))
@settings(max_examples=100, deadline=None)
def test_only_garbage_without_end_ends_a_session(frames: list[str]) -> None:
    session, in_a_row = Session(CyclusConfig(max_garbage=5), Place("default", "w")), 0
    for frame in frames:
        plan = session.receive(frame)
        in_a_row = 0 if "echo" in frame else in_a_row + 1
        assert isinstance(plan, HangUp) == (in_a_row >= 5)
        if isinstance(plan, HangUp):
            return
