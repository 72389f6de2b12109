"""kill -9 under load on all three wires: nothing acknowledged is lost, nothing is applied twice."""

import asyncio
import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from crash.commands import CrashHouse, work_off
from crash.contents import MANY, contents
from crash.load.account import GOOD
from crash.load.clients import CyclusLoad, CylcLoad, DurableLoad
from crash.load.serving import ServedGateway
from triplane.store.sqlite import SqliteStore, open_store


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[ServedGateway]:
    served = ServedGateway(tmp_path)
    yield served
    served.end()


@pytest.mark.parametrize(
    ("kills", "acknowledged"),
    [
        pytest.param(4, 3_000, id="reduced"),
        pytest.param(40, 50_000, id="full", marks=[pytest.mark.full, pytest.mark.timeout(900)]),
    ],
)
async def test_nothing_is_lost_or_applied_twice_however_often_the_gateway_is_killed(
    gateway: ServedGateway, kills: int, acknowledged: int
):
    choice = random.Random(os.urandom(8))
    durable, cylc, cyclus = DurableLoad(gateway), CylcLoad(gateway, "bench"), CyclusLoad(gateway, "material")
    gateway.start()
    await gateway.ready()
    await open_runs(gateway)
    per_round = acknowledged // kills
    total = 0
    for number in range(kills):
        await gateway.face("bench")
        kill_at = int(per_round * choice.uniform(1.0, 1.3))
        total += await one_round(gateway, durable, cylc, cyclus, number, kill_at, choice.uniform(0, 0.02))
        gateway.start()
        await gateway.ready()
    assert await gateway.stop() == 0, gateway.tail()
    assert total >= acknowledged
    store = open_store(gateway.data)
    try:
        assert store.check() == []
        assert cylc.account.verdict(messages(store)) == GOOD
        assert cyclus.account.verdict(registrations(store)) == GOOD
        steered = len(events_of(store, "bench", "TasksHeld", "TasksReleased"))
        assert cylc.held_or_released <= steered <= cylc.held_or_released + cylc.steering_unknown
    finally:
        store.close()
    assert durable.account.verdict(await durable_tokens(gateway.data)) == GOOD
    assert min(len(load.account.acknowledged) for load in (durable, cylc, cyclus)) > kills


async def open_runs(gateway: ServedGateway) -> None:
    async with aiohttp.ClientSession() as session:
        for workflow_id, kind in (("bench", "graph:bench"), ("material", "simulation:material")):
            status, answer = await gateway.post(session, "/api/workflows", {"workflow_id": workflow_id, "workflow_type": kind})
            assert status == 201, answer


async def one_round(
    gateway: ServedGateway, durable: DurableLoad, cylc: CylcLoad, cyclus: CyclusLoad, number: int, kill_at: int, pause_s: float
) -> int:
    """Load until `kill_at` answers have come, then kill; returns how many came."""
    answers, enough = 0, asyncio.Event()

    def note() -> None:
        nonlocal answers
        answers += 1
        if answers >= kill_at:
            enough.set()

    loads = asyncio.gather(durable.run(number, 8, note), cylc.run(4, note), cyclus.run(2, note))
    reached = asyncio.ensure_future(enough.wait())
    await asyncio.wait({loads, reached}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    assert enough.is_set(), f"the load ended by itself after {answers} answers: {loads}\n{gateway.tail()}"
    await asyncio.sleep(pause_s)  # so that the kill falls anywhere between two answers
    gateway.kill()
    # A ZeroMQ client would wait for its timeout; whatever has no answer by now gets none.
    loads.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loads
    return answers


def events_of(store: SqliteStore, workflow_id: str, *names: str) -> list[dict[str, Any]]:
    run_id = store.runs.current_run_id("default", workflow_id)
    assert run_id is not None
    return [dict(event.data) for event in store.histories.read(run_id, 0, MANY) if event.name in names]


def messages(store: SqliteStore) -> list[str]:
    """Texts of the job's messages that are tokens, as often as they were taken."""
    texts = [text for data in events_of(store, "bench", "MessageReceived") for _, text in data["messages"]]
    return [text for text in texts if text.startswith("m-")]


def registrations(store: SqliteStore) -> list[str]:
    """Each table as often as it came into the registry."""
    registered: list[str] = []
    before: set[str] = set()
    for data in events_of(store, "material", "RegistrySet"):
        now = set(data["tables"])
        registered += sorted(now - before)
        before = now
    return registered


async def durable_tokens(directory: Path) -> list[str]:
    """Each start and signal as often as a history has it, once a worker has taken what waited for one."""
    house = await CrashHouse(directory).open()
    try:
        await work_off(house.connect())
        found: list[str] = []
        for run in contents(house.store)["runs"].values():
            for event in run["history"]:
                if event.name == "SignalReceived":
                    found.append(event.data["signal_name"])
                elif event.name == "WorkflowStarted" and run["stored"].run.engine == "durable":
                    found.append(run["stored"].run.workflow_id)
        return found
    finally:
        await house.close()
