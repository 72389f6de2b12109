"""What the cases share: the register of cases, one client, ids that nobody else uses, and waiting for what must come."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from durable_workflow import Client, sync

THREADS = ThreadPoolExecutor(16)
CASES = {}
"""`Class.method` → coroutine function that takes a House and fails with an exception."""


def case(*methods):
    """Enter a function as the case of each of these methods; it is run once for each, with ids of its own."""

    def enter(function):
        for method in methods:
            assert method not in CASES, f"{method} has two cases"
            CASES[method] = function
        return function

    return enter


def sync_case(*methods):
    """The same for a function that uses the blocking client; it is given that client and the house, in a thread of its own."""

    def enter(function):
        async def run(house):
            def use():
                with sync.Client(house.url) as client:
                    function(client, house)

            # Not the loop's own threads: the worker runs its activities there.
            await asyncio.get_running_loop().run_in_executor(THREADS, use)

        return case(*methods)(run) and function

    return enter


class House:
    """One gateway as the cases see it."""

    queue = "surface"

    def __init__(self, url):
        self.url = url
        self.client = Client(url)
        self.worker = None
        self._numbers = count(1)

    def name(self, what):
        """An id that no other case uses."""
        return f"{what}-{next(self._numbers)}"

    async def worker_is_there(self):
        """Wait until the house's worker is registered."""
        async with asyncio.timeout(20):
            while not (await self.client.list_workers(task_queue=self.queue)).workers:
                await asyncio.sleep(0.05)

    async def start(self, workflow_type="waits", *arguments, **options):
        """Start a workflow of the house's worker; the handle."""
        options = {"task_queue": self.queue, "workflow_id": self.name(workflow_type), **options}
        return await self.client.start_workflow(workflow_type=workflow_type, input=list(arguments), **options)

    async def waiting(self, *arguments, **options):
        """Start the workflow that waits for the signal `go`, and wait until it does; the handle."""
        handle = await self.start("waits", *arguments, **options)
        await self.until(handle, "ConditionWaitOpened")
        return handle

    async def closed(self, workflow_type="greets", *arguments, **options):
        """Run a workflow to its end; the handle."""
        handle = await self.start(workflow_type, *arguments, **options)
        await self.status(handle.workflow_id, "completed", "failed")
        return handle

    async def until(self, handle, event_type):
        """Wait until the history holds such an event."""
        async with asyncio.timeout(30):
            while event_type not in await self.events(handle):
                await asyncio.sleep(0.05)

    async def events(self, handle):
        """Types of the events in a run's history."""
        page = await self.client.get_history(handle.workflow_id, handle.run_id, page_size=1_000)
        return [event["event_type"] for event in page["events"]]

    async def status(self, workflow_id, *awaited):
        """Wait until the newest run has one of these statuses; its description."""
        async with asyncio.timeout(30):
            while (described := await self.client.describe_workflow(workflow_id)).status not in awaited:
                await asyncio.sleep(0.05)
        return described


async def refused(awaitable, *kinds):
    """The error of one of these kinds that the call must end with."""
    try:
        answer = await awaitable
    except kinds as error:
        return error
    raise AssertionError(f"expected {kinds}, got {answer!r}")
