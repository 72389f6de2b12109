"""Clients that behave badly, or only oddly, against `triplane serve`: each is answered, and nobody else notices."""

import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

from gateway_process import GatewayProcess
from interop.test_many_clients import Stalled

HEALTHY_S = 0.25
HEARTBEAT_S = 0.5
PROGRAMS = Path(__file__).with_name("programs")
AUDITED = Path(__file__).with_name("audited")
STATE = {"duration": 100_000, "pace_s": 0.05}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("home")
    notes = home / "audit.txt"
    environment = {"PYTHONPATH": str(AUDITED), "TRIPLANE_TEST_AUDIT_FILE": str(notes)}
    with GatewayProcess(home, f"heartbeat_s = {HEARTBEAT_S}\nmax_sleep_s = 5\n", environment) as process:
        yield process


def address(gateway: GatewayProcess, path: str = "/") -> str:
    return f"ws://localhost:{gateway.websocket_port}{path}"


PROBE = """
import json, select, sys, time, urllib.request
taken = []
print("ready", flush=True)
while not taken or not select.select([sys.stdin], [], [], 0.02)[0]:
    for url in sys.argv[1:]:
        began = time.perf_counter()
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert answer.status == 200
        taken.append(time.perf_counter() - began)
print(json.dumps(taken))
"""


@contextmanager
def watched_health(gateway: GatewayProcess) -> Iterator[list[float]]:
    """How long both health paths take inside the block, seconds; asked from another process, which only waits for them."""
    taken: list[float] = []
    urls = [f"http://127.0.0.1:{gateway.http_port}/api/health", f"http://127.0.0.1:{gateway.websocket_port}/healthz"]
    probe = subprocess.Popen([sys.executable, "-c", PROBE, *urls], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert probe.stdout is not None and probe.stdout.readline() == "ready\n"
    try:
        yield taken
    finally:
        said, _ = probe.communicate("stop\n", timeout=60)
        taken += json.loads(said)


def assert_healthy(taken: list[float], strict: bool) -> None:
    """All of them in time; while other things run on the machine, nearly all."""
    worst = max(taken) if strict or len(taken) < 20 else statistics.quantiles(taken, n=20)[-1]
    assert worst < HEALTHY_S, sorted(taken)[-5:]


async def next_frame(client: Any) -> dict[str, Any]:
    while (frame := json.loads(await asyncio.wait_for(client.recv(), 60)))["event"] == "heartbeat":
        pass
    return frame  # type: ignore[no-any-return]


async def answer_to(client: Any, message: Any) -> dict[str, Any]:
    await client.send(message if isinstance(message, str | bytes) else json.dumps(message))
    return await next_frame(client)


def event(name: str, **params: Any) -> dict[str, Any]:
    return {"event": name, "params": params}


SQL = ["Info'; DROP TABLE runs; --", 'Info" OR 1=1 --', "1; ATTACH DATABASE '/x' AS x", "Info UNION SELECT * FROM audit"]
TRAVERSAL = ["../../../../etc/passwd", "/etc/passwd", "..\\..\\x", "file:///etc/passwd", "a/../../b", "~/x", "\0", "."]
MISTAKES: list[tuple[Any, str | None]] = [
    ("", "malformed"), ("{", "malformed"), ('"echo"', "malformed"), ("[]", "malformed"), (b"\xff\xfe", "malformed"), ("null", "malformed"),
    ('{"event":"echo","params":{"s":NaN}}', "malformed"), ('{"event":"echo","params":{"s":1e999}}', "malformed"),
    ('{"event":"echo","params":{"s":' + "[" * 50_000 + "]" * 50_000 + "}}", "malformed"),
    ('{"event":"echo","params":{"s":' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}}", "malformed"),
    ('{"event":"echo","params":{"s":' + "9" * 100_000 + "}}", "malformed"),
    ({"event": "explode"}, "unknown_command"), ({"event": "__class__"}, "unknown_command"), ({"event": "heartbeat"}, "unknown_command"),
    (event("echo"), "refused_input"), (event("echo", s=1, t=2), "refused_input"), (event("unpause", x=1), "refused_input"),
    (event("sleep", n=-1e308, m=1), "refused_input"), (event("sleep", n=1e9), "refused_input"), (event("sleep", n=[]), "refused_input"),
    (event("shutdown", when=None), "refused_input"), (event("shutdown", now=True), "refused_input"),
    (event("register_tables", tables=5), "refused_input"), (event("register_tables", tables=[None]), "refused_input"),
    (event("set_repeating_actions", actions=[["shutdown", {}]]), "refused_input"),
    (event("set_repeating_actions", actions=[["echo", {"s": 2**70}]]), "refused_input"),
    (event("hold", tasks={}), "refused_input"), (event("trigger", tasks=["9999/none"]), "nothing_matched"),
    (event("kill", tasks=["*"]), "nothing_matched"), (event("start", type="orders"), "refused_input"),
    (event("table_data", table="Info", orient="bogus"), "refused_input"), (event("table_data", table="Info", conds="x"), "refused_input"),
    (event("table_data", table="Info", conds=[["Seed", "==", 1]] * 101), "refused_input"),
    *((event("table_data", table="Info", conds=[[text, "==", 1]]), "refused_input") for text in SQL),
    *((event("table_data", table="Info", conds=[["Seed", text, 1]]), "refused_input") for text in SQL),
    *((event("table_data", table="Info", orient=text), "refused_input") for text in SQL),
    *((event("start", type=f"graph:{text}", id="x"), None) for text in TRAVERSAL),
    *((event("start", type=f"simulation:{text}", id="x"), None) for text in TRAVERSAL),
    *((event("start", type="simulation:material_flow", id=text), "invalid_fields") for text in TRAVERSAL if text != "."),
]  # fmt: skip


