"""Limit: a server that answers every request of the SDK at once, with the little that the SDK wants to see.

aiohttp, uvloop and orjson; nothing is looked up, checked or stored. With a path for a database every POST is one row and one
transaction there (SQLite, WAL, synchronous=FULL), which is what a durable start asks of the disk and no more. Prints its port as
one JSON line when it is ready.
"""

import asyncio
import json
import sqlite3
import sys

import orjson
import uvloop
from aiohttp import web

HEADERS = {"X-Durable-Workflow-Control-Plane-Version": "2"}


STORE = web.AppKey("store", sqlite3.Connection)


async def anything(request: web.Request) -> web.Response:
    content = await request.read()
    body = orjson.loads(content) if content else {}
    store = request.app.get(STORE)
    if store is not None and request.method == "POST":
        store.execute("INSERT INTO starts VALUES (?)", (content,))
    workflow_id = body.get("workflow_id") or request.path.rpartition("/")[2]
    answer = {
        "workflow_id": workflow_id, "run_id": "0190a0b2-aaaa-7bbb-8ccc-123456789abc", "workflow_type": "bench.start",
        "task_queue": "bench-sdk", "status": "pending", "outcome": "started_new", "payload_codec": "avro",
    }  # fmt: skip
    status = 201 if request.method == "POST" else 200
    return web.Response(body=orjson.dumps(answer), status=status, content_type="application/json", headers=HEADERS)


def open_store(path: str) -> sqlite3.Connection:
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.execute("CREATE TABLE starts (body BLOB)")
    return store


async def serve(path: str | None) -> None:
    application = web.Application()
    if path is not None:
        application[STORE] = open_store(path)
    application.router.add_route("*", "/{path:.*}", anything)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1] if len(sys.argv) > 1 else None))
