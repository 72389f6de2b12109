"""Every schedule method of the real SDK's `Client` and `ScheduleHandle`, and runs that schedules start, done by a real worker.

Arguments: base URL, a prefix for ids. Prints one JSON object.
"""

import asyncio
import json
import sys
from typing import Any

from durable_workflow import Client, Worker, workflow
from durable_workflow.client import ScheduleAction, ScheduleSpec
from durable_workflow.errors import InvalidArgument, ScheduleAlreadyExists, ScheduleListError, ScheduleNotFound


@workflow.defn(name="report")
class Report:
    def run(self, ctx: Any, day: str) -> Any:
        return {"day": day}
        yield


async def raises(kind: type[Exception], awaited: Any) -> bool:
    try:
        await awaited
    except kind:
        return True
    return False


async def result(client: Client, workflow_id: str, run_id: str) -> Any:
    return await client.get_workflow_handle(workflow_id, run_id=run_id, workflow_type="report").result(timeout=20)


async def until(holds: Any) -> Any:
    for _ in range(200):
        value = await holds()
        if value:
            return value
        await asyncio.sleep(0.05)
    raise AssertionError("waited 10 s")


async def main(url: str, prefix: str) -> None:
    queue, ident = f"{prefix}-queue", f"{prefix}-nightly"
    seen: dict[str, Any] = {}
    async with Client(url) as client:
        worker = Worker(client, task_queue=queue, workflows=[Report], activities=[])
        working = asyncio.create_task(worker.run())
        action = ScheduleAction(workflow_type="report", task_queue=queue, input=["monday"])
        spec = ScheduleSpec(cron_expressions=["30 2 * * *"], intervals=[{"every": "PT12H", "offset": "PT5M"}], timezone="Europe/Berlin")
        handle = await client.create_schedule(
            schedule_id=ident, spec=spec, action=action, overlap_policy="skip", jitter_seconds=0, max_runs=50,
            memo={"team": "data"}, search_attributes={}, note="first",
        )
        seen["id"] = handle.schedule_id
        seen["taken"] = await raises(ScheduleAlreadyExists, client.create_schedule(schedule_id=ident, spec=spec, action=action))
        wrong = ScheduleSpec(cron_expressions=["61 * * * *"])
        seen["wrong"] = await raises(InvalidArgument, client.create_schedule(spec=wrong, action=action))
        seen["refused list"] = await raises(ScheduleListError, client.list_schedules(status="gone"))
        seen["missing"] = await raises(ScheduleNotFound, client.describe_schedule(f"{prefix}-no"))

        described = await handle.describe()
        seen["described"] = [
            described.status, described.spec, described.overlap_policy, described.note, described.memo, described.max_runs,
            described.remaining_actions, described.fires_count, described.next_fire_at is not None, described.action["workflow_type"],
        ]
        triggered = await handle.trigger()
        seen["triggered"] = [triggered.outcome, triggered.workflow_id.startswith(ident), triggered.run_id is not None]
        seen["result"] = await result(client, triggered.workflow_id, triggered.run_id)

        await handle.pause(note="holiday")
        paused = await client.describe_schedule(ident)
        refused = await client.trigger_schedule(ident)
        await handle.resume(note="back")
        resumed = await handle.describe()
        seen["paused"] = [paused.status, paused.note, paused.paused_at is not None, refused.outcome, refused.reason, resumed.status]
        await client.pause_schedule(ident)
        await client.resume_schedule(ident)

        await handle.update(note="changed", max_runs=9, action=ScheduleAction(workflow_type="report", task_queue=queue, input=["friday"]))
        await client.update_schedule(ident, spec=ScheduleSpec(intervals=[{"every": "PT6H"}]))
        updated = await handle.describe()
        seen["updated"] = [updated.note, updated.max_runs, updated.remaining_actions, updated.spec, updated.fires_count]

        window = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T12:00:00Z", "overlap_policy": "allow_all"}
        backfilled = await handle.backfill(**window)
        again = await client.backfill_schedule(ident, **window)
        results = backfilled.results
        seen["backfilled"] = [
            backfilled.outcome, backfilled.fires_attempted, [r["outcome"] for r in results], [r["fire_time"] for r in results],
            len({r["workflow_id"] for r in results + again.results}),
        ]

        history = await handle.history(limit=3)
        assert await client.get_schedule_history(ident, limit=3) == history
        seen["page"] = [len(history.events), history.has_more, history.next_cursor, history.namespace]
        seen["events"] = [event.event_type async for event in handle.iter_history(limit=2)]
        seen["events again"] = len([event async for event in client.iter_schedule_history(ident, after_sequence=2)])

        listed = await client.list_schedules(status="active", workflow_type="report", query=ident.upper(), page_size=1)
        seen["listed"] = [[s.schedule_id for s in listed.schedules], listed.next_page_token]
        for number in range(3):
            await client.create_schedule(schedule_id=f"{prefix}-p{number}", spec=spec, action=action, paused=True)
        pages, token = [], None
        while True:
            page = await client.list_schedules(status="paused", query=f"{prefix}-p", page_size=2, next_page_token=token)
            pages.append([s.schedule_id for s in page.schedules])
            token = page.next_page_token
            if token is None:
                break
        seen["pages"] = pages

        # The clock itself: every second, twice.
        soon = await client.create_schedule(
            spec=ScheduleSpec(intervals=[{"every": "PT1S"}]), action=action, overlap_policy="allow_all", max_runs=2
        )
        fired = await until(lambda: _fired(soon, 2))
        seen["fired"] = [fired.fires_count, fired.remaining_actions, fired.next_fire_at]
        for run in fired.info["recent_actions"]:
            assert await result(client, run["workflow_id"], run["run_id"]) == {"day": "monday"}

        await handle.delete()
        seen["deleted"] = await raises(ScheduleNotFound, handle.describe())
        seen["last event"] = [event.event_type async for event in client.iter_schedule_history(ident)][-1]
        reused = await client.create_schedule(schedule_id=ident, spec=spec, action=action)
        await client.delete_schedule(reused.schedule_id)
        await worker.stop()
        await asyncio.wait_for(working, 20)
    print(json.dumps(seen))


async def _fired(handle: Any, count: int) -> Any:
    described = await handle.describe()
    return described if described.fires_count >= count else None


asyncio.run(main(*sys.argv[1:]))
