"""Real sockets and hostile frames: every request that is due a reply has exactly one, and nobody else is harmed."""

import asyncio
import json
import random

import pytest
import zmq
import zmq.asyncio

from interop.cylc_house import CylcHouse
from triplane_cylc.faces.contact import parse_contact
from triplane_cylc.faces.keys import read_pair, read_public

PATIENCE_S = 10.0
FUZZED = 10_000
PING = b'{"command":"ping_workflow","args":{}}'
META = '"meta":{"prog":"x","host":"h","comms_method":"zmq"}'


class Sockets:
    """Sockets of clients that have the keys of the house's run."""

    def __init__(self, house):
        self._context = zmq.asyncio.Context()
        service = house.service()
        self._contact = parse_contact((service / "contact").read_text())
        self._pair = read_pair((service / "client.key_secret").read_text())
        self._server = read_public((service / "server.key").read_text())

    def connect(self, kind, port="CYLC_WORKFLOW_PORT"):
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = self._server, self._pair.public, self._pair.secret
        socket.connect(f"tcp://127.0.0.1:{self._contact[port]}")
        return socket

    async def ask(self, socket, *frames):
        """Send the frames behind an empty one, and read the reply that is due."""
        await socket.send_multipart([b"", *frames])
        return (await asyncio.wait_for(socket.recv_multipart(), PATIENCE_S))[-1]

    async def is_served(self):
        socket = self.connect(zmq.REQ)
        try:
            await socket.send(PING)
            return json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S)).get("data") is True
        finally:
            socket.close()

    def close(self):
        self._context.destroy(0)




@pytest.fixture
async def sockets(tmp_path):
    async with CylcHouse(tmp_path) as house:
        await house.face()
        sockets = Sockets(house)
        sockets.house = house
        yield sockets
        sockets.close()


# The table of contract 2.4, in its column for gateways: the request, and what the error says.
MALFORMED = [
    ([b"hello"], "Expecting value: line 1 column 1 (char 0)"),
    ([b""], "Expecting value: line 1 column 1 (char 0)"),
    ([b'{"command":"api"}'], "Request missing field 'args' required for Cylc 8.5.4"),
    ([b'{"args":{}}'], "Request missing field 'command' required for Cylc 8.5.4"),
    ([b'{"command":"x","args":{}}'], "No method by the name 'x' at Cylc 8.5.4"),
    ([b'{"command":"graphql","args":{"bogus":1}}'], "unexpected argument 'bogus'"),
    ([b'{"command":"pb_data_elements","args":{}}'], "needs the argument 'element_type'"),
    ([b'{"command":"api","args":null}'], "must be an object"),
    ([b'{"command":"api","args":[]}'], "must be an object"),
    ([f'{{"command":"api","args":null,{META}}}'.encode()], "must be an object"),
    ([b"[1]"], "must be a JSON object"),
    ([b'"text"'], "must be a JSON object"),
    ([b'{"command":5,"args":{}}'], "must be a string"),
    ([b"\xff\xfe"], "must be UTF-8"),
    ([PING, PING], "single frame"),
    ([b'{"command":"register_endpoints","args":{}}'], "No method by the name 'register_endpoints'"),
    ([b'{"command":"__class__","args":{}}'], "No method by the name '__class__'"),
    ([b'{"command":"graphql","args":{}}'], "needs the argument 'request_string'"),
    ([b'{"command":"graphql","args":{"request_string":"{"}}'], "Syntax Error"),
    ([b'{"command":"graphql","args":{"request_string":"{ workflows { nosuch } }"}}'], "Cannot query field 'nosuch'"),
    ([b'{"command":"pb_data_elements","args":{"element_type":"all"}}'], "not 'all'"),
    ([b"[" * 100_000], "nested too deeply"),
]


