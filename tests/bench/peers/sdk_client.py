"""Load: the durable-workflow SDK as it is, run by an interpreter that has it.

Reads orders as JSON lines, `{"url", "call": "start" | "describe", "clients", "seconds"}`, and answers each with one line,
`{"latencies": [seconds], "took": seconds}`. First prints the SDK's version as a JSON line. Ends with its input.
"""

import asyncio
import importlib.metadata
import itertools
import json
import sys
import time
import uuid
from typing import Any

from durable_workflow import Client


async def obey(order: dict[str, Any]) -> dict[str, Any]:
    prefix, ids = uuid.uuid4().hex[:12], itertools.count()
    latencies: list[float] = []
    async with Client(order["url"]) as client:

        async def start() -> str:
            workflow_id = f"sdk-{prefix}-{next(ids)}"
            await client.start_workflow(
                workflow_type="bench.start", task_queue="bench-sdk", workflow_id=workflow_id, input=["x" * 300]
            )
            return workflow_id

        known = await start()

        async def once() -> object:
            return await (start() if order["call"] == "start" else client.describe_workflow(known))

        # Opens the connections.
        await asyncio.gather(*[once() for _ in range(order["clients"])])
        end = time.perf_counter() + order["seconds"]

        async def repeat() -> None:
            while (sent := time.perf_counter()) < end:
                await once()
                latencies.append(time.perf_counter() - sent)

        began = time.perf_counter()
        await asyncio.gather(*[repeat() for _ in range(order["clients"])])
        return {"latencies": latencies, "took": time.perf_counter() - began}


def main() -> None:
    print(json.dumps({"version": importlib.metadata.version("durable-workflow")}), flush=True)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(obey(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
