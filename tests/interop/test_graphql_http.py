"""GraphQL over HTTP and over websockets, on the runs of a real gateway; what changes comes from the other wires."""

import asyncio
import hashlib
import json
from contextlib import contextmanager

import aiohttp
import pytest
import zmq.asyncio
import zmq.auth

from gateway_process import GatewayProcess, free_ports

FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = first => second
[runtime]
    [[root]]
        script = while ! test -e "$HOME/go"; do sleep 0.2; done
    [[first, second]]
"""
SEEN = "{ workflows { name status taskProxies(sort: {keys: [\"name\"]}) { name state } } }"
FOLLOW = """subscription ($workflows: [ID]) { deltas(workflows: $workflows, stripNull: true) {
  id shutdown
  added { workflow { name status } taskProxies { name state } }
  updated { workflow { status } taskProxies { name state isHeld } }
  pruned { taskProxies }
} }"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    home = tmp_path_factory.mktemp("graphql")
    (port,) = free_ports(1)
    with GatewayProcess(home) as gateway:
        gateway.stop()
        text = gateway.config_file.read_text()
        gateway.config_file.write_text(text.replace("[adapters.cylc]\n", f"[adapters.cylc]\nhttp_port = {port}\nfaces_per_s = 100.0\n"))
        gateway.start()
        (home / "flow").mkdir()
        (home / "flow" / "flow.cylc").write_text(FLOW)
        for name in ("one", "two"):
            gateway.cli("start", str(home / "flow"), "--id", name)
        yield gateway, f"http://127.0.0.1:{port}/graphql"


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(http, url, query, variables=None, **headers):
    async with http.post(url, json={"query": query, "variables": variables or {}}, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def until(http, url, holds):
    for _ in range(200):
        status, answer = await ask(http, url, SEEN)
        assert status == 200, answer
        if holds({each["name"]: each for each in answer["data"]["workflows"]}):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(answer)


async def both_shown(http, url):
    await until(http, url, lambda seen: {"one", "two"} <= seen.keys() and all(each["taskProxies"] for each in seen.values()))


async def test_one_query_reads_all_runs(served, http):
    _, url = served
    await both_shown(http, url)
    status, answer = await ask(http, url, '{ workflows(ids: ["two"]) { name } taskProxies(ids: ["1/first"]) { id } }')
    assert status == 200 and answer["data"]["workflows"] == [{"name": "two"}]
    assert len(answer["data"]["taskProxies"]) == 2
    status, answer = await ask(http, url, "{ __schema { queryType { name } } }")
    assert answer == {"data": {"__schema": {"queryType": {"name": "Queries"}}}}


async def test_a_mutation_reaches_the_runs_it_names_and_is_seen_on_the_command_line(served, http):
    gateway, url = served
    await both_shown(http, url)
    status, answer = await ask(http, url, 'mutation { hold(workflows: ["one"], tasks: ["1/second"]) { result } }')
    assert status == 200 and [row["response"][0] for row in answer["data"]["hold"]["result"]] == [True], answer
    assert [row["id"].endswith("/one") for row in answer["data"]["hold"]["result"]] == [True]
    status, answer = await ask(http, url, 'mutation { pause(workflows: []) { result } }')
    assert [row["response"][0] for row in answer["data"]["pause"]["result"]] == [True, True]
    for name in ("one", "two"):
        assert json.loads(gateway.cli("show", name, "--json").stdout)["run"]["paused"] is True
    await ask(http, url, 'mutation { resume(workflows: []) { result } release(workflows: ["one"], tasks: ["1/second"]) { result } }')
    status, answer = await ask(http, url, 'mutation { pause(workflows: ["nobody"]) { result } }')
    assert answer["data"]["pause"]["result"] == [{"response": [False, "No matching workflow in ['nobody']"]}]


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"[]", "application/json", 400, "Send an object"),
        (b'{"query": "{ nosuch }"}', "application/json", 400, "Cannot query field 'nosuch'"),
        (b'{"query": "{ workflows { name ", "variables": 1}', "application/json", 400, ""),
        (b'{"query": "subscription { deltas { id } }"}', "application/json", 400, "websocket"),
        (b'{"query": "{ __schema { queryType { name } } workflows { name } }"}', "application/json", 400, "two requests"),
        (b"{}", "text/plain", 415, "application/json"),
        (b'{"query": "' + b"a" * 1_100_000 + b'"}', "application/json", 413, "at most"),
    ],
)
async def test_what_is_wrong_is_said_and_the_next_request_is_answered(served, http, body, kind, status, said):
    _, url = served
    async with http.post(url, data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == status and said in (await answer.json())["errors"][0]["message"]
    assert (await ask(http, url, "{ workflows { name } }"))[0] == 200


async def test_foreign_origins_and_hosts_and_other_paths_are_refused(served, http):
    _, url = served
    assert (await ask(http, url, "{ workflows { name } }", Origin="https://evil.example"))[0] == 403
    assert (await ask(http, url, "{ workflows { name } }", Host="evil.example"))[0] == 403
    assert (await ask(http, url + "/more", "{ workflows { name } }"))[0] == 404
    async with http.get(url) as answer:
        assert answer.status == 405 and answer.headers["Allow"] == "POST"


@contextmanager
def request_socket(run_directory):
    """Asks one face over its own socket, with the key that local clients use."""
    service = run_directory / ".service"
    contact = dict(line.split("=", 1) for line in (service / "contact").read_text().splitlines())
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.REQ)
    socket.curve_serverkey, _ = zmq.auth.load_certificate(service / "server.key")
    socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(service / "client.key_secret")
    socket.connect(f"tcp://127.0.0.1:{contact['CYLC_WORKFLOW_PORT']}")

    async def ask_face(query, variables):
        arguments = {"request_string": query, "variables": variables}
        await socket.send_json({"command": "graphql", "args": arguments, "meta": {}})
        async with asyncio.timeout(20):
            return await socket.recv_json()

    try:
        yield ask_face
    finally:
        context.destroy(linger=0)


