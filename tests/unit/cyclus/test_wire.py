"""The wire over real sockets: who gets what, in which order, and what happens to those who misbehave."""

import asyncio
import hashlib
import json
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
import websockets

from triplane.adapter import AdapterError
from triplane.auth import Authenticator, Role, TokenEntry
from triplane.commands import StartRun, StopMode, StopRun
from triplane_cyclus import CyclusAdapter, tabledata
from triplane_cyclus.config import CyclusConfig
from unit.cyclus.served import served
from unit.simulation.harness import house

SLOW = {"duration": 100_000, "pace_s": 0.01}


async def test_a_first_heartbeat_comes_at_once_and_others_follow(tmp_path):
    async with served(tmp_path, heartbeat_s=0.1) as wire, wire.client() as client:
        assert [await client.raw(heartbeats=True) for _ in range(3)] == ['{"event": "heartbeat", "data": 0.1}'] * 3


@pytest.mark.parametrize("sent", [b"\0\1\2\r\n\r\n", b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"])
async def test_bytes_that_are_no_http_are_refused_without_an_error_in_the_log(tmp_path, caplog, sent):
    async with served(tmp_path) as wire, wire.client() as neighbour:
        address = urlsplit(wire.address)
        reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(4_096), 5)
        writer.close()
        assert b" 400 " in answer.splitlines()[0] and b"this is not a request that can be read" in answer
        assert not [record for record in caplog.records if record.levelname == "ERROR"]
        assert (await neighbour.ask("table_names_request"))["event"] == "table_names"


async def test_load_runs_the_simulation_to_its_end(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        assert await client.ask("load") == {"event": "loaded", "params": {"status": "ok"}, "data": None}
        await wire.home.until(lambda: not wire.home.view("cyclus-default").run.is_open)
        finish = await client.ask("table_data", table="Finish", orient="records")
        assert finish["data"][0]["EndTime"] == 120


async def test_a_load_that_fails_says_so_and_the_next_one_starts_afresh(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        refused = await client.ask("load", input={"duration": -1})
        assert refused["params"] == {"status": "error"} and "duration: -1" in refused["error"]
        unknown = await client.ask("load", input="no_such_simulation")
        assert unknown["params"] == {"status": "error"} and "no simulation 'no_such_simulation'" in unknown["error"]
        assert (await client.ask("load", input=SLOW))["params"] == {"status": "ok"}
        second = await client.ask("load")
        assert second["params"] == {"status": "error"} and "is running already" in second["error"]


async def test_replies_go_to_the_asker_and_announcements_to_all(tmp_path):
    async with served(tmp_path) as wire, wire.client() as asker, wire.client("/any/path?x=1") as other:
        assert (await asker.ask("load", 1, input=SLOW, paused=True))["id"] == 1
        assert (await other.next()) == {"event": "loaded", "params": {"status": "ok"}, "data": None}
        assert (await asker.ask("register_tables", 2, tables="Flows")) == {
            "event": "registry", "params": None, "data": ["Flows"], "id": 2, "success": True,
        }  # fmt: skip
        assert (await other.next())["data"] == ["Flows"]
        assert await asker.silent() and await other.silent()


async def test_an_announcement_reaches_fifty_watchers_and_an_answer_only_its_asker(tmp_path):
    async with served(tmp_path) as wire, AsyncExitStack() as stack:
        asker = await stack.enter_async_context(wire.client())
        watchers = [await stack.enter_async_context(wire.client()) for _ in range(50)]
        await asker.ask("load", input={"duration": 5}, paused=True)
        await asker.ask("set_repeating_actions", actions=[["echo", {"s": "step"}], ["table_data", {"table": "Finish"}]])
        assert (await asker.ask("table_data", table="Info"))["event"] == "table_data"
        await asker.send("unpause")
        for watcher in watchers:
            frames = [await watcher.next() for _ in range(11)]
            assert [frame["event"] for frame in frames] == ["loaded", *["echo", "table_data"] * 5]
            assert frames[-1]["data"]["index"] == [0]


async def test_two_askers_at_once_each_see_both_changes(tmp_path):
    async with served(tmp_path) as wire, wire.client() as one, wire.client() as two:
        await one.ask("load", input=SLOW, paused=True)
        await two.next()
        await asyncio.gather(one.send("register_tables", tables=["A"]), two.send("register_tables", tables=["B"]))
        for client in (one, two):
            assert [set((await client.next())["data"]) <= {"A", "B"} for _ in range(2)] == [True, True]
            assert await client.silent()


async def test_replies_keep_the_order_of_their_requests(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        await client.ask("load", input=SLOW, paused=True)
        expected = []
        for number in range(50):
            await client.send("echo", s=number)
            await client.send("register_tables", tables=[f"T{number:02}"])
            await client.send("registry_request")
            await client.send("table_data", table="Info")
            registered = [f"T{n:02}" for n in range(number + 1)]
            expected += [("echo", number), ("registry", registered), ("registry", registered), ("table_data", None)]
        for event, data in expected:
            frame = await client.next()
            assert (frame["event"], frame["data"] if data is not None else None) == (event, data)


async def test_a_pause_holds_the_run_and_nobody_s_requests(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        await client.ask("load", input=SLOW)
        assert (await client.ask("pause", 1))["success"] is True
        first = await client.ask("table_data", table="Tasks")
        assert (await client.ask("table_data", table="Tasks")) == first or "running" in json.dumps(first)
        await client.send("pause")
        assert (await client.ask("unpause", 2))["id"] == 2
        await wire.home.until(lambda: "waiting" not in {t.state for t in wire.home.view("cyclus-default").tasks.values()})


async def test_a_sleep_holds_back_its_own_client_alone(tmp_path):
    async with served(tmp_path) as wire, wire.client() as sleeper, wire.client() as other:
        await sleeper.send("sleep", n=0.3)
        await sleeper.send("echo", s="late")
        started = asyncio.get_running_loop().time()
        assert (await other.ask("echo", s="early"))["data"] == "early"
        assert (await sleeper.next())["data"] == "late"
        assert asyncio.get_running_loop().time() - started >= 0.25


async def test_shutdown_ends_the_connection_s_run_and_not_the_gateway(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        await client.ask("load", input=SLOW)
        assert (await client.ask("shutdown", when="now")) == {"event": "shutdown", "params": {"when": "now"}, "data": None}
        assert wire.home.view("cyclus-default").run.status == "terminated"
        assert (await client.ask("shutdown", when="empty"))["event"] == "shutdown"
        assert (await client.ask("load", input=SLOW))["params"] == {"status": "ok"}
        await client.ask("shutdown")
        await wire.home.until(lambda: wire.home.view("cyclus-default").run.status == "cancelled")


async def test_a_shutdown_ends_the_gateway_only_where_it_was_started_for_that_and_by_an_admin(tmp_path):
    tokens = [TokenEntry(name, hashlib.sha256(name.encode()).digest(), frozenset({Role(name)})) for name in ("operator", "admin")]
    as_operator, as_admin = ({"additional_headers": {"Authorization": f"Bearer {token.name}"}} for token in tokens)
    async with served(tmp_path, authenticator=Authenticator(tokens), server_shutdown=True) as wire:
        asked = wire.home.stop_asked
        async with wire.client(**as_operator) as operator, wire.client(**as_admin) as admin:
            await operator.ask("load", input=SLOW, paused=True)
            assert (await admin.next())["event"] == "loaded"
            assert (await operator.ask("shutdown"))["event"] == "shutdown"
            assert not asked.is_set() and not wire.home.view("cyclus-default").run.is_open
            assert (await admin.ask("shutdown", when="now"))["event"] == "shutdown"
            assert asked.is_set()
    async with served(tmp_path / "shared") as wire, wire.client() as client:
        assert (await client.ask("shutdown"))["event"] == "shutdown"
        assert not wire.home.stop_asked.is_set()


async def test_a_shutdown_while_a_load_is_going_on_answers_the_load(tmp_path):
    (tmp_path / "slow.json").write_text('{"model": "counts"}')
    async with served(tmp_path / "data", [str(tmp_path)], default_model="slow") as wire, wire.client() as loader, wire.client() as other:
        await loader.send("load")
        await wire.home.until(lambda: wire.home.gateway.bus.current_run_id("default", "cyclus-default"))
        await other.send("shutdown", when="now")
        assert (await loader.until("loaded"))["event"] == "loaded"


async def test_any_run_is_watched_and_steered_by_its_path(tmp_path):
    async with served(tmp_path) as wire:
        await wire.home.start_model("material_flow", "mine:1", input=SLOW)
        async with wire.client("/runs/mine:1?tables=all&status=1") as client, wire.client("/") as elsewhere:
            names = (await client.ask("table_names_request"))["data"]
            assert {"History", "Jobs", "Tasks", "Info"} <= set(names) or {"History", "Jobs", "Tasks"} <= set(names)
            await client.send("pause")
            status = await client.until("status")
            assert status["params"]["workflow_id"] == "mine:1"
            await client.send("shutdown", when="now")
            assert (await client.until("run_finished"))["data"]["status"] == "terminated"
            assert (await elsewhere.ask("table_data", table="Tasks"))["data"] == "Tasks is not available."


async def test_changes_are_pushed_and_resumed_by_cursor(tmp_path):
    async with served(tmp_path) as wire:
        await wire.home.start_model("material_flow", "mine", input={"duration": 5})
        await wire.home.closed("mine")
        async with wire.client("/runs/mine?after=0") as client:
            frames = []
            while not frames or not frames[-1]["data"]["closed"]:
                frames.append(await client.until("delta"))
        assert frames[0]["data"]["opened"] and frames[0]["data"]["events"][0]["event"] == "WorkflowStarted"
        seen = [event["seq"] for frame in frames for event in frame["data"]["events"]]
        assert seen == list(range(1, len(seen) + 1))
        flows = [row for frame in frames for row in frame["data"]["rows"].get("Flows", {"index": []})["index"]]
        assert flows == list(range(len(flows)))
        middle = frames[3]["params"]["cursor"]
        async with wire.client(f"/runs/mine?after={middle}") as client:
            assert await client.until("delta") == frames[4]


async def test_a_cursor_that_is_none_is_told_and_the_connection_closed(tmp_path):
    async with served(tmp_path) as wire, wire.client("/?after=yesterday") as client:
        assert await client.closed() == (1008, "after must be a cursor: a whole number")


async def test_hold_release_and_trigger_are_extras_of_this_wire(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        await client.ask("load", input=SLOW, paused=True)
        assert (await client.ask("hold", tasks="1/step")) == {"event": "hold", "params": {"tasks": ["1/step"]}, "data": ["1/step"]}
        assert (await client.ask("release", tasks=["*"]))["data"] == ["1/step"]
        assert (await client.ask("trigger", tasks=["1/step"]))["data"] == ["1/step"]
        nothing = await client.ask("hold", tasks="7777777/step")
        assert nothing["event"] == "error" and nothing["params"] == {"event": "hold", "code": "nothing_matched"}


async def test_conditions_and_paging_choose_rows_with_their_original_numbers(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        await client.ask("load", input={"duration": 30})
        await wire.home.until(lambda: not wire.home.view("cyclus-default").run.is_open)
        rows = await client.ask("table_data", table="Stores", conds=[["Time", ">", 10], ["Time", "<=", 12]])
        assert rows["data"]["index"] == [10, 11] and rows["params"]["orient"] == "split"
        page = await client.ask("table_data", table="Stores", offset=5, limit=2, orient="values", precision=2)
        assert [row[2] for row in page["data"]] == [6, 7] and page["params"]["limit"] == 2
        history = await client.ask("table_data", table="triplane.History", conds=[["event", "==", "StepCompleted"], ["seq", ">", 30]])
        assert history["data"]["index"] == [30, 31]


@pytest.mark.parametrize("kept", [0, 1 << 20])
@pytest.mark.parametrize("table", ["Stores", "History", "Tasks", "triplane.Jobs"])
async def test_a_table_read_in_portions_is_the_table_read_whole(tmp_path, monkeypatch, table, kept):
    requests = [
        {"table": table, "orient": orient, "conds": conds, **window}
        for orient in ("split", "records", "index", "columns", "values", "table", None)
        for conds in (None, [["Time", ">", 7]] if table == "Stores" else [["seq", ">", 9]] if table == "History" else None)
        for window in ({}, {"offset": 4}, {"limit": 5}, {"offset": 3, "limit": 8}, {"offset": 100}, {"after": 6}, {"after": 5, "offset": 2})
    ]
    async with served(tmp_path, table_cache_bytes=kept) as wire, wire.client() as client:
        await client.ask("load", input={"duration": 30})
        await wire.home.closed("cyclus-default")
        whole = [await client.ask("table_data", **request) for request in requests]
        monkeypatch.setattr(tabledata, "PORTION_ROWS", 3)
        assert [await client.ask("table_data", **request) for request in requests] == whole
        assert whole[2]["data"]["index"] == whole[0]["data"]["index"][:5]


async def test_a_large_table_holds_nobody_else_up(tmp_path, monkeypatch):
    monkeypatch.setattr(tabledata, "PORTION_ROWS", 1)
    async with served(tmp_path) as wire, wire.client() as greedy, wire.client() as other:
        await greedy.ask("load", input={"duration": 400})
        assert (await other.next())["event"] == "loaded"
        await wire.home.closed("cyclus-default")
        await greedy.send("table_data", table="Flows")
        answers = 0
        whole = asyncio.ensure_future(greedy.until("table_data"))
        while not whole.done():
            assert await other.silent()
            answers += 1
        assert len((await whole)["data"]["data"]) >= 800 and answers > 5


@pytest.mark.parametrize(
    ("event", "params", "code"),
    [
        ("echo", {}, "refused_input"),
        ("table_data", {"table": "Info", "orient": "bogus"}, "refused_input"),
        ("table_data", {"table": "Info", "conds": "Time"}, "refused_input"),
        ("table_data", {"table": "Info", "conds": [["Seed", "~", 1]]}, "refused_input"),
        ("table_data", {"table": "Info", "conds": [["x'; drop table runs; --", "==", 1]]}, "refused_input"),
        ("table_data", {"table": "Info", "limit": 0}, "refused_input"),
        ("table_data", {"table": "\ud800"}, "invalid_fields"),
        ("register_tables", {"tables": ["\ud800"]}, "invalid_fields"),
        ("register_tables", {"tables": ["x"] * 1_001}, "invalid_fields"),
        ("agent_annotations", {"spec": ":\ud800:x"}, "invalid_fields"),
        ("sleep", {"n": "x"}, "refused_input"),
        ("sleep", {"n": 1e9}, "refused_input"),
        ("register_tables", {"tables": 5}, "refused_input"),
        ("set_repeating_actions", {"actions": [["shutdown", {}]]}, "refused_input"),
        ("set_repeating_actions", {"actions": [["echo", {"s": 1 << 80}]]}, "refused_input"),
        ("unpause", {"x": 1}, "refused_input"),
        ("shutdown", {"when": 5}, "refused_input"),
        ("load", {"input": 5}, "refused_input"),
        ("hold", {"tasks": []}, "invalid_fields"),
        ("no_such_event", {}, "unknown_command"),
        ("heartbeat", {}, "unknown_command"),
    ],
)
async def test_senseless_events_get_an_error_event_and_harm_nothing(tmp_path, event, params, code):
    async with served(tmp_path) as wire, wire.client() as client:
        await client.ask("load", input=SLOW, paused=True)
        answer = await client.ask(event, 9, **params)
        assert answer["event"] == "error" and answer["params"] == {"event": event, "code": code} and answer["id"] == 9
        assert await client.silent()


async def test_repeated_garbage_closes_its_sender_alone(tmp_path):
    async with served(tmp_path, max_garbage=5) as wire, wire.client() as bad, wire.client() as good:
        for _ in range(5):
            await bad.socket.send("{")
        assert (await bad.closed())[0] == 1008
        assert await good.silent()


async def test_a_client_that_sends_too_fast_is_read_later_and_answered_all_the_same(tmp_path):
    async with served(tmp_path, messages_per_s=20) as wire, wire.client() as hasty, wire.client() as calm:
        started = asyncio.get_running_loop().time()
        for number in range(30):
            await hasty.send("echo", s=number)
        assert await calm.silent() and asyncio.get_running_loop().time() - started < 0.4
        assert [(await hasty.next())["data"] for _ in range(30)] == list(range(30))
        assert asyncio.get_running_loop().time() - started > 0.4


async def test_a_message_that_is_too_large_closes_its_sender_alone(tmp_path):
    async with served(tmp_path, max_message_bytes=10_000) as wire, wire.client() as bad, wire.client() as good:
        await bad.socket.send(json.dumps({"event": "echo", "params": {"s": "x" * 20_000}}))
        assert (await bad.closed())[0] == 1009
        assert await good.silent()


async def test_a_client_that_does_not_read_is_closed_alone(tmp_path):
    async with served(tmp_path, send_queue=10) as wire, wire.client() as good:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(wire.address.rpartition(":")[2]))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        request = json.dumps({"event": "echo", "params": {"s": "x" * 60_000}}).encode()
        frame = b"\x81\xff" + len(request).to_bytes(8) + b"\0\0\0\0" + request
        writer.transport.set_write_buffer_limits(high=1 << 30)
        try:
            async with asyncio.timeout(20):
                while not writer.transport.is_closing():
                    writer.write(frame)
                    await asyncio.sleep(0.001)
                    assert (await good.ask("echo", s="still here"))["data"] == "still here"
        finally:
            writer.transport.abort()
        assert await good.silent()


async def test_a_foreign_page_is_refused_and_a_local_one_is_not(tmp_path):
    async with served(tmp_path) as wire:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(wire.address, origin="https://evil.example")
        assert refused.value.response.status_code == 403
        async with wire.client(origin="http://localhost:4200") as client:
            assert await client.silent()


async def test_tokens_decide_who_comes_in_and_what_they_may_do(tmp_path):
    tokens = [
        TokenEntry(name, hashlib.sha256(name.encode()).digest(), frozenset({role}), frozenset({space}))
        for name, role, space in [
            ("watcher", Role.VIEWER, "default"), ("driver", Role.OPERATOR, "default"), ("stranger", Role.OPERATOR, "elsewhere"),
            ("worker", Role.WORKER, "default"),
        ]
    ]  # fmt: skip
    async with served(tmp_path, authenticator=Authenticator(tokens)) as wire:
        for token, status in [(None, 401), ("wrong", 401), ("stranger", 403), ("worker", 403)]:
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(wire.address, additional_headers={"Authorization": f"Bearer {token}"} if token else {})
            assert refused.value.response.status_code == status, token
        as_driver, as_watcher = ({"Authorization": f"Bearer {name}"} for name in ("driver", "watcher"))
        async with (
            wire.client(additional_headers=as_driver) as driver,
            wire.client(additional_headers=as_watcher) as watcher,
        ):
            assert (await driver.ask("load", input=SLOW, paused=True))["params"] == {"status": "ok"}
            assert (await watcher.next())["event"] == "loaded"
            assert (await watcher.ask("table_data", table="Info"))["data"]["index"] == [0]
            for event in ("pause", "unpause", "shutdown"):
                assert (await watcher.ask(event))["params"] == {"event": event, "code": "not_allowed"}
            assert (await watcher.ask("load"))["params"] == {"status": "error"}
            assert (await driver.ask("shutdown"))["event"] == "shutdown"


@pytest.mark.parametrize("path", ["/runs/", "/runs/a/b", "/runs/..%2F..%2Fetc", "/runs/" + "x" * 200])
async def test_a_path_that_names_no_workflow_is_refused(tmp_path, path):
    async with served(tmp_path) as wire:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(wire.address + path)
        assert refused.value.response.status_code == 400


async def test_plain_http_is_told_what_this_port_speaks(tmp_path):
    async with served(tmp_path) as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(wire.address.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"426" in (await reader.readline())
        writer.close()


async def test_subprotocols_and_compression_are_no_obstacle(tmp_path):
    async with served(tmp_path) as wire, wire.client(subprotocols=["x.y"]) as client:
        assert client.socket.subprotocol is None and await client.silent()
    async with served(tmp_path / "2") as wire, wire.client(compression=None) as client:
        assert await client.silent()


async def test_both_loopback_families_are_served_on_one_port(tmp_path):
    async with served(tmp_path) as wire:
        port = wire.address.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            async with websockets.connect(f"ws://{host}:{port}/") as socket:
                assert json.loads(await socket.recv())["event"] == "heartbeat"


async def test_a_taken_port_is_told_with_the_setting_to_change(tmp_path):
    async with served(tmp_path / "1") as wire, house(tmp_path / "2") as home:
        port = int(wire.address.rpartition(":")[2])
        with pytest.raises(AdapterError, match=rf"port {port}: .*adapters.cyclus.port"):
            await CyclusAdapter().start(home.gateway, CyclusConfig(port=port))


async def test_a_stop_answers_what_waits_and_closes_every_client_with_going_away(tmp_path):
    async with house(tmp_path) as home:
        adapter = CyclusAdapter()
        await adapter.start(home.gateway, CyclusConfig(port=0))
        async with websockets.connect(adapter.endpoints()[0]) as one, websockets.connect(adapter.endpoints()[0]) as two:
            await two.send('{"event": "sleep", "params": {"n": 50}}')
            await asyncio.wait_for(asyncio.gather(one.recv(), two.recv()), 5)
            await asyncio.wait_for(adapter.stop(5.0), 6)
            for socket in (one, two):
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    while True:
                        await asyncio.wait_for(socket.recv(), 5)
                assert closed.value.rcvd.code == 1001


async def test_a_run_stopped_from_elsewhere_is_seen_here(tmp_path):
    async with served(tmp_path) as wire, wire.client("/runs/mine?status=1") as client:
        command = StartRun(workflow_id="mine", engine="simulation", workflow_type="material_flow", input=SLOW)
        await wire.home.connection.dispatch(command)
        assert (await client.until("loaded"))["params"] == {"status": "ok"}
        await wire.home.connection.dispatch(StopRun(workflow_id="mine", mode=StopMode.KILL))
        assert (await client.until("run_finished"))["data"]["status"] == "terminated"
