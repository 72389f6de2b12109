"""HTTP itself: what arrives in pieces, together, too slowly, too large, or never whole; and what leaves."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triplane_durable.http import HttpRequest, HttpResponse, HttpServer
from triplane_durable.http.bodies import BadBody, Body, BodyTooLarge

HOST = b"Host: localhost\r\n"
TOO_MUCH = gzip.compress(b"x" * 10_001, mtime=0)  # the same in every process that collects the tests


async def echo(request: HttpRequest) -> HttpResponse:
    """What was understood of a request."""
    said = f"{request.method} {request.target}?{request.query} {len(request.body)}".encode()
    return HttpResponse(200, said + b" " + request.body[:200], {"X-Seen": request.headers.get("x-seen", "-")})


def refuse(status: int, said: str) -> HttpResponse:
    return HttpResponse(status, said.encode())


@asynccontextmanager
async def serving(handler: Callable[[HttpRequest], Awaitable[HttpResponse]] = echo, **options: Any) -> AsyncIterator[HttpServer]:
    server = HttpServer(handler, refuse, options.pop("max_body", 10_000), **options)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        await server.stop(1)


class Client:
    """A client that writes bytes and reads answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, server: HttpServer) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        first, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), 5) if has_body else b""
        return int(first.split()[1]), headers, body

    async def ended(self) -> bytes:
        """What still comes before the server closes."""
        try:
            return await asyncio.wait_for(self.reader.read(), 5)
        except ConnectionResetError:
            return b""


async def test_a_connection_is_kept_and_requests_may_come_in_pieces():
    async with serving() as server:
        client = await Client.of(server)
        for number in range(3):
            for piece in (b"POST /a", b"%20b?c=1 HTT", b"P/1.1\r\nHo", b"st: x\r\nX-Seen: yes\r\nContent-Length: 4\r\n\r", b"\nab", b"cd"):
                client.send(piece)
                await asyncio.sleep(0)
            status, headers, body = await client.answer()
            assert (status, body, headers["x-seen"]) == (200, b"POST /a%20b?c=1 4 abcd", "yes"), number
            assert headers["content-type"] == "application/json" and "connection" not in headers


async def test_requests_sent_together_are_answered_in_order_one_at_a_time():
    busy, most = 0, 0

    async def slow(request: HttpRequest) -> HttpResponse:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1
        return await echo(request)

    async with serving(slow) as server:
        client = await Client.of(server)
        client.send(b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, HOST) for number in range(200)))
        for number in range(200):
            assert (await client.answer())[2].startswith(b"GET /%d?" % number)
        assert most == 1


@pytest.mark.parametrize("close", [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"])
async def test_a_client_that_wants_the_connection_closed_gets_that(close):
    async with serving() as server:
        client = await Client.of(server)
        client.send(close)
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close") and await client.ended() == b""


async def test_head_has_the_length_of_get_and_no_body():
    async with serving() as server:
        client = await Client.of(server)
        client.send(b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n")
        status, headers, _ = await client.answer(has_body=False)
        assert (status, headers["content-length"]) == (200, str(len(b"HEAD /? 0 ")))
        assert (await client.answer())[2] == b"GET /? 0 "


async def test_chunked_and_packed_bodies_are_whole_for_the_handler():
    async with serving() as server:
        client = await Client.of(server)
        chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Seen: trailer\r\n\r\n"
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        status, headers, body = await client.answer()
        assert (status, body, headers["x-seen"]) == (200, b"POST /? 5 abcde", "-")
        for encoding, packed in (("gzip", gzip.compress(b"hello")), ("deflate", zlib.compress(b"hello"))):
            head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n\r\n"
            client.send(head.encode() + packed)
            assert (await client.answer())[2] == b"POST /? 5 hello"


async def test_a_client_that_asks_first_is_told_to_go_on():
    async with serving() as server:
        client = await Client.of(server)
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ab")
        assert (await client.answer())[2] == b"POST /? 2 ab"
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: miracles\r\nContent-Length: 2\r\n\r\n")
        assert (await client.answer())[0] == 417


async def test_another_protocol_is_not_taken_up_and_the_request_answered():
    async with serving() as server:
        client = await Client.of(server)
        client.send(b"GET /up HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n")
        assert (await client.answer())[2] == b"GET /up? 0 "
        assert await client.ended() == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"Content-Length: 10001\r\n\r\n", 413),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"7d0\r\n" + b"x" * 2000 + b"\r\n" + (b"7d0\r\n" + b"x" * 2000 + b"\r\n") * 5, 413),
        (b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(TOO_MUCH), TOO_MUCH), 413),
        (b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"Content-Encoding: br\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
        (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"Host: other\r\n\r\n", 400),
        (b"".join(b"X-%d: 1\r\n" % number for number in range(101)) + b"\r\n", 400),
        (b"X: " + b"y" * 16_385 + b"\r\n\r\n", 400),
        (b"X: a\x00b\r\n\r\n", 400),
        (b"X : spaced\r\n\r\n", 400),
        (b" folded\r\n\r\n", 400),
    ],
)  # fmt: skip
async def test_what_cannot_be_taken_is_refused_and_the_connection_ended(sent, status):
    async with serving() as server:
        client = await Client.of(server)
        client.send(b"POST / HTTP/1.1\r\n" + HOST + sent)
        assert (await client.answer())[0] == status
        assert await client.ended() == b""
        other = await Client.of(server)
        other.send(b"GET /still HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await other.answer())[0] == 200


async def test_a_refusal_reaches_a_client_that_is_still_sending():
    async with serving() as server:
        client = await Client.of(server)
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3000000\r\n\r\n" + b"x" * 1_000_000)
        assert (await client.answer())[0] == 413


async def test_a_refusal_waits_for_the_answers_before_it():
    gate = asyncio.Event()

    async def gated(request: HttpRequest) -> HttpResponse:
        await gate.wait()
        return await echo(request)

    async with serving(gated) as server:
        client = await Client.of(server)
        client.send(b"GET /first HTTP/1.1\r\n" + HOST + b"\r\nNONSENSE\r\n\r\n")
        await asyncio.sleep(0.05)
        gate.set()
        assert (await client.answer())[2] == b"GET /first? 0 "
        assert (await client.answer())[0] == 400


async def test_a_handler_that_fails_is_an_answer_too(caplog):
    async def failing(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("no")

    async with serving(failing) as server:
        client = await Client.of(server)
        for _ in range(2):
            client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.answer())[0] == 500
    assert "request_failed" in caplog.text


async def test_who_hangs_up_has_its_request_cancelled():
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def waiting(request: HttpRequest) -> HttpResponse:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    async with serving(waiting) as server:
        client = await Client.of(server)
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await asyncio.wait_for(began.wait(), 5)
        client.writer.close()
        await asyncio.wait_for(cancelled.wait(), 5)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"],
    ids=["silent", "half a head", "half a body"],
)  # fmt: skip
async def test_who_says_nothing_or_half_is_not_waited_for_for_ever(sent):
    async with serving(idle_s=0.1, receive_s=0.1, sweep_s=0.02) as server:
        client = await Client.of(server)
        client.send(sent)
        assert await client.ended() == b""


