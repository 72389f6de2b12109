"""Connections that break: who comes back with `?resume=` gets what was missed, once, and nobody else does."""

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets

from triplane.auth import Authenticator, Role, TokenEntry
from triplane_cyclus.resuming import Replay
from unit.cyclus.served import WebsocketClient, served

SLOW = {"duration": 100_000, "pace_s": 0.01}


@asynccontextmanager
async def resumable(wire: Any, query: str = "resume=new", path: str = "/", **options: Any) -> Any:
    """A client and its `session` frame."""
    async with wire.client(f"{path}?{query}", **options) as client:
        yield client, await client.until("session")


def tear(client: WebsocketClient) -> None:
    """The network fails: no goodbye."""
    client.socket.transport.abort()


async def test_what_was_missed_is_sent_again_once_and_in_order(tmp_path):
    async with served(tmp_path) as wire, wire.client() as other:
        async with resumable(wire) as (client, session):
            assert session["params"] | {"session": ""} == {"session": "", "seq": 0, "resumed": False}
            await client.ask("load", input=SLOW, paused=True)
            last = await client.ask("echo", s="read")
            assert last["seq"] == 2
            tear(client)
        await other.until("loaded")
        for number in range(20):
            await other.ask("register_tables", tables=[f"T{number:02}"])
        name = session["params"]["session"]
        async with resumable(wire, f"resume={name}&after=1") as (client, again):
            assert again["params"] == {"session": name, "seq": 1, "resumed": True}
            frames = [await client.next() for _ in range(21)]
            assert frames[0] == last and [frame["seq"] for frame in frames] == list(range(2, 23))
            assert [len(frame["data"]) for frame in frames[1:]] == list(range(1, 21))
            assert await client.silent()


async def test_requests_go_on_while_their_asker_is_away(tmp_path):
    async with served(tmp_path) as wire:
        async with resumable(wire) as (client, session):
            await client.send("echo", s="before")
            await client.send("sleep", n=0.2)
            await client.send("echo", s="after")
            assert (await client.next())["data"] == "before"
            tear(client)
        await asyncio.sleep(0.3)
        async with resumable(wire, f"resume={session['params']['session']}&after=1") as (client, _):
            assert (await client.next()) | {"params": {}} == {"event": "echo", "params": {}, "data": "after", "seq": 2}


async def test_heartbeats_are_never_numbered_nor_kept(tmp_path):
    async with served(tmp_path, heartbeat_s=0.02) as wire:
        async with resumable(wire) as (client, session):
            assert json.loads(await client.raw(heartbeats=True)) == {"event": "heartbeat", "data": 0.02}
            tear(client)
        await asyncio.sleep(0.2)
        async with wire.client(f"/?resume={session['params']['session']}&after=0") as client:
            assert json.loads(await client.raw(heartbeats=True))["event"] == "session"
            assert json.loads(await client.raw(heartbeats=True))["event"] == "heartbeat"
            assert await client.silent()


async def test_what_is_not_kept_any_more_is_announced_as_a_gap(tmp_path):
    async with served(tmp_path, resume_messages=5) as wire:
        async with resumable(wire) as (client, session):
            for number in range(12):
                await client.ask("echo", s=number)
            tear(client)
        async with resumable(wire, f"resume={session['params']['session']}&after=3") as (client, _):
            assert await client.next() == {"event": "gap", "params": {"after": 3, "until": 7}, "data": None}
            assert [(await client.next())["seq"] for _ in range(5)] == [8, 9, 10, 11, 12]


@pytest.mark.parametrize("away", ["too long", "said goodbye", "never here", "from the future"])
async def test_who_cannot_be_resumed_is_told_and_gets_a_new_session(tmp_path, away):
    async with served(tmp_path, resume_s=0.05 if away == "too long" else 30.0) as wire:
        async with resumable(wire) as (client, session):
            await client.ask("echo", s=1)
            if away != "said goodbye":
                tear(client)
        await wire.home.until(lambda: away in ("never here", "from the future") or not wire.adapter._listener._resumables)
        name = "nobody" if away == "never here" else session["params"]["session"]
        after = 77 if away == "from the future" else 0
        async with resumable(wire, f"resume={name}&after={after}") as (client, again):
            assert again["params"]["resumed"] is False and again["params"]["session"] not in (name, "")
            assert (await client.ask("echo", s=2))["seq"] == 1


