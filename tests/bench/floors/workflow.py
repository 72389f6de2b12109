"""Floor: "start a workflow with one activity and wait for its result", built from bare parts.

aiohttp, orjson, uvloop, and SQLite (WAL, synchronous=FULL) with group commit: whatever waits when the writer thread is
free goes into one transaction. It does only what a durable long-poll protocol cannot avoid: eight requests and four
durable commits a workflow, each commit one event row and one run row. No validation, no leases, no timers, no replay.
Takes the database's path; prints its port as one JSON line when it is ready.
"""

import asyncio
import collections
import itertools
import json
import sqlite3
import sys

import orjson
import uvloop
from aiohttp import web

OLD_EVENT = "p" * 300
Change = tuple[int, int, str]


class Store:
    """Rows of one run and its events, committed in groups by one writer thread."""

    def __init__(self, path: str) -> None:
        self.waiting: list[tuple[Change, asyncio.Future[None]]] = []
        self.writing = False
        self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.database.execute("pragma journal_mode=wal")
        self.database.execute("pragma synchronous=full")
        self.database.execute("create table run(id int primary key, state text, seq int)")
        self.database.execute(
            "create table event(run int, seq int, body text, primary key(run, seq)) without rowid"
        )

    def write(self, changes: list[Change]) -> None:
        self.database.execute("begin")
        self.database.executemany("insert into event values(?,?,?)", changes)
        self.database.executemany(
            "insert into run values(?,?,?) on conflict(id) do update set state=excluded.state, seq=excluded.seq",
            [(run, f"s{seq}", seq) for run, seq, _ in changes],
        )
        self.database.execute("commit")

    async def put(self, run: int, seq: int, body: str) -> None:
        loop = asyncio.get_running_loop()
        durable = loop.create_future()
        self.waiting.append(((run, seq, body), durable))
        if not self.writing:
            self.writing = True
            loop.call_soon(lambda: asyncio.ensure_future(self.flush()))
        await durable

    async def flush(self) -> None:
        while self.waiting:
            group, self.waiting = self.waiting, []
            await asyncio.get_running_loop().run_in_executor(None, self.write, [change for change, _ in group])
            for _, durable in group:
                durable.set_result(None)
        self.writing = False


class Runtime:
    """Four routes, two queues for each queue name, and a future for each open run."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.queues: dict[tuple[str, str], asyncio.Queue[tuple[int, int]]] = collections.defaultdict(asyncio.Queue)
        self.queue_names: dict[int, str] = {}
        self.results: dict[int, asyncio.Future[None]] = {}
        self.ids = itertools.count(1)

    async def start(self, request: web.Request) -> web.Response:
        body = await request.read()
        run = next(self.ids)
        name = self.queue_names[run] = orjson.loads(body)["queue"]
        self.results[run] = asyncio.get_running_loop().create_future()
        await self.store.put(run, 1, body.decode())
        self.queues["workflow", name].put_nowait((run, 2))
        return answer({"run": run})

    async def poll(self, request: web.Request) -> web.Response:
        name = orjson.loads(await request.read())["queue"]
        run, seq = await self.queues[request.match_info["kind"], name].get()
        history = [{"seq": earlier, "body": OLD_EVENT} for earlier in range(1, seq)]
        return answer({"run": run, "seq": seq, "history": history})

    async def complete(self, request: web.Request) -> web.Response:
        body = await request.read()
        report = orjson.loads(body)
        run, seq = report["run"], report["seq"]
        await self.store.put(run, seq, body.decode())
        if seq == 4:
            self.results.pop(run).set_result(None)
            del self.queue_names[run]
        else:
            self.queues["activity" if seq == 2 else "workflow", self.queue_names[run]].put_nowait((run, seq + 1))
        return answer({"ok": True})

    async def result(self, request: web.Request) -> web.Response:
        waiting = self.results.get(int(request.match_info["run"]))
        if waiting:
            await asyncio.shield(waiting)
        return answer({"status": "completed"})


def answer(value: object) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


async def serve(path: str) -> None:
    runtime = Runtime(Store(path))
    application = web.Application()
    application.router.add_post("/start", runtime.start)
    application.router.add_post("/poll/{kind}", runtime.poll)
    application.router.add_post("/complete", runtime.complete)
    application.router.add_get("/result/{run}", runtime.result)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