async def test_a_long_answer_in_the_making_is_no_silence():
    async def slow(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0.4)
        return await echo(request)

    async with serving(slow, idle_s=0.1, receive_s=0.1, sweep_s=0.02) as server:
        client = await Client.of(server)
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.answer())[0] == 200


async def test_who_does_not_read_is_cut_and_keeps_nothing():
    async def much(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, b"x" * 4_000_000)

    async with serving(much, receive_s=0.2, sweep_s=0.05) as server:
        loop = asyncio.get_running_loop()
        deaf = socket.create_connection(("127.0.0.1", server.port))
        deaf.setblocking(False)
        await loop.sock_sendall(deaf, (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 10)
        async with asyncio.timeout(5):
            while not server.connections:
                await asyncio.sleep(0.01)
            while server.connections:
                await asyncio.sleep(0.01)
        deaf.close()


async def test_connections_over_the_limit_are_told_so():
    async with serving(max_connections=2) as server:
        kept = [await Client.of(server) for _ in range(2)]
        for client in kept:
            client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.answer())[0] == 200
        third = await Client.of(server)
        assert (await third.answer())[0] == 503 and await third.ended() == b""


async def test_stopping_answers_what_is_in_hand_and_closes_the_rest():
    gate = asyncio.Event()

    async def gated(request: HttpRequest) -> HttpResponse:
        await gate.wait()
        return await echo(request)

    async with serving(gated) as server:
        idle, busy = await Client.of(server), await Client.of(server)
        busy.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await asyncio.sleep(0.05)
        stopping = asyncio.ensure_future(server.stop(5))
        assert await idle.ended() == b""
        gate.set()
        status, headers, _ = await busy.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await stopping and not server.connections
    async with serving(gated) as server:
        gate.clear()
        late = await Client.of(server)
        late.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await asyncio.sleep(0.05)
        assert not await server.stop(0.1), "it says that somebody was cut"


@given(st.binary(max_size=300), st.integers(1, 50))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_it_fail(data, piece):
    async def run() -> None:
        async with serving() as server:
            client = await Client.of(server)
            for at in range(0, len(data), piece):
                client.send(data[at : at + piece])
                await asyncio.sleep(0)
            client.writer.write_eof()
            await client.ended()
            other = await Client.of(server)
            other.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await other.answer())[0] == 200
            other.writer.close()
            client.writer.close()

    asyncio.run(run())


def test_a_body_is_unpacked_within_its_limit_and_only_if_whole():
    body = Body(1_000)
    body.add(gzip.compress(b"x" * 1_000))
    assert body.whole("gzip") == b"x" * 1_000
    for data, error in (
        (gzip.compress(b"x" * 1_001, mtime=0), BodyTooLarge),
        (gzip.compress(b"x", mtime=0)[:-1], BadBody),
        (gzip.compress(b"x", mtime=0) + b"y", BadBody),
    ):  # fmt: skip
        body = Body(1_000)
        body.add(data)
        with pytest.raises(error):
            body.whole("gzip")
