"""Calls every public method of the real SDK against a gateway. Prints the methods that there are, then a JSON line for each case.

Arguments: base URL.
"""

import asyncio
import inspect
import json
import sys

from durable_workflow import Worker, client, sync
from surface import run_cases

CLASSES = {
    "Client": client.Client,
    "WorkflowHandle": client.WorkflowHandle,
    "ScheduleHandle": client.ScheduleHandle,
    "StandaloneActivityHandle": client.StandaloneActivityHandle,
    "Worker": Worker,
    "sync.Client": sync.Client,
    "sync.SyncWorkflowHandle": sync.SyncWorkflowHandle,
    "sync.SyncScheduleHandle": sync.SyncScheduleHandle,
    "sync.SyncStandaloneActivityHandle": sync.SyncStandaloneActivityHandle,
}


def public_methods():
    """`Class.method` for each public method or property of the classes that users hold."""
    for name, kind in CLASSES.items():
        for member in dir(kind):
            found = inspect.getattr_static(kind, member)
            if not member.startswith("_") and (callable(found) or isinstance(found, property | staticmethod | classmethod)):
                yield f"{name}.{member}"


async def main(url):
    methods = sorted(public_methods())
    print(json.dumps({"methods": methods}), flush=True)
    await run_cases(url, set(methods), lambda outcome: print(json.dumps(outcome), flush=True))


asyncio.run(main(sys.argv[1]))
