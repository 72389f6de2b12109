"""How a client of the Cylc wire talks: REQ and SUB under CURVE, found through the face's contact file."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import zmq
import zmq.asyncio
import zmq.auth

from conformance.line_driver import free_port
from triplane.testing import Change, House, Malformed, Outcome, Refused, eventually
from triplane_cylc import CylcAdapter
from triplane_schemas.cylc.data_store_pb2 import WDeltas

PATIENCE_S = 5.0
BETWEEN_FRAMES = b"<next frame>"
"""In a sample, where one frame of a multipart message ends."""


class CylcClient:
    """A REQ socket, and a SUB socket once it follows."""

    def __init__(self, service: Path, workflow_id: str) -> None:
        self.contact, self.workflow_id = service / "contact", workflow_id
        lines = self.contact.read_text().splitlines()
        self.address = dict(line.split("=", 1) for line in lines)
        self.server_key, _ = zmq.auth.load_certificate(service / "server.key")
        self.keys = zmq.auth.load_certificate(service / "client.key_secret")
        self.context: zmq.asyncio.Context = zmq.asyncio.Context()
        self.requests = self._connect(zmq.REQ, "CYLC_WORKFLOW_PORT")
        self.publications: zmq.asyncio.Socket | None = None

    def _connect(self, kind: int, port: str) -> zmq.asyncio.Socket:
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.curve_serverkey = self.server_key
        socket.curve_publickey, socket.curve_secretkey = self.keys
        if kind == zmq.SUB:
            socket.rcvhwm = 10
        socket.connect(f"tcp://127.0.0.1:{self.address[port]}")
        return socket

    async def _ask(self, command: str, **arguments: Any) -> Any:
        request = {"command": command, "args": arguments, "meta": {"prog": "kit", "host": "localhost", "comms_method": "zmq"}}
        async with asyncio.timeout(PATIENCE_S):
            await self.requests.send(json.dumps(request).encode())
            reply = json.loads(await self.requests.recv())
        if "data" not in reply:
            raise Refused(str(reply["error"]["message"]))
        return reply["data"]

    async def set_paused(self, paused: bool) -> None:
        name = "pause" if paused else "resume"
        text = f"mutation ($w: [WorkflowID]!) {{ {name}(workflows: $w) {{ result }} }}"
        answer = await self._ask("graphql", request_string=text, variables={"w": [self.workflow_id]})
        for result in answer[name]["result"]:
            accepted, message = result["response"]
            if not accepted:
                raise Refused(message)

    async def is_paused(self) -> bool:
        answer = await self._ask("graphql", request_string="query { workflows { status } }", variables=None)
        return bool(answer["workflows"][0]["status"] == "paused")

    async def ask_for_missing_run(self) -> None:
        # A face is one run: on this wire what can be missing is an endpoint.
        await self._ask("no_such_endpoint")

    async def follow(self) -> None:
        self.publications = self._connect(zmq.SUB, "CYLC_WORKFLOW_PUBLISH_PORT")
        monitor = self.publications.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.publications.subscribe(b"workflow")
        self.publications.subscribe(b"shutdown")
        async with asyncio.timeout(PATIENCE_S):
            await monitor.recv_multipart()
        self.publications.disable_monitor()
        # The subscription itself travels after the handshake; a request behind it on another socket gives it time to arrive.
        for _ in range(3):
            await self._ask("api")

    async def next_change(self) -> Change:
        assert self.publications is not None
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    topic, payload = await self.publications.recv_multipart()
            except TimeoutError:
                if self.contact.exists():
                    raise
                # What did not fit was dropped, and the missing contact file is how this wire says that the run has ended.
                return Change.CLOSED
            if topic == b"shutdown":
                return Change.CLOSED
            for workflow in (WDeltas.FromString(payload).added, WDeltas.FromString(payload).updated):
                if workflow.HasField("status") and workflow.status in ("paused", "running"):
                    return Change(workflow.status)

    def stop_reading(self) -> None:
        """A SUB socket that nobody receives from takes in its high-water mark, and no more."""

    def read_again(self) -> None:
        """`next_change` receives."""

    async def send_malformed(self, sample: Malformed) -> Outcome:
        socket = self._connect(zmq.DEALER, "CYLC_WORKFLOW_PORT")
        await socket.send_multipart([b"", *sample.data.split(BETWEEN_FRAMES)])
        async with asyncio.timeout(PATIENCE_S):
            _, reply = await socket.recv_multipart()
        socket.close()
        assert json.loads(reply)["error"]["message"], sample.name
        return Outcome.ANSWERED

    async def ended(self) -> None:
        await eventually("its contact file is gone", lambda: not self.contact.exists(), PATIENCE_S)

    async def close(self) -> None:
        self.context.destroy(linger=0)


ANSWERED = frozenset({Outcome.ANSWERED})
SAMPLES = {
    "an empty frame": b"",
    "no JSON": b"{",
    "not UTF-8": b'{"command":"api","args":{"\xff":1}}',
    "a JSON list": b"[]",
    "a JSON text": b'"api"',
    "a number as command": b'{"command":1,"args":{}}',
    "no arguments": b'{"command":"api"}',
    "null arguments": b'{"command":"api","args":null,"meta":{}}',
    "arguments that are a list": b'{"command":"api","args":[1],"meta":{}}',
    "meta that is no object": b'{"command":"no","args":{},"meta":7}',
    "an internal name": b'{"command":"__class__","args":{},"meta":{}}',
    "another internal name": b'{"command":"receive","args":{},"meta":{}}',
    "an unknown argument": b'{"command":"graphql","args":{"bogus":1},"meta":{}}',
    "graphql without a text": b'{"command":"graphql","args":{},"meta":{}}',
    "graphql that does not parse": b'{"command":"graphql","args":{"request_string":"query {","variables":null},"meta":{}}',
    "a field that is not there": b'{"command":"graphql","args":{"request_string":"query { nosuch }","variables":null},"meta":{}}',
    "two frames": b'{"command":"api","args":{}}' + BETWEEN_FRAMES + b"{}",
    "deep nesting": b'{"command":"api","args":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
}


class CylcDriver:
    """Knows the Cylc wire from the client's side."""

    adapter: ClassVar[type[CylcAdapter]] = CylcAdapter
    tells_all: ClassVar[bool] = False
    cuts_the_slow: ClassVar[bool] = False
    clients_share_limits: ClassVar[bool] = True
    malformed: ClassVar[tuple[Malformed, ...]] = tuple(Malformed(name, data, ANSWERED) for name, data in SAMPLES.items())

    def settings(self, directory: Path) -> Mapping[str, Any]:
        first = free_port()
        return {"host": "localhost", "ports": (first, min(first + 20, 65_535)), "expose_after_s": 0.0, "faces_per_s": 1_000.0}

    async def connect(self, house: House, workflow_id: str) -> CylcClient:
        service = house.settings.jobs.run_dir / workflow_id / ".service"
        try:
            await eventually("there is a contact file", (service / "contact").exists, 3.0)
        except AssertionError as error:
            raise ConnectionRefusedError(str(error)) from error
        return CylcClient(service, workflow_id)