async def test_each_malformed_request_has_one_error_reply_and_the_next_is_served(sockets):
    socket = sockets.connect(zmq.DEALER)
    for frames, says in MALFORMED:
        reply = json.loads(await sockets.ask(socket, *frames))
        assert says in reply["error"]["message"] and reply["cylc_version"] == "8.5.4", frames
        assert json.loads(await sockets.ask(socket, PING))["data"] is True, frames
    subscription = json.dumps({"command": "graphql", "args": {"request_string": "subscription { deltas { id } }"}})
    assert set(json.loads(await sockets.ask(socket, subscription.encode()))) & {"data", "error"}
    assert await sockets.ask(socket, b'{"command":"pb_data_elements","args":{"element_type":"nosuch"}}') == b""


async def test_frames_without_an_envelope_have_no_reply_and_too_long_ones_cut_their_sender_off_alone(sockets):
    odd, other = sockets.connect(zmq.DEALER), sockets.connect(zmq.DEALER)
    await odd.send_multipart([PING])
    await odd.send_multipart([b""])
    await odd.send_multipart([b"x"] * 20)
    assert json.loads(await sockets.ask(odd, PING))["data"] is True, "and this is the first reply"
    await other.send_multipart([b"", b"x" * 3_000_000])
    assert json.loads(await sockets.ask(odd, PING))["data"] is True
    assert await sockets.is_served()


SEEDS = [
    PING,
    b'{"command":"graphql","args":{"request_string":"query($i:[ID]){workflows(ids:$i){id status}}","variables":{"i":["w"]}}}',
    b'{"command":"graphql","args":{"request_string":"mutation{hold(workflows:[\\"w\\"],tasks:[\\"*\\"]){result}}","variables":null}}',
    b'{"command":"pb_data_elements","args":{"element_type":"tasks"},"meta":{"prog":"x"}}',
    b'{"command":"api","args":{"endpoint":"graphql"}}',
]
PIECES = [b"{", b"}", b"[", b'"', b":", b",", b"null", b"\\u0000", b"\xff", b"\x00", b"9" * 400, b"$", b"...on Workflow", b"fragment f"]


def mangled(rng):
    """A request with some bytes changed, cut, doubled or replaced by what parsers stumble over."""
    body = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(body) + 1)
        match rng.randrange(4):
            case 0:
                body[place:place] = rng.choice(PIECES)
            case 1:
                del body[place : place + rng.randrange(1, 20)]
            case 2:
                body[place : place + 1] = bytes([rng.randrange(256)])
            case _:
                body[place:place] = body[: rng.randrange(1, 40)]
    return bytes(body)


async def test_each_of_ten_thousand_fuzzed_frames_has_a_reply_and_the_next_valid_request_is_served(sockets):
    rng = random.Random(20_261_120)
    socket = sockets.connect(zmq.DEALER)
    for _ in range(FUZZED // 100):
        batch = [mangled(rng) for _ in range(100)]
        for number, body in enumerate(batch):
            await socket.send_multipart([str(number).encode(), b"", body])
        seen = [await asyncio.wait_for(socket.recv_multipart(), PATIENCE_S) for _ in batch]
        assert sorted(int(frames[0]) for frames in seen) == list(range(100)), "one reply each"
        assert json.loads(await sockets.ask(socket, PING))["data"] is True
    assert await sockets.is_served()


async def test_connections_that_say_nothing_or_nonsense_keep_nobody_from_connecting(sockets):
    port = int(sockets._contact["CYLC_WORKFLOW_PORT"])
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    for number, (_, writer) in enumerate(streams):
        writer.write([b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" + b"\x00" * 8 + b"\x01\x7f\x03", b"\xff" * 64][number % 4])
    assert await sockets.is_served()
    for _, writer in streams:
        writer.close()


async def test_a_subscriber_that_stops_reading_harms_nobody(sockets):
    lazy, reader = sockets.connect(zmq.SUB, "CYLC_WORKFLOW_PUBLISH_PORT"), sockets.connect(zmq.SUB, "CYLC_WORKFLOW_PUBLISH_PORT")
    lazy.rcvhwm = 1
    for socket in (lazy, reader):
        socket.subscribe(b"")
    heard = 0
    for turn in range(600):
        await sockets.house.set_paused(turn % 2 == 0)
        while await reader.poll(0):
            await reader.recv_multipart()
            heard += 1
    assert heard, "the one that reads hears of the changes"
    assert await sockets.is_served()
