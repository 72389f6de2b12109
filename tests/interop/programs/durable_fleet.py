"""Two builds of a worker, and an operator who moves new work from one to the other. Prints what both see as JSON.

Arguments: base URL, task queue.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Worker, activity, workflow
from durable_workflow.sync import Client as SyncClient


def flow_of(build):
    """The same workflow, as that build has it."""

    @activity.defn(name="name")
    def name():
        return build

    @workflow.defn(name="flow")
    class Flow:
        def __init__(self):
            self.go = False

        @workflow.signal("go")
        def let_go(self):
            self.go = True

        def run(self, ctx):
            yield ctx.wait_condition(lambda: self.go, key="go")
            return (yield ctx.schedule_activity("name", []))

    return Flow, name


def blocking(url, queue):
    with SyncClient(url) as client:
        return sorted(build.build_id for build in client.list_task_queue_build_ids(queue).build_ids)


async def until(holds):
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.05)


async def main(url, queue):
    seen = {}
    async with Client(url) as client:
        workers, running = {}, []
        for build in ("old", "new"):
            flow, name = flow_of(build)
            worker = Worker(
                client, task_queue=queue, worker_id=f"{queue}-{build}", build_id=build, workflows=[flow], activities=[name], poll_timeout=2
            )
            workers[build] = worker
            running.append(asyncio.create_task(worker.run()))

        async def both():
            return len((await client.list_workers(task_queue=queue, status="active")).workers) == 2

        await until(both)
        described = await client.describe_worker(f"{queue}-old")
        seen["worker"] = [described.status, described.build_id, described.supported_workflow_types, described.heartbeat_interval_seconds]

        async def start(number):
            return await client.start_workflow(workflow_type="flow", workflow_id=f"{queue}-{number}", task_queue=queue)

        seen["promoted"] = [(await client.promote_task_queue_build_id(queue, "old")).new_start_selected]
        first = await start(1)
        drained = await client.drain_task_queue_build_id(queue, "old")
        again = await client.drain_task_queue_build_id(queue, "old")
        seen["drained"] = [drained.drain_intent, drained.drained_at == again.drained_at, drained.new_start_selected]
        seen["promoted"].append((await client.promote_task_queue_build_id(queue, "new")).new_start_selected)
        rollout = await client.list_task_queue_build_ids(queue)
        seen["builds"] = {
            b.build_id: [b.rollout_status, b.drain_intent, b.new_start_selected, b.total_worker_count] for b in rollout.build_ids
        }
        seen["draining"] = [worker.worker_id for worker in (await client.list_workers(task_queue=queue, status="draining")).workers]
        second = await start(2)
        await second.signal("go")
        seen["second"] = await second.result(timeout=40)

        await first.signal("go")
        await asyncio.sleep(1)
        seen["first_waits"] = (await first.describe()).status
        shown = await client.describe_task_queue(queue)
        seen["queue"] = [
            shown.stats["workflow_tasks"]["ready_count"], shown.stats["pollers"], shown.admission.workflow_tasks.active_worker_count,
            shown.admission.query_tasks.status, len(shown.pollers),
        ]  # fmt: skip
        seen["listed"] = queue in [each.name for each in (await client.list_task_queues()).task_queues]
        resumed = await client.resume_task_queue_build_id(queue, "old")
        seen["resumed"] = [resumed.drain_intent, resumed.drained_at]
        seen["first"] = await first.result(timeout=60)
        runs = [await client.describe_workflow_run(handle.workflow_id, handle.run_id) for handle in (first, second)]
        seen["pinned"] = [run.compatibility for run in runs]
        seen["sync"] = await asyncio.to_thread(blocking, url, queue)

        await workers["old"].stop()
        seen["after"] = {b.build_id: b.rollout_status for b in (await client.list_task_queue_build_ids(queue)).build_ids}
        seen["removed"] = (await client.deregister_worker(f"{queue}-new"))["outcome"]
        seen["left"] = (await client.list_workers(task_queue=queue)).workers
        await workers["new"].stop()
        await asyncio.gather(*running, return_exceptions=True)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))