async def test_every_mistake_is_answered_by_an_error_event_and_the_connection_lives_on(gateway):
    with watched_health(gateway) as taken:
        async with websockets.connect(address(gateway)) as client, websockets.connect(address(gateway)) as neighbour:
            assert (await answer_to(client, event("load", input=STATE, paused=True)))["params"] == {"status": "ok"}
            assert (await next_frame(neighbour))["event"] == "loaded"
            for mistake, code in MISTAKES:
                answer = await answer_to(client, mistake)
                assert answer["event"] == "error" and code in (None, answer["params"]["code"]), (mistake, answer)
                # Not an error too many in a row: that would end the connection.
                assert (await answer_to(client, event("echo", s="alive")))["data"] == "alive"
            for spec in (None, 5, [], {}, "", ":", "a:b:c:d", "x" * 10_000, *TRAVERSAL):
                answer = await answer_to(client, event("agent_annotations", spec=spec))
                assert answer["event"] == "agent_annotations" and answer["data"] is None and answer["error"]["code"], spec
            for table in (*SQL, *TRAVERSAL, None, 5, {"a": 1}, "x" * 5_000):
                answer = await answer_to(client, event("table_data", table=table))
                assert answer["event"] == "table_data" and answer["data"] == f"{table} is not available.", table
            assert (await answer_to(client, event("table_data", table="Info")))["data"]["index"] == [0]
            assert (await answer_to(neighbour, event("echo", s=1)))["data"] == 1
            await answer_to(client, event("shutdown", when="now"))
            for text in TRAVERSAL:
                answer = await answer_to(client, event("load", input=text))
                assert answer["params"] == {"status": "error"} and "root:" not in json.dumps(answer), text
    assert_healthy(taken, strict=False)
    assert "Traceback" not in gateway.output


PAYLOADS = [
    "__import__('os').system('echo EVIL')", "exec('EVIL = 1')", "{{ EVIL }}", "${EVIL}", "`EVIL`", "(lambda: EVIL)()",
    "EVIL\n!!python/object:x",
]  # fmt: skip
ANSWERS = {"echo", "table_data", "agent_annotations", "registry", "error", "loaded", "set_repeating_actions"}


async def test_nothing_that_a_client_sends_is_ever_evaluated(gateway):
    notes = Path(gateway.environment["TRIPLANE_TEST_AUDIT_FILE"])
    assert f"watching {gateway.pid}" in notes.read_text()
    # The watch would see it.
    command = [sys.executable, "-c", "eval('len(\"EVIL\")')"]
    await asyncio.to_thread(subprocess.run, command, env=gateway.environment, check=True)
    assert "EVIL" in notes.read_text()
    before = [line for line in notes.read_text().splitlines() if not line.startswith("watching")]
    async with websockets.connect(address(gateway)) as client:
        await answer_to(client, event("load", input={"duration": 3}, paused=True))
        for text in PAYLOADS:
            for message in (
                event("echo", s=text), event("table_data", table=text), event("table_data", table="Info", conds=[[text, "==", text]]),
                event("table_data", table="Info", conds=[["Seed", "==", text]]), event("agent_annotations", spec=f"{text}:{text}:{text}"),
                event("register_tables", tables=[text]), event("hold", tasks=[text]), event("load", input=text),
                event("start", type=f"simulation:{text}"), event("start", type=f"graph:{text}"), event("load", input={text: text}),
                event("set_repeating_actions", actions=[["echo", {"s": text}], ["table_data", {"table": "Info", "orient": "values"}]]),
            ):  # fmt: skip
                answer = await answer_to(client, message)
                assert answer["event"] in ANSWERS
        await client.send(json.dumps(event("unpause")))
        said = [await next_frame(client) for _ in range(6)]
        assert [frame["data"] for frame in said if frame["event"] == "echo"] == [PAYLOADS[-1]] * 3
        await client.send(json.dumps({**event("shutdown", when=PAYLOADS[0]), "id": 1}))
        while (await next_frame(client)).get("id") != 1:
            pass
    assert [line for line in notes.read_text().splitlines() if not line.startswith("watching")] == before


