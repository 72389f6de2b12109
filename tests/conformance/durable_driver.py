"""How a client of the durable wire talks: HTTP written by hand, so that it can also be written wrong."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from conformance.line_driver import free_port
from triplane.testing import Change, House, Malformed, Outcome, Refused
from triplane_durable import DurableAdapter

PATIENCE_S = 5.0
CHANGES = {"RunPaused": Change.PAUSED, "RunResumed": Change.RUNNING}


def request(method: str, path: str, body: bytes | None = None, *, version: str = "2", kind: str = "application/json") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Durable-Workflow-Control-Plane-Version: {version}\r\n"
    if body is not None:
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


class Http:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Http":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 26))

    async def receive(self) -> tuple[int, Any]:
        """Status and decoded body of the next answer.

        Raises:
            EOFError: it has ended.
        """
        async with asyncio.timeout(PATIENCE_S):
            try:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
                body = await self.reader.readexactly(length)
            except ConnectionError as error:
                raise EOFError from error
        status = int(head.split(" ", 2)[1])
        return status, json.loads(body) if "application/json" in head else body

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        self.writer.write(request(method, path, None if body is None else json.dumps(body).encode()))
        status, answer = await self.receive()
        if status >= 400:
            raise Refused(f"{status} {answer['reason']}: {answer.get('message') or answer.get('error')}")
        return answer


class DurableClient:
    """A connection for requests, and one for the long poll of a follower."""

    def __init__(self, http: Http, port: int, workflow_id: str) -> None:
        self.http, self.port, self.path = http, port, f"/api/workflows/{workflow_id}"
        self.polls: Http | None = None
        self.seen = 0
        self.told: deque[Change] = deque()

    async def set_paused(self, paused: bool) -> None:
        await self.http.ask("POST", f"{self.path}/signal/{'pause' if paused else 'resume'}", {})

    async def is_paused(self) -> bool:
        return bool((await self.http.ask("GET", self.path))["wait_kind"] == "paused")

    async def ask_for_missing_run(self) -> None:
        await self.http.ask("GET", "/api/workflows/no-such-run")

    async def follow(self) -> None:
        run_id = (await self.http.ask("GET", self.path))["run_id"]
        self.history = f"{self.path}/runs/{run_id}/history?page_size=1000"
        self.seen = len((await self.http.ask("GET", self.history))["events"])
        self.polls = await Http.open(self.port)
        self._poll()

    def _poll(self) -> None:
        assert self.polls is not None
        self.polls.writer.write(request("GET", f"{self.history}&wait_new_event=1&next_page_token={self.seen}"))

    async def next_change(self) -> Change:
        assert self.polls is not None
        while not self.told:
            try:
                _, page = await self.polls.receive()
            except EOFError:
                return Change.LOST
            for event in page["events"]:
                self.seen = event["sequence"]
                self.told.append(CHANGES.get(event["event_type"], Change.RUNNING))
            if not page["events"] and (await self.http.ask("GET", self.path))["is_terminal"]:
                return Change.CLOSED
            self._poll()
        return self.told.popleft()

    def stop_reading(self) -> None:
        assert self.polls is not None
        self.polls.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def read_again(self) -> None:
        assert self.polls is not None
        self.polls.writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def send_malformed(self, sample: Malformed) -> Outcome:
        self.http.writer.write(sample.data)
        try:
            status, body = await self.http.receive()
            assert 400 <= status < 500, f"{sample.name}: {status} {body!r}"
            # A server may answer and hang up, for instance where it did not read the rest of a body.
            await self.is_paused()
        except EOFError:
            return Outcome.CLOSED
        return Outcome.ANSWERED

    async def ended(self) -> None:
        for http in (self.http, self.polls):
            try:
                while http is not None:
                    await http.receive()
            except EOFError:
                continue

    async def close(self) -> None:
        for http in (self.http, self.polls):
            if http is not None:
                http.writer.close()


ANSWERED = frozenset({Outcome.ANSWERED})
SIGNAL = "/api/workflows/conformance/signal/pause"


class DurableDriver:
    """Knows the durable wire from the client's side."""

    adapter: ClassVar[type[DurableAdapter]] = DurableAdapter
    tells_all: ClassVar[bool] = True
    cuts_the_slow: ClassVar[bool] = False
    clients_share_limits: ClassVar[bool] = True
    malformed: ClassVar[tuple[Malformed, ...]] = (
        Malformed("not HTTP", b"\x16\x03\x01 hello\r\n\r\n"),
        Malformed("a header without end", b"GET / HTTP/1.1\r\nHost: " + b"x" * 100_000 + b"\r\n\r\n"),
        Malformed("no JSON", request("POST", SIGNAL, b"{"), ANSWERED),
        Malformed("JSON that is no object", request("POST", "/api/workflows", b'"text"'), ANSWERED),
        Malformed("not UTF-8", request("POST", SIGNAL, b'{"reason":"\xff"}'), ANSWERED),
        Malformed("deep nesting", request("POST", SIGNAL, b'{"input":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
        Malformed("NaN", request("POST", "/api/workflows", b'{"workflow_type":"x","memo":{"a":NaN}}'), ANSWERED),
        Malformed("a wrong type", request("POST", "/api/workflows", b'{"workflow_type":{"a":1},"task_queue":7}'), ANSWERED),
        Malformed("an id that climbs", request("POST", "/api/workflows/..%2F..%2Fetc/signal/pause", b"{}"), ANSWERED),
        Malformed("an unknown route", request("POST", "/api/__class__", b"{}"), ANSWERED),
        Malformed("another version", request("POST", SIGNAL, b"{}", version="9"), ANSWERED),
        Malformed("another kind of body", request("POST", SIGNAL, b"a=b", kind="application/x-www-form-urlencoded"), ANSWERED),
        Malformed("a foreign host", request("GET", "/api/workflows").replace(b"127.0.0.1", b"evil.test"), ANSWERED),
        Malformed("a foreign origin", request("GET", "/api/workflows").replace(b"Host:", b"Origin: http://evil.test\r\nHost:"), ANSWERED),
        Malformed("a body over the limit", request("POST", SIGNAL, b'"' + b"x" * 70_000 + b'"')),
    )

    def settings(self, directory: Path) -> Mapping[str, Any]:
        return {"port": free_port(), "max_body_bytes": 65_536, "long_poll_s": 2.0}

    async def connect(self, house: House, workflow_id: str) -> DurableClient:
        port = house.settings.adapter("durable").port
        return DurableClient(await Http.open(port), port, workflow_id)
