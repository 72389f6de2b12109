"""The websocket load counts what it says it counts."""

import asyncio

import pytest

from bench.harness import Sample
from bench.idle_clients import WEBSOCKET, Idle
from bench.websocket_clients import Asking, frame, frame_bytes
from bench.websockets_load import FAN_ECHO, PER_STEP, Comparison, Steps, _last_size
from triplane_cyclus.frames import decode, encode


@pytest.mark.parametrize("length", [1, 125, 126, 65_535])
def test_a_clients_frame_says_its_length_in_the_form_for_it(length: int) -> None:
    sent = frame("x" * length)
    head = len(sent) - length
    assert head == (6 if length < 126 else 8)
    unmasked = bytes([sent[0], sent[1] & 0x7F]) + sent[2 : head - 4] + sent[head:]
    assert len(unmasked) < 10 or frame_bytes(unmasked) == len(unmasked)


def test_the_length_of_a_servers_frame_is_read_from_its_head() -> None:
    assert frame_bytes(b"\x81\x7f" + (70_000).to_bytes(8, "big")) == 70_010
    assert frame_bytes(b"\x81\x7e\x01\x00" + b"......") == 260
    assert frame_bytes(b"\x81\x05") is None


def test_the_floor_fans_out_the_very_frame_that_the_gateway_does() -> None:
    message = decode(FAN_ECHO, 100)
    s = message.params["s"]
    assert len(encode("echo", {"s": s}, s)) - len(FAN_ECHO) in range(8), "but for the spaces between its parts"
    assert 190 <= len(FAN_ECHO) <= 215 and PER_STEP // 1_000 >= 1


async def test_the_frames_that_repeat_are_told_from_those_before() -> None:
    client = Asking("/")
    client.head = b"\x81\x7e\x01\x00" + b"s" * 256 + b"\x81\x0a" + b"e" * 10 + b"\x81\x0a" + b"e" * 5
    assert _last_size(client) == 12


async def test_an_answer_counts_once_it_is_whole_and_is_followed_by_the_next_request() -> None:
    class Transport:
        def __init__(self) -> None:
            self.sent: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.sent.append(data)

    client, transport = Asking("/"), Transport()
    client.transport = transport  # type: ignore[assignment]
    client.begin("hello", 20)
    client.data_received(b"x" * 19)
    assert client.latencies == [] and len(transport.sent) == 1
    client.data_received(b"x")
    assert len(client.latencies) == 1 and transport.sent == [frame("hello")] * 2
    await asyncio.sleep(0)


def test_memory_is_compared_per_repetition() -> None:
    figures = iter([16.0, 10.0, 14.0, 10.0])
    row = Idle(WEBSOCKET, lambda: next(figures), lambda: next(figures)).run(5)[0]
    assert (row.found, row.reached) == ("1.50", True)


def test_steps_are_also_held_against_the_original() -> None:
    comparison = Comparison("steps", 1, "rate", 0.5, lambda: Sample(2_000.0, 1, 1, 1), lambda: Sample(910.0, 1, 1, 1))
    floor, original = Steps(comparison).run(2)
    assert floor is comparison and original.found == "5.0" and original.reached is False