BOMBS = {
    "depth": ("{ workflows { " + "taskProxies { firstParent { " * 8 + "id" + "}}" * 8 + "} }", {}, "nested too deeply"),
    "aliases": ("{ workflows { " + " ".join(f"a{n}: id" for n in range(1_500)) + "} }", {}, "aliases"),
    "fragments in a circle": ("fragment a on Job { ...b } fragment b on Job { ...a } { jobs { ...a } }", {}, "itself"),
    "a huge list": ("{ workflows(ids: [" + '"a" ' * 4_900 + "]) { id } }", {}, "values"),
    "directives": ("{ workflows { id " + "@a " * 2_000 + "} }", {}, "Unknown directive"),
    "introspection": ("{ " + " ".join(f"a{n}: __schema {{ types {{ fields {{ name }} }} }}" for n in range(49)) + " }", {}, "too much"),
    "variables": ("query ($i: [ID]) { workflows(ids: $i) { id } }", {"i": ["x"] * 100_000}, "values"),
    "nested lists": ("{ workflows { taskProxies " + "{ jobs { taskProxy " * 5 + "{ id }" + " } }" * 5 + " } }", {}, "costs too much"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_refused_on_every_transport_and_the_next_request_is_answered(served, http, name):
    gateway, url = served
    await both_shown(http, url)
    query, variables, said = BOMBS[name]
    body = {"query": query, "variables": variables}
    status, answer = await ask(http, url, query, variables)
    assert status == 400 and said in answer["errors"][0]["message"]
    async with http.ws_connect(url, protocols=["graphql-transport-ws"]) as ws:
        for message in ({"type": "connection_init"}, {"type": "subscribe", "id": "b", "payload": body}):
            await ws.send_json(message)
        refused = await heard(ws, "b")
        assert refused["type"] == "error" and said in refused["payload"][0]["message"]
        await ws.send_json({"type": "subscribe", "id": "n", "payload": {"query": "{ workflows { name } }"}})
        assert (await heard(ws, "n"))["type"] == "next"
    with request_socket(gateway.home / "cylc-run" / "one") as ask_face:
        assert said in (await ask_face(query, variables))["error"]["message"]
        assert (await ask_face("{ workflows { name } }", {}))["data"] == {"workflows": [{"name": "one"}]}


@pytest.mark.parametrize("header", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
async def test_a_websocket_of_a_foreign_page_or_host_is_refused(served, http, header):
    _, url = served
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(url, protocols=["graphql-transport-ws"], headers=header)
    assert refused.value.status == 403


TWICE = '{"type": "subscribe", "id": "1", "payload": {"query": "subscription { deltas { id } }"}}'


async def heard(ws, name, patience=20.0):
    """The next event of the subscription `name`."""
    async with asyncio.timeout(patience):
        while True:
            message = json.loads((await ws.receive()).data)
            if message.get("id") == name:
                return message


async def test_a_subscription_begins_with_everything_and_then_hears_each_change(served, http):
    gateway, url = served
    await both_shown(http, url)
    async with http.ws_connect(url, protocols=["graphql-transport-ws"]) as ws:
        await ws.send_json({"type": "connection_init"})
        assert await ws.receive_json() == {"type": "connection_ack"}
        await ws.send_json({"type": "ping"})
        assert await ws.receive_json() == {"type": "pong"}
        request = {"query": FOLLOW, "variables": {"workflows": ["one"]}}
        await ws.send_json({"type": "subscribe", "id": "s", "payload": request})
        first = (await heard(ws, "s"))["payload"]["data"]["deltas"]
        assert first["id"].endswith("/one") and first["added"]["workflow"]["name"] == "one"
        assert {each["name"] for each in first["added"]["taskProxies"]} >= {"first"}
        await asyncio.to_thread(gateway.cli, "stop", "two", "--kill")
        await ask(http, url, 'mutation { hold(workflows: ["one"], tasks: ["1/first"]) { result } }')
        while True:
            event = (await heard(ws, "s"))["payload"]["data"]["deltas"]
            assert event["id"].endswith("/one"), "only what was asked for"
            shown = event.get("updated", {}).get("taskProxies", []) + event.get("added", {}).get("taskProxies", [])
            if any(each["name"] == "first" and each.get("isHeld") for each in shown):
                break
        await ws.send_json({"type": "subscribe", "id": "q", "payload": {"query": "{ workflows { name } }"}})
        assert (await heard(ws, "q"))["payload"]["data"]["workflows"]
        assert (await heard(ws, "q"))["type"] == "complete"
        await ws.send_json({"type": "subscribe", "id": "bad", "payload": {"query": "{ nosuch }"}})
        assert (await heard(ws, "bad"))["type"] == "error"
        await asyncio.to_thread(gateway.cli, "stop", "one", "--kill")
        while not (await heard(ws, "s"))["payload"]["data"]["deltas"].get("shutdown"):
            pass


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["nonsense"], 4400),
        (["[]"], 4400),
        (['{"type": "nosuch"}'], 4400),
        (['{"type": "subscribe", "id": "1", "payload": {"query": "{ workflows { name } }"}}'], 4401),
        (['{"type": "connection_init"}', '{"type": "connection_init"}'], 4429),
        (['{"type": "connection_init"}', '{"type": "subscribe", "payload": {}}'], 4400),
        (['{"type": "connection_init"}', TWICE, TWICE], 4409),
    ],
)
async def test_a_websocket_that_breaks_the_protocol_is_closed_with_its_code(served, http, messages, code):
    _, url = served
    async with http.ws_connect(url, protocols=["graphql-transport-ws"]) as ws:
        for message in messages:
            await ws.send_str(message)
        async with asyncio.timeout(20):
            while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert ws.close_code == code


