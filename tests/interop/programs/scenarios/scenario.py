"""What a scenario is, and the activities that all of them share."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durable_workflow import activity

QUEUE = "scenarios"
REACHED_S = 90.0
SCENARIOS = {}
ATTEMPTS = Counter()


@dataclass(frozen=True)
class Scenario:
    """One workflow, what is done to it, and what comes of it.

    Attributes:
        workflows: the classes it needs; the first is the one that is started.
        expected: its output, or a function that is true for the right one.
        before: coroutine function of (client, handle) run until the workflow is in its middle; the file of its gate by default.
        after: what is done to it when all has been started again and the gates are open.
        status: how it ends.
    """

    name: str
    workflows: tuple[type, ...]
    expected: Any
    arguments: tuple[Any, ...] = ()
    before: Callable | None = None
    after: Callable | None = None
    status: str = "completed"


def scenario(name, expected, *others, **more):
    """Enter a workflow class as a scenario of that name."""

    def enter(workflow_class):
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(name, (workflow_class, *others), expected, **more)
        return workflow_class

    return enter


def gates():
    """The folder in which gates are opened."""
    return Path(os.environ["SCENARIO_GATES"])


@activity.defn(name="gate")
async def gate(name):
    """Say that the workflow is here, and wait until all gates are opened."""
    (gates() / f"{name}.here").touch()
    while not (gates() / "open").exists():
        await activity.context().heartbeat({"at": name})
        await asyncio.sleep(0.2)
    return "open"


async def local_gate(name):
    """The same inside a workflow task."""
    (gates() / f"{name}.here").touch()
    while not (gates() / "open").exists():
        await asyncio.sleep(0.05)
    return "open"


local_gate = activity.defn(name="local-gate")(local_gate)


@activity.defn(name="echo")
async def echo(value):
    return value


@activity.defn(name="add")
async def add(first, second):
    return first + second


@activity.defn(name="flaky")
async def flaky(key, failures):
    """Fail so many times, counted on disk, for the process may be another one."""
    tries = len(list(gates().glob(f"{key}.try*")))
    (gates() / f"{key}.try{tries}").touch()
    if tries < failures:
        raise RuntimeError(f"try {tries}")
    return "at last"


@activity.defn(name="breaks")
async def breaks(text):
    raise ValueError(text)


@activity.defn(name="slow")
async def slow(seconds):
    await asyncio.sleep(seconds)
    return seconds


ACTIVITIES = [gate, local_gate, echo, add, flaky, breaks, slow]


def at_gate(ctx):
    """The gate of the workflow that yields this."""
    return ctx.schedule_activity("gate", [ctx.workflow_id], heartbeat_timeout=3, retry_policy={"max_attempts": 50, "backoff_seconds": [0]})


async def event(client, handle, event_type, count=1):
    """Wait until the run's history holds so many events of that type."""
    async with asyncio.timeout(REACHED_S):
        while True:
            page = await client.get_history(handle.workflow_id, handle.run_id, page_size=1_000)
            if sum(each["event_type"] == event_type for each in page["events"]) >= count:
                return
            await asyncio.sleep(0.1)


def waits_for(event_type, count=1):
    """A `before` that waits for such events."""

    async def before(client, handle):
        await event(client, handle, event_type, count)

    return before


async def reaches_gate(client, handle):
    """The `before` of workflows with a gate."""
    async with asyncio.timeout(REACHED_S):
        while not (gates() / f"{handle.workflow_id}.here").exists():
            await asyncio.sleep(0.05)
