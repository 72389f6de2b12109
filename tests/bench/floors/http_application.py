"""Floor: the least that an aiohttp application can do with a start or a query.

A routed POST decodes its JSON body and answers a small JSON object: uvloop and orjson, no middleware, no validation,
no store. Prints its port as one JSON line when it is ready.
"""

import asyncio
import json

import orjson
import uvloop
from aiohttp import web


async def start(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    answer = {"workflow_id": body["workflow_id"], "run_id": "0190a0b2-aaaa-7bbb-8ccc-123456789abc", "outcome": "started_new"}
    return web.Response(body=orjson.dumps(answer), status=201, content_type="application/json")


async def query(request: web.Request) -> web.Response:
    orjson.loads(await request.read())
    answer = {"workflow_id": request.match_info["workflow_id"], "query_name": request.match_info["name"], "result": []}
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


async def serve() -> None:
    application = web.Application()
    application.router.add_post("/api/workflows", start)
    application.router.add_post("/api/workflows/{workflow_id}/query/{name}", query)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    print(json.dumps({"port": port}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
