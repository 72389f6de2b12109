"""Frames leave whole and in order, whether the socket takes them at once or they have to wait."""

import asyncio

import pytest

from triplane_cyclus.framing import Announcement
from unit.cyclus.served import served

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


def test_an_announcement_is_framed_once_for_all_who_are_told():
    announcement = Announcement([("one", None), ("two", "table")])
    assert announcement.frames == b"\x81\x03one\x81\x03two"
    assert announcement.frames is announcement.frames


async def test_what_one_step_says_arrives_in_the_order_of_its_actions_for_all_who_watch(tmp_path):
    actions = [("echo", {"s": "first"}), ("table_names_request", {}), ("echo", {"s": "last"})]
    async with (
        served(tmp_path / "data", repeating_actions=actions) as wire,
        wire.client(compression=None) as plain,
        wire.client(compression="deflate") as compressed,
        wire.client("/?resume=", compression=None) as resumable,
    ):
        await resumable.next()  # its session
        await plain.send("load", input={"duration": 3})
        for client in (plain, compressed, resumable):
            said = [await client.next() for _ in range(9)]
            repeated = [frame["data"] if frame["event"] == "echo" else frame["event"] for frame in said if frame["event"] != "loaded"]
            assert repeated[:6] == ["first", "table_names", "last"] * 2