async def test_a_token_that_may_only_read_changes_nothing_and_no_token_sees_nothing(tmp_path, http):
    (port,) = free_ports(1)
    secret = tmp_path / "reader.sha256"
    secret.write_text(hashlib.sha256(b"a secret of the reader").hexdigest() + "\n")
    secret.chmod(0o600)
    tokens = f'[[auth.tokens]]\nname = "reader"\nsha256_file = "{secret}"\nroles = ["viewer"]\n'
    with GatewayProcess(tmp_path / "home", tokens) as gateway:
        gateway.stop()
        text = gateway.config_file.read_text()
        gateway.config_file.write_text(text.replace("[adapters.cylc]\n", f"[adapters.cylc]\nhttp_port = {port}\nfaces_per_s = 100.0\n"))
        gateway.start()
        (tmp_path / "flow").mkdir()
        (tmp_path / "flow" / "flow.cylc").write_text(FLOW)
        gateway.cli("start", str(tmp_path / "flow"), "--id", "one")
        url, bearer = f"http://127.0.0.1:{port}/graphql", {"Authorization": "Bearer a secret of the reader"}
        for _ in range(200):
            status, answer = await ask(http, url, "{ workflows { name } }", **bearer)
            assert status == 200, answer
            if answer["data"]["workflows"]:
                break
            await asyncio.sleep(0.1)
        assert answer["data"]["workflows"] == [{"name": "one"}]
        status, answer = await ask(http, url, 'mutation { pause(workflows: ["one"]) { result } }', **bearer)
        assert [row["response"][0] for row in answer["data"]["pause"]["result"]] == [False]
        assert (await ask(http, url, "{ workflows { name } }"))[0] == 401
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(url, protocols=["graphql-transport-ws"])
        async with http.ws_connect(url, protocols=["graphql-transport-ws"], headers=bearer) as ws:
            mutation = {"query": 'mutation { pause(workflows: ["one"]) { result } }'}
            for message in ({"type": "connection_init"}, {"type": "subscribe", "id": "m", "payload": mutation}):
                await ws.send_json(message)
            assert (await heard(ws, "m"))["payload"]["data"]["pause"]["result"][0]["response"][0] is False
        token = gateway.cli("token", "create", "follower", "--role", "viewer").stdout.strip()
        async with http.ws_connect(url, protocols=["graphql-transport-ws"], headers={"Authorization": f"Bearer {token}"}) as ws:
            for message in ({"type": "connection_init"}, {"type": "subscribe", "id": "s", "payload": {"query": FOLLOW}}):
                await ws.send_json(message)
            assert (await heard(ws, "s"))["payload"]["data"]["deltas"]["id"].endswith("/one")
            await asyncio.to_thread(gateway.cli, "token", "revoke", "follower")
            async with asyncio.timeout(20):
                while (last := await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
            assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, 4403)
        assert (await ask(http, url, "{ workflows { name } }", Authorization="Bearer wrong"))[0] == 401
        assert json.loads(gateway.cli("show", "one", "--json").stdout)["run"]["paused"] is False