@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=[pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(600)])])
async def test_a_flood_of_tiny_messages_is_answered_message_by_message(gateway, count):
    text = '{"event":"echo","params":{"s":1}}'
    with watched_health(gateway) as taken:
        flooder = websockets.connect(address(gateway), compression=None, ping_interval=None)
        async with flooder as client, websockets.connect(address(gateway)) as other:

            async def flood() -> None:
                for number in range(count):
                    await client.send(text)
                    if number % 200 == 0:
                        await asyncio.sleep(0)

            async def listen() -> None:
                async for frame in other:
                    assert json.loads(frame) == {"event": "heartbeat", "data": HEARTBEAT_S}
                    beats.append(time.monotonic())

            beats: list[float] = []
            began = time.monotonic()
            flooding, listening = asyncio.ensure_future(flood()), asyncio.ensure_future(listen())
            answers = 0
            while answers < count:
                answers += (await client.recv()).startswith('{"event":"echo"')
            await flooding
            # The period is kept; some slack for a machine with other things to do.
            assert len(beats) >= 0.7 * (time.monotonic() - began) / HEARTBEAT_S - 1
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            assert (await answer_to(other, event("echo", s="calm")))["data"] == "calm"
    assert_healthy(taken, strict=count > 50_000)


async def test_who_asks_and_never_reads_is_cut_alone(gateway):
    with watched_health(gateway) as taken:
        async with websockets.connect(address(gateway)) as other:
            greedy = Stalled(gateway.websocket_port)
            request = json.dumps(event("echo", s="x" * 60_000)).encode()
            frame = b"\x81\xff" + len(request).to_bytes(8, "big") + b"\0\0\0\0" + request

            def ask_on() -> bool:
                with contextlib.suppress(ConnectionError):
                    for _ in range(4_000):
                        greedy.send(frame)
                    return False
                return True

            asking = asyncio.ensure_future(asyncio.to_thread(ask_on))
            while not asking.done():
                assert (await answer_to(other, event("echo", s="calm")))["data"] == "calm"
                await asyncio.sleep(0.02)
            assert await asking, "it was never cut"
            greedy.close()
    assert_healthy(taken, strict=False)


async def test_a_thousand_connections_are_all_served(gateway):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4_096), hard), hard))
    with watched_health(gateway) as taken:
        async with AsyncExitStack() as stack:
            clients: list[Any] = []
            for _ in range(10):
                opened = await asyncio.gather(*(websockets.connect(address(gateway), open_timeout=30) for _ in range(100)))
                for client in opened:
                    stack.push_async_callback(client.close)
                clients += opened
            answers = await asyncio.gather(*(answer_to(client, event("echo", s=number)) for number, client in enumerate(clients)))
            assert [answer["data"] for answer in answers] == list(range(1_000))
    assert_healthy(taken, strict=False)


# ---- clients that are known, played with the library that they use --------------------------------------------------


def run_program(python: Path, name: str, *arguments: str) -> dict[str, Any]:
    command = [str(python), str(PROGRAMS / name), *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_the_bundled_page_shows_everything_and_never_believes_that_it_is_disconnected(gateway, websocket_bin):
    shown = run_program(websocket_bin / "python", "ws_page.py", address(gateway, "/any?x=1"), "5")
    assert shown["alerts"] == ["Bravo"] and len(shown["registry"]) == len(shown["names"]) == 2
    assert shown["registry"][1] == [] and {"Agents", "Info"} <= set(shown["names"][1])
    assert shown["columns"][0][0] == "SimId" and shown["columns"][2] == "Info"
    # A text where the page wants a table throws in its handler, and it lives on.
    assert shown["thrown"] == 1 and shown["skipped"] == ["loaded"]
    assert shown["beats"] >= 9 and shown["disconnected"] == 0


def test_a_gatherer_of_annotations_comes_to_an_end(gateway, websocket_bin):
    unknown = [":cycamore:Reactor", ":cycamore:FuelFab", ":agents:Sink", ":agents:Source", ":cycamore:Storage", ":a:b:c", "", "nonsense"]
    known = [":material_flow:Source", ":material_flow:Store", ":material_flow:Sink"]
    shown = run_program(websocket_bin / "python", "ws_gatherer.py", address(gateway), "744", *unknown, *known)
    assert shown["sent"] >= 744 and shown["answers"] == shown["sent"]
    assert shown["found"] == sorted(unknown + known) and shown["known"] == sorted(known)
    assert shown["others"] == ["shutdown"]
    # The gateway lives on, for a shutdown ends a run.
    assert gateway.http("GET", "/api/health")[0] == 200
