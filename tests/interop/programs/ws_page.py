"""Does what the page bundled with Cyclus does: handlers by event name, a watchdog on the heartbeat, and every button pressed.

    ws_page.py URL SECONDS

Source: contract cyclus section 8.1. Prints one JSON object of what the page would show.
"""

import asyncio
import json
import sys
import time

import websockets

BUTTONS = [
    {"event": "echo", "params": {"s": "Bravo"}}, {"event": "table_names_request"}, {"event": "registry_request"}, {"event": "load"},
    {"event": "table_names_request"}, {"event": "registry_request"}, {"event": "pause"}, {"event": "unpause"},
    {"event": "table_data", "params": {"table": "Info", "orient": "split"}}, {"event": "table_data", "params": {"table": "NoSuchTable"}},
]  # fmt: skip


class Page:
    def __init__(self):
        self.shown = {"names": [], "registry": [], "alerts": [], "columns": None, "thrown": 0, "skipped": [], "disconnected": 0, "beats": 0}
        self.due = None

    def handle(self, frame):
        handler = getattr(self, "on_" + frame["event"], None)
        if handler is None:
            self.shown["skipped"].append(frame["event"])
            return
        try:
            handler(frame)
        except TypeError:
            self.shown["thrown"] += 1

    def on_heartbeat(self, frame):
        now = time.monotonic()
        self.shown["disconnected"] += self.due is not None and now > self.due
        self.due = now + 1.5 * frame["data"]
        self.shown["beats"] += 1

    def on_echo(self, frame):
        self.shown["alerts"].append(frame["data"])

    def on_table_names(self, frame):
        self.shown["names"].append(sorted(frame["data"]))

    def on_registry(self, frame):
        self.shown["registry"].append(sorted(frame["data"]))

    def on_table_data(self, frame):
        self.shown["columns"] = [list(frame["data"]["columns"]), len(frame["data"]["data"]), frame["params"]["table"]]


async def main(url, seconds):
    page = Page()
    async with websockets.connect(url) as socket:

        async def listen():
            async for text in socket:
                page.handle(json.loads(text))

        listening = asyncio.ensure_future(listen())
        for button in BUTTONS:
            await socket.send(json.dumps(button, separators=(",", ":")))
            await asyncio.sleep(seconds / len(BUTTONS))
        listening.cancel()
    print(json.dumps(page.shown))


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
