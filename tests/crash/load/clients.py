"""Clients that send as fast as they are answered, until the gateway is gone. Plain sockets and the wires' own bytes."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import zmq
import zmq.asyncio
import zmq.auth

from crash.load.account import Account
from crash.load.serving import ServedGateway

ANSWER_S = 20.0
GONE = (aiohttp.ClientError, ConnectionError, asyncio.TimeoutError, zmq.Again)
"""How a client sees that the gateway is gone."""

MUTATION = """mutation ($flows: [WorkflowID]!, $tasks: [NamespaceIDGlob]!) {{ {name}(workflows: $flows, tasks: $tasks) {{ result }} }}"""
MESSAGE = """mutation ($flows: [WorkflowID]!, $job: String!, $messages: [[String]]) {
  message(workflows: $flows, taskJob: $job, messages: $messages) { result } }"""


class DurableLoad:
    """Signals and starts over HTTP, each with its request id; what had no answer is sent again after the restart."""

    def __init__(self, gateway: ServedGateway) -> None:
        self.gateway, self.account = gateway, Account()
        self._numbers = itertools.count()
        self._bodies: dict[str, tuple[str, dict[str, Any]]] = {}

    async def run(self, round_number: int, clients: int, note: Callable[[], None]) -> None:
        """Open runs of this round and send signals into them, until the gateway is gone."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_S)) as session:
            try:
                for token in sorted(self.account.unknown):
                    await self._send(session, token, note)
                for n in range(clients):
                    await self._start(session, f"order-{round_number}-{n}", note)
            except GONE:
                return
            await asyncio.gather(*(self._signal(session, f"order-{round_number}-{n}", note) for n in range(clients)))

    async def _start(self, session: aiohttp.ClientSession, workflow_id: str, note: Callable[[], None]) -> None:
        body = {"workflow_id": workflow_id, "workflow_type": "Order", "task_queue": "main", "duplicate_policy": "use-existing"}
        self._bodies[workflow_id] = ("/api/workflows", body)
        self.account.unknown.add(workflow_id)
        await self._send(session, workflow_id, note)

    async def _signal(self, session: aiohttp.ClientSession, workflow_id: str, note: Callable[[], None]) -> None:
        while True:
            token = f"s-{next(self._numbers)}"
            self._bodies[token] = (f"/api/workflows/{workflow_id}/signal/{token}", {"input": [token], "request_id": token})
            self.account.unknown.add(token)
            try:
                await self._send(session, token, note)
            except GONE:
                return

    async def _send(self, session: aiohttp.ClientSession, token: str, note: Callable[[], None]) -> None:
        path, body = self._bodies[token]
        status, answer = await self.gateway.post(session, path, body)
        assert status in (200, 201, 202), (status, answer)
        self.account.acknowledged.add(token)
        self.account.unknown.discard(token)
        note()


class CylcLoad:
    """Messages of a job, holds and releases, over REQ sockets under CURVE. The wire has no request ids: nothing is repeated."""

    def __init__(self, gateway: ServedGateway, workflow_id: str) -> None:
        self.gateway, self.workflow_id, self.account = gateway, workflow_id, Account()
        self.held_or_released = self.steering_unknown = 0
        self._numbers = itertools.count()

    async def run(self, clients: int, note: Callable[[], None]) -> None:
        """Send until the gateway is gone."""
        context = zmq.asyncio.Context()
        try:
            await asyncio.gather(*(self._messages(context, note) for _ in range(clients)), self._steering(context, note))
        finally:
            context.destroy(linger=0)

    async def _messages(self, context: zmq.asyncio.Context, note: Callable[[], None]) -> None:
        socket = self._connect(context)
        while True:
            token = f"m-{next(self._numbers)}"
            variables = {"flows": [self.workflow_id], "job": "1/endless/01", "messages": [["INFO", token]]}
            self.account.unknown.add(token)
            try:
                await self._ask(socket, MESSAGE, variables)
            except GONE:
                return
            self.account.acknowledged.add(token)
            self.account.unknown.discard(token)
            note()

    async def _steering(self, context: zmq.asyncio.Context, note: Callable[[], None]) -> None:
        socket = self._connect(context)
        for name in itertools.cycle(("hold", "release")):
            self.steering_unknown += 1
            try:
                await self._ask(socket, MUTATION.format(name=name), {"flows": [self.workflow_id], "tasks": ["1/waits"]})
            except GONE:
                return
            self.steering_unknown -= 1
            self.held_or_released += 1
            note()

    def _connect(self, context: zmq.asyncio.Context) -> "zmq.asyncio.Socket":
        service = self.gateway.faces / self.workflow_id / ".service"
        contact = dict(line.split("=", 1) for line in (service / "contact").read_text().splitlines())
        server_key, _ = zmq.auth.load_certificate(service / "server.key")
        public, secret = zmq.auth.load_certificate(service / "client.key_secret")
        assert secret is not None
        socket = context.socket(zmq.REQ)
        socket.linger, socket.rcvtimeo = 0, 3_000
        socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = server_key, public, secret
        socket.connect(f"tcp://127.0.0.1:{contact['CYLC_WORKFLOW_PORT']}")
        return socket

    async def _ask(self, socket: "zmq.asyncio.Socket", request: str, variables: dict[str, Any]) -> None:
        message = {"command": "graphql", "args": {"request_string": request, "variables": variables}, "meta": {}}
        await socket.send(json.dumps(message).encode())
        answer = json.loads(await socket.recv())
        assert "error" not in answer, answer
        (field,) = answer["data"].values()
        accepted, _ = field["result"][0]["response"]
        assert accepted, answer


class CyclusLoad:
    """Tables registered and taken out again, over websockets; the reply names what is registered."""

    def __init__(self, gateway: ServedGateway, workflow_id: str) -> None:
        self.gateway, self.workflow_id, self.account = gateway, workflow_id, Account()
        self._numbers = itertools.count()

    async def run(self, clients: int, note: Callable[[], None]) -> None:
        """Send until the gateway is gone."""
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._register(session, note) for _ in range(clients)))

    async def _register(self, session: aiohttp.ClientSession, note: Callable[[], None]) -> None:
        try:
            async with session.ws_connect(f"{self.gateway.websocket}/runs/{self.workflow_id}", max_msg_size=0) as socket:
                while True:
                    token = f"t-{next(self._numbers)}"
                    self.account.unknown.add(token)
                    await self._until(socket, "register_tables", token, there=True)
                    self.account.acknowledged.add(token)
                    self.account.unknown.discard(token)
                    note()
                    await self._until(socket, "deregister_tables", token, there=False)
                    note()
        except GONE:
            return

    async def _until(self, socket: aiohttp.ClientWebSocketResponse, event: str, token: str, there: bool) -> None:
        await socket.send_str(json.dumps({"event": event, "params": {"tables": [token]}}))
        while True:
            frame = await asyncio.wait_for(socket.receive(), ANSWER_S)
            if frame.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionError("the websocket ended")
            answer = json.loads(frame.data)
            assert answer["event"] != "error" and "error" not in answer, answer
            if answer["event"] == "registry" and (token in answer["data"]) == there:
                return