async def test_a_second_connection_takes_over_from_the_first(tmp_path):
    async with served(tmp_path) as wire, resumable(wire) as (first, session):
        await first.ask("echo", s=1)
        async with resumable(wire, f"resume={session['params']['session']}&after=1") as (second, again):
            assert again["params"]["resumed"] is True
            assert await first.closed() == (1008, "resumed on another connection")
            assert (await second.ask("echo", s=2))["seq"] == 2
            async with resumable(wire, f"resume={session['params']['session']}&after=0") as (third, _):
                assert [(await third.next())["data"] for _ in range(2)] == [1, 2]
                assert (await second.closed())[0] == 1008


async def test_many_that_come_back_at_once_end_with_one_that_reads(tmp_path):
    async with served(tmp_path) as wire, resumable(wire) as (first, session):
        await first.ask("echo", s=1)
        address = f"{wire.address}/?resume={session['params']['session']}&after=1"
        sockets = await asyncio.gather(*(websockets.connect(address) for _ in range(8)))
        async with resumable(wire, f"resume={session['params']['session']}&after=1") as (last, again):
            assert again["params"]["resumed"] is True
            assert (await last.ask("echo", s=2))["seq"] == 2
            for socket in sockets:
                assert (await WebsocketClient(socket).closed())[0] == 1008


async def test_a_session_is_its_principal_s_and_its_run_s_alone(tmp_path):
    tokens = [TokenEntry(name, hashlib.sha256(name.encode()).digest(), frozenset({Role.OPERATOR})) for name in ("a", "b")]
    as_a, as_b = ({"additional_headers": {"Authorization": f"Bearer {name}"}} for name in ("a", "b"))
    async with served(tmp_path, authenticator=Authenticator(tokens)) as wire:
        async with resumable(wire, **as_a) as (client, session):
            await client.ask("echo", s=1)
            tear(client)
        name = session["params"]["session"]
        for path, options in [("/", as_b), ("/runs/other", as_a)]:
            async with resumable(wire, f"resume={name}&after=0", path, **options) as (_, again):
                assert again["params"]["resumed"] is False
        async with resumable(wire, f"resume={name}&after=0", **as_a) as (client, again):
            assert again["params"]["resumed"] is True and (await client.next())["data"] == 1


async def test_no_more_than_allowed_wait_and_the_oldest_goes_first(tmp_path):
    async with served(tmp_path, resume_sessions=2) as wire:
        names = []
        for _ in range(3):
            async with resumable(wire) as (client, session):
                names.append(session["params"]["session"])
                tear(client)
            await wire.home.until(lambda: not wire.adapter._listener._visits)
        seen = []
        for name in names[1:] + names[:1]:
            async with resumable(wire, f"resume={name}&after=0") as (_, session):
                seen.append(session["params"]["resumed"])
        assert seen == [True, True, False]
        async with resumable(wire), resumable(wire), wire.client("/?resume=new") as third:
            refused = await third.next()
            assert refused["params"] == {"event": None, "code": "limit_reached"}
            assert "seq" not in await third.ask("echo", s=1)


async def test_who_is_away_while_too_much_is_said_is_given_up(tmp_path):
    async with served(tmp_path, resume_bytes=1_024) as wire, wire.client() as other:
        async with resumable(wire) as (client, session):
            await other.ask("load", input=SLOW, paused=True)
            await client.until("loaded")
            tear(client)
        await wire.home.until(lambda: len(wire.adapter._listener._visits) == 1)
        await other.ask("register_tables", tables=[f"a rather long name of a table {number}" for number in range(100)])
        await other.ask("register_tables", tables=["another"])
        assert not wire.adapter._listener._resumables
        async with resumable(wire, f"resume={session['params']['session']}&after=0") as (_, again):
            assert again["params"]["resumed"] is False


async def test_who_asks_for_nothing_gets_no_number(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        assert list(await client.ask("echo", s=1)) == ["event", "params", "data"]


def test_a_replay_keeps_the_newest_within_both_bounds():
    replay = Replay(3, 120)
    for number in range(10):
        replay.number(f'{{"event":"{number}"}}')
    assert [json.loads(text)["seq"] for text in replay.after(0)] == [8, 9, 10] and replay.lost_after(2) == 7
    replay.number('{"event":"' + "x" * 500 + '"}')
    assert [json.loads(text)["seq"] for text in replay.after(0)] == [11] and replay.lost_after(11) == 11
