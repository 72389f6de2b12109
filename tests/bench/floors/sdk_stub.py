"""Limit: a server that answers every request of the SDK at once, with the little that the SDK wants to see.

aiohttp, uvloop and orjson; nothing is looked up, checked or stored. Prints its port as one JSON line when it is ready.
"""

import asyncio
import json

import orjson
import uvloop
from aiohttp import web

HEADERS = {"X-Durable-Workflow-Control-Plane-Version": "2"}


async def anything(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read()) if request.body_exists else {}
    workflow_id = body.get("workflow_id") or request.path.rpartition("/")[2]
    answer = {
        "workflow_id": workflow_id, "run_id": "0190a0b2-aaaa-7bbb-8ccc-123456789abc", "workflow_type": "bench.start",
        "task_queue": "bench-sdk", "status": "pending", "outcome": "started_new", "payload_codec": "avro",
    }  # fmt: skip
    status = 201 if request.method == "POST" else 200
    return web.Response(body=orjson.dumps(answer), status=status, content_type="application/json", headers=HEADERS)


async def serve() -> None:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", anything)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
