"""Carrying out the starts that a schedule has accepted; doing it twice does it once."""

import asyncio
import logging
from typing import Any

from pydantic import ValidationError

from triplane.commands.runs import StartRun, StopMode, StopRun
from triplane.errors import CannotNow, Conflict, GatewayError, NotFound, WorkflowExists
from triplane.payloads import PayloadError, decode_envelope
from triplane.schedules.entities import Schedule, ScheduledStart
from triplane.service import BusPort, Caller
from triplane.values import value

log = logging.getLogger(__name__)

MAX_TOGETHER = 50
"""Starts of one schedule that are asked for at the same time."""

LINK = "schedule"
"""Key of `RunDetail.options` that tells which schedule started the run, and by which of its starts."""


@value()
class Started:
    """What came of a start.

    Attributes:
        run_id: of the run; None where there is none.
        later: whether it is still to be tried.
        message: why it was refused.
    """

    run_id: str | None = None
    later: bool = False
    message: str = ""


class Starting:
    """Asks the bus for runs."""

    def __init__(self, bus: BusPort) -> None:
        self._bus = bus

    async def start_all(self, schedule: Schedule) -> dict[int, Started]:
        """Carry out every pending start. Returns what came of each, by its number."""
        pending = schedule.pending
        came: dict[int, Started] = {}
        if any(start.stop for start in pending):
            # Each of these ends the one before, so they go one by one.
            latest = schedule.latest_workflow_id
            for start in pending:
                outcome = await self._replace(schedule, start, latest)
                came[start.number] = outcome
                latest = start.workflow_id if outcome.run_id is not None else latest
            return came
        for first in range(0, len(pending), MAX_TOGETHER):
            batch = pending[first : first + MAX_TOGETHER]
            outcomes = await asyncio.gather(*(self._start(schedule, start) for start in batch))
            came.update({start.number: outcome for start, outcome in zip(batch, outcomes, strict=True)})
        return came

    async def _replace(self, schedule: Schedule, start: ScheduledStart, latest: str | None) -> Started:
        if start.stop and latest is not None and latest != start.workflow_id:
            stop = StopRun(
                namespace=schedule.namespace, workflow_id=latest, mode=StopMode(start.stop),
                reason=f"schedule {schedule.schedule_id} starts {start.workflow_id}",
            )  # fmt: skip
            try:
                await self._bus.send(stop, _caller(schedule))
            except CannotNow as error:
                return Started(later=True, message=error.message)
            except (Conflict, NotFound):
                pass  # it closed by itself
        return await self._start(schedule, start)

    async def _start(self, schedule: Schedule, start: ScheduledStart) -> Started:
        link = {"id": schedule.schedule_id, "number": start.number, "fire_time": start.fire_time}
        try:
            reply = await self._bus.send(_start_of(schedule, start, link), _caller(schedule))
        except WorkflowExists as error:
            run_id = error.details.get("run_id")
            view = self._bus.view(run_id) if isinstance(run_id, str) else None
            if view is not None and view.detail.options.get(LINK) == link:
                return Started(run_id=view.run.run_id)  # by this very start, before a crash
            return Started(message=error.message)
        except CannotNow as error:
            return Started(later=True, message=error.message)
        except (GatewayError, ValidationError) as error:
            return Started(message=error.message if isinstance(error, GatewayError) else "the schedule's action cannot be started")
        except Exception:
            log.exception("scheduled_start_crashed: %s/%s", schedule.namespace, start.workflow_id)
            return Started(message="the start failed; it has been logged")
        return Started(run_id=str(reply["run_id"]))


def _caller(schedule: Schedule) -> Caller:
    return Caller("core", f"schedule:{schedule.schedule_id}")


def _start_of(schedule: Schedule, start: ScheduledStart, link: dict[str, Any]) -> StartRun:
    action = schedule.action
    payload, engine = action["input"], action["engine"]
    if engine != "durable":
        try:
            payload = decode_envelope(payload)
        except PayloadError:
            pass  # shown to the engine as it is
    options = {name: action[name] for name in ("execution_timeout_s", "run_timeout_s") if action[name] is not None}
    return StartRun(
        namespace=schedule.namespace,
        workflow_id=start.workflow_id,
        engine=engine,
        workflow_type=action["workflow_type"],
        task_queue=action["task_queue"] or ("default" if engine == "durable" else ""),
        input=payload,
        source=action["source"],
        memo=dict(schedule.memo),
        search_attributes=dict(schedule.search_attributes),
        options=options | {LINK: link},
    )
