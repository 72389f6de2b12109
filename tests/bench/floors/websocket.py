"""Floor: the least that an aiohttp server can do with websockets and long polls.

`/ws` sends every text back; but `fan TEXT` sends TEXT to all clients, one after the other, again and again until `stop`, and
`table` reads 2,000 rows from SQLite and sends them as orjson writes them. `/poll` keeps a POST waiting for ever. uvloop, no
compression, nothing is checked. Takes a path for its database; prints its port as one JSON line when it is ready.
"""

import asyncio
import json
import resource
import sqlite3
import sys
import uuid

import orjson
import uvloop
from aiohttp import web

ROWS = 2_000
COLUMNS = ["SimId", "AgentId", "Time", "Commodity", "Quantity"]
PARAMS = {"table": "Stores", "conds": None, "orient": "split"}
FAN, STOP, TABLE = "fan ", "stop", "table"


class Server:
    def __init__(self, path: str) -> None:
        self.clients: set[web.WebSocketResponse] = set()
        self.fan: asyncio.Task[None] | None = None
        self.database = sqlite3.connect(path)
        self.database.execute("CREATE TABLE stores (SimId TEXT, AgentId INTEGER, Time INTEGER, Commodity TEXT, Quantity REAL)")
        simulation = str(uuid.uuid4())
        rows = [(simulation, 2, number + 1, "ore", 20.0 + number / 7) for number in range(ROWS)]
        self.database.executemany("INSERT INTO stores VALUES (?,?,?,?,?)", rows)
        self.database.commit()

    def table(self) -> str:
        rows = self.database.execute("SELECT * FROM stores").fetchall()
        data = {"columns": COLUMNS, "index": list(range(len(rows))), "data": rows}
        return orjson.dumps({"event": "table_data", "params": PARAMS, "data": data}).decode()

    async def send_to_all(self, text: str) -> None:
        while True:
            for client in tuple(self.clients):
                await client.send_str(text)
            await asyncio.sleep(0)

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.clients.add(socket)
        async for message in socket:
            text = message.data
            if text == TABLE:
                await socket.send_str(self.table())
            elif text.startswith(FAN):
                self.fan = asyncio.create_task(self.send_to_all(text.removeprefix(FAN)))
            elif text == STOP and self.fan is not None:
                self.fan.cancel()
            else:
                await socket.send_str(text)
        self.clients.discard(socket)
        return socket


async def poll(request: web.Request) -> web.Response:
    orjson.loads(await request.read())
    await asyncio.get_running_loop().create_future()
    return web.Response()


async def serve(path: str) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server, application = Server(path), web.Application()
    application.router.add_get("/ws", server.websocket)
    application.router.add_post("/poll", poll)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
