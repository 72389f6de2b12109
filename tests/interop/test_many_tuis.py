"""Two hundred `cylc tui` on one run: their recorded requests, replayed by raw REQ clients as the real client sends them."""

import asyncio
import json
import time
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from interop.cylc_house import CylcHouse
from triplane_cylc.faces.contact import parse_contact
from triplane_cylc.faces.keys import read_pair, read_public

STATUS, EVERYTHING = json.loads((Path(__file__).parents[1] / "golden" / "cylc" / "tui_requests.json").read_text())
TIMEOUT_S = 3.0
"""After which the real client says that it cannot reach the workflow (contract trap T6)."""


class Tui:
    """One terminal: a status scan on a socket of its own each second, and the whole tree on a socket that it keeps."""

    def __init__(self, context, service, name):
        contact = parse_contact((service / "contact").read_text())
        self._address = f"tcp://127.0.0.1:{contact['CYLC_WORKFLOW_PORT']}"
        self._pair = read_pair((service / "client.key_secret").read_text())
        self._server = read_public((service / "server.key").read_text())
        status = STATUS["args"]["request_string"].replace("demo", name)
        self._status = json.dumps({**STATUS, "args": {**STATUS["args"], "request_string": status}}).encode()
        self._everything = json.dumps(EVERYTHING).encode()
        self._context = context
        self._kept = self._connect()
        self.slowest_s, self.answers = 0.0, 0

    def _connect(self):
        socket = self._context.socket(zmq.REQ)
        socket.linger = 5
        socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = self._server, self._pair.public, self._pair.secret
        socket.connect(self._address)
        return socket

    async def _ask(self, socket, body):
        began = time.monotonic()
        await socket.send(body)
        reply = json.loads(await asyncio.wait_for(socket.recv(), 10 * TIMEOUT_S))
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self.answers += 1
        (workflow,) = reply["data"]["workflows"]
        return workflow

    async def watch(self, rounds):
        for _ in range(rounds):
            fresh = self._connect()
            assert (await self._ask(fresh, self._status))["status"] in ("running", "paused")
            fresh.close()
            assert (await self._ask(self._kept, self._everything))["taskProxies"]
            await asyncio.sleep(1.0)


@pytest.mark.parametrize(("tuis", "rounds"), [(20, 2), pytest.param(200, 10, marks=[pytest.mark.full, pytest.mark.alone])])
async def test_every_terminal_is_answered_each_time_and_the_run_goes_on(tmp_path, tuis, rounds):
    async with CylcHouse(tmp_path) as house:
        await house.face()
        context = zmq.asyncio.Context()
        try:
            watching = [Tui(context, house.service(), house.workflow_id) for _ in range(tuis)]
            watch = asyncio.gather(*(tui.watch(rounds) for tui in watching))
            paused = False
            while not watch.done():
                paused = not paused
                await house.set_paused(paused)
                await asyncio.sleep(0.2)
            await watch
        finally:
            context.destroy(0)
        assert [tui.answers for tui in watching] == [2 * rounds] * tuis
        slow = sum(tui.slowest_s > TIMEOUT_S for tui in watching)
        print(f"{tuis} terminals: slowest answer {max(tui.slowest_s for tui in watching):.2f} s, {slow} of them over {TIMEOUT_S:g} s once")
