"""Taking runs and namespaces away, in portions, beside everything else that goes on."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from triplane.commands.runs import StopMode, StopRun
from triplane.errors import GatewayError
from triplane.service import BusPort

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 200
"""Rows in one transaction: few enough that a commit which comes meanwhile waits a few milliseconds."""

RUNS_AT_ONCE = 50
PAUSE_S = 0.01
"""Between transactions, so that commits get their turn."""

LOOK_AGAIN_S = 0.2
ASK_AGAIN_S = 10.0
"""After so long without an end, runs are told once more."""


def on_its_own(bus: BusPort, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Future[Any]":
    """Have something done to its end, also when whoever asked for it hangs up."""
    return asyncio.shield(bus.spawn(work, name))


async def remove_runs(bus: BusPort, run_ids: Sequence[str]) -> int:
    """Remove closed runs from store and memory; returns how many there were."""
    removed = 0
    for start in range(0, len(run_ids), RUNS_AT_ONCE):
        some = run_ids[start : start + RUNS_AT_ONCE]
        removed += await asyncio.to_thread(bus.store.removals.hide, some)
        bus.forget(some)
        await sweep(bus)
    return removed


async def sweep(bus: BusPort) -> None:
    """Remove what hidden runs have left in the store."""
    while await asyncio.to_thread(bus.store.removals.sweep, ROWS_AT_ONCE):
        await asyncio.sleep(PAUSE_S)


async def remove_namespace(bus: BusPort, namespace: str) -> None:
    """End and remove every run of a namespace that nobody can see any more, then the rest of it, then itself.

    Can be begun again at any point: whatever is gone stays gone.
    """
    removals, waited_s, patience_s = bus.store.removals, 0.0, LOOK_AGAIN_S
    bus.forget_namespace(namespace)
    await _end_runs(bus, namespace)
    while run_ids := await asyncio.to_thread(removals.run_ids, namespace, RUNS_AT_ONCE):
        closed = [run_id for run_id in run_ids if _is_over(bus, run_id)]
        if closed:
            await remove_runs(bus, closed)
            continue
        # A graph's jobs may take a while to die.
        await asyncio.sleep(LOOK_AGAIN_S)
        waited_s += LOOK_AGAIN_S
        if waited_s >= patience_s:
            if patience_s == ASK_AGAIN_S:
                log.warning("namespace_not_removed_yet: %s still has %d open runs or more", namespace, len(run_ids))
            # Soon once more, for at the start of the gateway some may not have been in memory; after that seldom.
            waited_s, patience_s = 0.0, ASK_AGAIN_S
            await _end_runs(bus, namespace)
    await _forget_requests(removals, namespace)
    while await asyncio.to_thread(removals.forget_namespace, namespace, ROWS_AT_ONCE):
        await asyncio.sleep(PAUSE_S)


async def _forget_requests(removals: Any, namespace: str) -> None:
    last: int | None = 0
    while last is not None:
        last = await asyncio.to_thread(removals.forget_requests, namespace, last)
        await asyncio.sleep(PAUSE_S)


async def _end_runs(bus: BusPort, namespace: str) -> None:
    run_ids = bus.open_runs()
    for start in range(0, len(run_ids), RUNS_AT_ONCE):
        stops = []
        for run_id in run_ids[start : start + RUNS_AT_ONCE]:
            view = bus.view(run_id)
            if view is not None and view.run.namespace == namespace and view.run.is_open:
                stop = StopRun(
                    namespace=namespace, workflow_id=view.run.workflow_id, run_id=run_id, mode=StopMode.KILL,
                    reason="its namespace was deleted",
                )  # fmt: skip
                stops.append(bus.send(stop))
        for outcome in await asyncio.gather(*stops, return_exceptions=True):
            # One that has closed meanwhile needs no ending; any other is asked again.
            if isinstance(outcome, BaseException) and not isinstance(outcome, GatewayError):
                raise outcome
        await asyncio.sleep(0)


def _is_over(bus: BusPort, run_id: str) -> bool:
    """Whether nothing of a run can still be on its way to disk: its closing is there, or its engine is not."""
    try:
        if bus.live(run_id) is not None:
            return False
    except GatewayError:
        return True  # no engine for it is installed, so nothing moves it
    view = bus.view(run_id)
    return view is None or not view.run.is_open
