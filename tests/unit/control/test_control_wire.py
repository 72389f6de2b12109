"""The control wire: any frame, however wrong, gets an answer in its form, and its neighbours are unharmed."""

import asyncio
import os
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplane.auth import SocketOwner
from triplane.commands import ALL_COMMANDS
from triplane.errors import ALL_ERRORS, GatewayError
from triplane.queries import ALL_QUERIES
from triplane.testing.driver import Driver
from triplane.testing.house import House
from triplane_control import ControlAdapter
from triplane_control.frames import LENGTH, MAX_FRAME_BYTES, MAX_START_FRAME_BYTES, Decoder, FrameError, encode
from triplane_control.rendezvous import short_path
from triplane_control.session import Ask, Dispatch, Follow, Refuse, Unfollow, error_map, receive

REQUESTS = {request.name: request for request in (*ALL_COMMANDS, *ALL_QUERIES)}


class ControlDriver(Driver):
    adapter = ControlAdapter

    def settings(self, directory: Path) -> dict[str, Any]:
        return {"max_follows": 2}


class RawClient:
    """Bytes in, messages out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._decoder = Decoder(limit=1 << 26)
        self._waiting: list[Any] = []

    @classmethod
    async def connect(cls, house: House) -> "RawClient":
        with short_path(house.directory / "data" / "control.sock") as path:
            return cls(*await asyncio.open_unix_connection(path))

    async def send(self, message: dict[str, Any]) -> None:
        self.writer.write(encode(message))
        await self.writer.drain()

    async def receive(self) -> Any:
        """The next message; None where the gateway hung up."""
        async with asyncio.timeout(10):
            while not self._waiting:
                chunk = await self.reader.read(1 << 16)
                if not chunk:
                    return None
                self._waiting.extend(self._decoder.feed(chunk))
            return self._waiting.pop(0)

    async def ask(self, **message: Any) -> Any:
        await self.send(message)
        return await self.receive()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(ControlDriver(), tmp_path) as house:
        yield house


@pytest.fixture
async def client(house: House) -> AsyncIterator[RawClient]:
    client = await RawClient.connect(house)
    yield client
    client.writer.close()


# ---- frames --------------------------------------------------------------------------------------------------------


SMALL = st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)


@given(st.lists(st.dictionaries(st.text(max_size=5), SMALL, max_size=3), max_size=5), st.data())
def test_frames_are_the_same_however_the_stream_is_cut(messages: list[dict[str, Any]], data: st.DataObject) -> None:
    stream = b"".join(encode(message) for message in messages)
    decoder, got = Decoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:size])
        stream = stream[size:]
    assert got == messages


@given(st.binary(max_size=200))
def test_any_bytes_give_messages_or_errors_and_any_message_gives_an_action(noise: bytes) -> None:
    for item in Decoder().feed(LENGTH.pack(len(noise)) + noise):
        assert isinstance(receive(item, REQUESTS), Dispatch | Ask | Follow | Unfollow | Refuse)


def test_only_a_start_may_be_larger_than_two_mebibytes() -> None:
    start = encode({"command": "start_run", "id": 1, "fields": {"source": {"archive": bytes(MAX_FRAME_BYTES)}}})
    (message,) = Decoder().feed(start)
    assert isinstance(message, dict) and message["command"] == "start_run"
    other = encode({"command": "pause_run", "id": 1, "fields": {"x": bytes(MAX_FRAME_BYTES)}})
    decoder = Decoder()
    (error,) = decoder.feed(other)
    assert isinstance(error, FrameError) and error.fatal
    assert decoder.feed(encode({"query": "list_runs", "id": 1})) == []
    (error,) = Decoder().feed(LENGTH.pack(MAX_START_FRAME_BYTES + 1))
    assert isinstance(error, FrameError) and error.fatal


def test_a_frame_nested_too_deep_is_refused() -> None:
    deep: Any = 1
    for _ in range(101):
        deep = [deep]
    (error,) = Decoder().feed(encode({"a": deep}))
    assert isinstance(error, FrameError) and "nested" in str(error)


# ---- the wire ------------------------------------------------------------------------------------------------------

MALFORMED = {
    "not msgpack": b"\xc1",
    "cut short": b"\x81\xa1",
    "empty": b"",
    "a list": msgpack.packb([1]),
    "keys that are not text": msgpack.packb({1: 2}),
    "an extension type": msgpack.packb(msgpack.ExtType(5, b"x")),
    "no id": msgpack.packb({"query": "list_runs"}),
    "an id that is a list": msgpack.packb({"query": "list_runs", "id": [1]}),
    "no verb": msgpack.packb({"id": 1}),
    "two verbs": msgpack.packb({"id": 1, "query": "list_runs", "command": "pause_run"}),
    "an unknown key": msgpack.packb({"id": 1, "query": "list_runs", "colour": "red"}),
    "an unknown command": msgpack.packb({"id": 1, "command": "explode"}),
    "a query as a command": msgpack.packb({"id": 1, "command": "list_runs"}),
    "a verb of the wrong type": msgpack.packb({"id": 1, "command": {"a": 1}}),
    "fields of the wrong type": msgpack.packb({"id": 1, "query": "list_runs", "fields": 7}),
    "an id that climbs": msgpack.packb({"id": 1, "query": "describe_run", "fields": {"workflow_id": "../../etc"}}),
    "an unfollow of nothing": msgpack.packb({"id": 1, "unfollow": 99}),
    "a follow of the wrong type": msgpack.packb({"id": 1, "follow": {"cursor": -1}}),
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_a_malformed_frame_is_answered_and_the_next_request_too(house: House, client: RawClient, what: str) -> None:
    neighbour = await RawClient.connect(house)
    body = MALFORMED[what]
    client.writer.write(LENGTH.pack(len(body)) + body)
    reply = await client.receive()
    assert set(reply["error"]) == {"code", "message", "retryable", "details"}
    assert reply["error"]["code"] != "internal"
    for each in (client, neighbour):
        assert (await each.ask(query="list_runs", id=2))["ok"]["runs"]


async def test_a_frame_over_the_limit_ends_that_connection_alone(house: House, client: RawClient) -> None:
    neighbour = await RawClient.connect(house)
    client.writer.write(struct.pack(">I", 0xFFFFFFFF))
    assert (await client.receive())["error"]["code"] == "refused_input"
    assert await client.receive() is None
    assert "ok" in await neighbour.ask(query="list_runs", id=1)


async def test_every_wrong_field_is_named(client: RawClient) -> None:
    fields = {"workflow_id": "a b", "mode": "softly"}
    reply = await client.ask(command="stop_run", id=1, fields=fields)
    assert reply["error"]["code"] == "invalid_fields"
    assert set(reply["error"]["details"]["errors"]) == {"workflow_id", "mode"}


async def test_a_system_command_is_refused_even_to_the_owner(client: RawClient) -> None:
    reply = await client.ask(command="fire_timer", id=1, fields={"workflow_id": "conformance", "timer_id": "t"})
    assert reply["error"]["code"] == "not_allowed"


async def test_a_command_takes_effect_and_a_follower_sees_it(house: House, client: RawClient) -> None:
    follower = await RawClient.connect(house)
    begun = await follower.ask(follow={"workflow_id": "conformance"}, id="s")
    assert begun["ok"]["cursor"] >= 1
    assert (await client.ask(command="pause_run", id=1, fields={"workflow_id": "conformance"}))["ok"]["paused"] is True
    delta = (await follower.receive())["delta"]
    assert delta["run"]["paused"] is True and "data" not in delta["run"]
    assert (await follower.ask(unfollow="s", id=2)) in ({"id": 2, "ok": None}, {"id": "s", "end": None})


async def test_the_same_request_id_takes_effect_once(client: RawClient) -> None:
    fields = {"workflow_id": "conformance", "request_id": "r1"}
    first = await client.ask(command="pause_run", id=1, fields=fields)
    second = await client.ask(command="pause_run", id=2, fields=fields)
    assert first["ok"]["paused"] is True and second["ok"] == {**first["ok"], **second["ok"]}
    other = await client.ask(command="resume_run", id=3, fields=fields)
    assert other["error"]["code"] == "request_id_reused"


async def test_streams_are_bounded_and_ids_of_open_ones_are_not_reused(client: RawClient) -> None:
    assert "ok" in await client.ask(follow={}, id=1)
    assert (await client.ask(follow={}, id=1))["error"]["code"] == "conflict"
    assert "ok" in await client.ask(follow={}, id=2)
    assert (await client.ask(follow={}, id=3))["error"]["code"] == "limit_reached"


async def test_the_socket_is_the_owners_alone_and_a_stale_one_is_replaced(house: House) -> None:
    path = house.directory / "data" / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await house.stop_adapter(deadline=1.0)
    assert not path.exists()
    path.write_bytes(b"left behind")
    await house.start_adapter()
    assert "ok" in await (await RawClient.connect(house)).ask(query="list_runs", id=1)


async def test_another_users_process_is_refused(house: House, client: RawClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.gateway.authenticator, "_owner_uid", os.getuid() + 1)
    monkeypatch.setattr("triplane_control.listener.SocketOwner", lambda uid: SocketOwner(uid + 4_000))
    stranger = await RawClient.connect(house)
    assert (await stranger.receive())["error"]["code"] == "unauthenticated"
    assert await stranger.receive() is None
    assert "ok" in await client.ask(query="list_runs", id=1)


async def test_a_stop_ends_streams_with_a_reason_and_removes_the_socket(house: House, client: RawClient) -> None:
    assert "ok" in await client.ask(follow={}, id="s")
    await house.stop_adapter(deadline=5.0)
    end = await client.receive()
    assert end["end"]["code"] == "shutting_down"
    assert await client.receive() is None
    assert not (house.directory / "data" / "control.sock").exists()


def test_every_error_has_this_wires_spelling() -> None:
    for kind in ALL_ERRORS:
        error = kind.__new__(kind)
        GatewayError.__init__(error, "what happened", tasks=("1/a",))
        assert error_map(error) == {
            "code": kind.code, "message": "what happened", "retryable": kind.retryable, "details": {"tasks": ["1/a"]},
        }  # fmt: skip
