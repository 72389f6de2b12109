"""Floor: the least that a stepped simulation can cost whose rows are durable and watched.

`steps N` on its websocket: for each step a child process is asked over a pipe and answers with its rows, which are
committed to SQLite (WAL, synchronous=FULL, one transaction a step); then the rows of one time are selected and sent to
all clients; `run_finished` after the last. The model's arithmetic is left out: the child answers at once. Takes a path
for its database; prints its port as one JSON line when it is ready.
"""

import asyncio
import json
import sqlite3
import struct
import sys
from asyncio.subprocess import PIPE

import msgpack
import orjson
import uvloop
from aiohttp import web

CHILD = """
import sys, struct, msgpack
read, write = sys.stdin.buffer, sys.stdout.buffer
while head := read.read(4):
    step = msgpack.unpackb(read.read(struct.unpack(">I", head)[0]))["step"]
    sim = "0190a0b2-aaaa-7bbb-8ccc-123456789abc"
    tables = [
        {"table": "Flows", "rows": [(sim, 2 * step + n, 1 + n, 2 + n, "ore", step, 8.5) for n in (0, 1)]},
        {"table": "Stores", "rows": [(sim, 2, step, "ore", 20.0 + step / 7)]},
    ]
    answer = msgpack.packb({"did": "step", "step": step, "tables": tables})
    write.write(struct.pack(">I", len(answer)) + answer)
    write.flush()
"""
INSERTS = {"Flows": "INSERT INTO flows VALUES (?,?,?,?,?,?,?)", "Stores": "INSERT INTO stores VALUES (?,?,?,?,?)"}
SELECT = "SELECT rowid, * FROM stores WHERE Time = 1"
COLUMNS = ["SimId", "AgentId", "Time", "Commodity", "Quantity"]
PARAMS = {"table": "Stores", "conds": [["Time", "==", 1]], "orient": "split"}


class Simulation:
    def __init__(self, path: str) -> None:
        self.clients: set[web.WebSocketResponse] = set()
        self.runs: set[asyncio.Task[None]] = set()
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")

    async def run(self, steps: int) -> None:
        for table in ("flows", "stores"):
            self.database.execute(f"DROP TABLE IF EXISTS {table}")
        self.database.execute("CREATE TABLE flows (SimId, FlowId, SenderId, ReceiverId, Commodity, Time, Quantity)")
        self.database.execute("CREATE TABLE stores (SimId, AgentId, Time, Commodity, Quantity)")
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, stdin=PIPE, stdout=PIPE)
        assert child.stdin is not None and child.stdout is not None
        for step in range(1, steps + 1):
            request = msgpack.packb({"do": "step", "step": step})
            child.stdin.write(struct.pack(">I", len(request)) + request)
            size = struct.unpack(">I", await child.stdout.readexactly(4))[0]
            answer = msgpack.unpackb(await child.stdout.readexactly(size))
            self.database.execute("BEGIN")
            for table in answer["tables"]:
                self.database.executemany(INSERTS[table["table"]], table["rows"])
            self.database.execute("COMMIT")
            found = self.database.execute(SELECT).fetchall()
            data = {"columns": COLUMNS, "index": [row[0] - 1 for row in found], "data": [row[1:] for row in found]}
            await self.tell(orjson.dumps({"event": "table_data", "params": PARAMS, "data": data}).decode())
        child.stdin.close()
        await child.wait()
        await self.tell(orjson.dumps({"event": "run_finished"}).decode())

    async def tell(self, text: str) -> None:
        for client in tuple(self.clients):
            await client.send_str(text)

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.clients.add(socket)
        async for message in socket:
            self.runs.add(asyncio.create_task(self.run(int(message.data.split()[1]))))
        self.clients.discard(socket)
        return socket


async def serve(path: str) -> None:
    application = web.Application()
    application.router.add_get("/ws", Simulation(path).websocket)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
