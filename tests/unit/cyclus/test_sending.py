"""Frames leave whole and in order, whether the socket takes them at once or they have to wait."""

import asyncio
import json

import pytest

from triplane_cyclus.framing import MOST_KEPT, Framer
from unit.cyclus.served import served

FRAMING = {"event": "echo", "params": {"s": ""}, "data": ""}
LENGTHS = (0, 1, 20, 100, 125, 126, 30_000, 70_000)


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_texts_of_every_length_arrive_whole(tmp_path, compression):
    async with served(tmp_path / "data") as wire, wire.client(compression=compression, max_size=None) as client:
        for length in LENGTHS:
            text = "é" * length
            assert (await client.ask("echo", s=text))["data"] == text


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_what_waits_for_a_client_that_reads_late_comes_before_what_is_said_later(tmp_path, compression):
    texts = [f"{number} " + "x" * 20_000 for number in range(300)]
    async with served(tmp_path / "data") as wire, wire.client(compression=compression, max_queue=2) as client:
        for text in texts:
            await client.send("echo", s=text)
        await asyncio.sleep(0.2)  # it reads nothing meanwhile, so the socket fills
        said = [(await client.next())["data"] for _ in texts]
        assert said == texts
        assert (await client.ask("echo", s="after"))["data"] == "after"


def test_a_frame_is_made_once_for_all_who_are_told_the_same():
    framer, text = Framer(), json.dumps(FRAMING)
    first = framer.frame(text)
    assert framer.frame(text) is first
    assert framer.frame(text + " ") != first
    large = "x" * MOST_KEPT
    assert framer.frame(large) is not framer.frame(large), "what is large is not kept"
