"""The sockets of faces: who gets in, what comes back, and that nobody waits for anybody else."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import zmq
import zmq.asyncio

from triplane.testing import eventually
from triplane_cylc.faces.keys import KeyPair
from triplane_cylc.transport.doorkeeper import Doorkeeper
from triplane_cylc.transport.envelope import open_envelope
from triplane_cylc.transport.limits import DEFAULTS, WireLimits
from triplane_cylc.transport.ports import NoFreePort, PortRange
from triplane_cylc.transport.sockets import MAX_PENDING_REPLIES, FaceSockets

PORTS = PortRange(23_000, 29_000)
SILENCE_S = 0.4


class Echo:
    """Answers with what it got; `slow` bodies wait for the event."""

    def __init__(self):
        self.seen, self.go = [], asyncio.Event()

    def receive(self, body, user_id):
        self.seen.append((body, user_id))
        if body == b"slow":
            return self._later()
        if body == b"bug":
            raise RuntimeError("a bug")
        if body == b"late bug":
            return self._late_bug()
        return b"several frames" if body is None else b"echo " + body[:20]

    async def _later(self):
        await self.go.wait()
        return b"late"

    async def _late_bug(self):
        raise RuntimeError("a bug")

    def busy(self):
        return b"busy"


class Gate:
    """A context with a doorkeeper, and faces on it."""

    def __init__(self):
        self.context = zmq.Context(io_threads=1)
        self.clients = zmq.asyncio.Context()
        self.doorkeeper = Doorkeeper()
        self.doorkeeper.start(self.context)
        self.faces = []

    def face(self, domain, *clients, **limits):
        server, echo = KeyPair.generate(), Echo()
        self.doorkeeper.allow(domain, frozenset(client.public for client in clients))
        sockets = FaceSockets(self.context, self.doorkeeper, domain, server, echo, WireLimits(**limits))
        sockets.open(PORTS, 0, 0)
        sockets.server, sockets.echo = server, echo
        self.faces.append(sockets)
        return sockets

    def connect(self, face, client, kind=zmq.REQ, server=None, port=None):
        socket = self.clients.socket(kind)
        socket.linger = 0
        if client is not None:
            socket.curve_serverkey = (server or face.server).public
            socket.curve_publickey, socket.curve_secretkey = client.public, client.secret
        socket.connect(f"tcp://127.0.0.1:{port or face.port}")
        return socket

    async def ask(self, face, client, body=b"hi", **more):
        socket = self.connect(face, client, **more)
        try:
            await socket.send(body)
            return await asyncio.wait_for(socket.recv(), 3 if not more and client else SILENCE_S)
        finally:
            socket.close()

    def close(self):
        for face in self.faces:
            face.close()
        self.doorkeeper.stop()
        self.context.destroy(0)
        self.clients.destroy(0)


@pytest.fixture
async def gate():
    gate = Gate()
    yield gate
    gate.close()


@asynccontextmanager
async def silence():
    with pytest.raises(TimeoutError):
        yield


async def test_a_key_opens_the_face_it_was_issued_for(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    assert await gate.ask(face, client) == b"echo hi"
    assert face.echo.seen == [(b"hi", client.public.decode())]


async def test_one_faces_key_opens_no_other_face_and_nothing_reaches_it(gate):
    mine, theirs = KeyPair.generate(), KeyPair.generate()
    face, others = gate.face("mine", mine), [gate.face(f"other{n}", theirs) for n in range(3)]
    for other in others:
        async with silence():
            await gate.ask(other, mine, server=other.server)
        assert other.echo.seen == []
    assert gate.doorkeeper.denials >= 3
    assert await gate.ask(face, mine) == b"echo hi"


@pytest.mark.parametrize("who", ["an unknown key", "no key", "the right key to a wrong server"])
async def test_whoever_has_not_the_keys_hears_nothing(gate, who):
    client = KeyPair.generate()
    face = gate.face("one", client)
    async with silence():
        match who:
            case "an unknown key":
                await gate.ask(face, KeyPair.generate(), server=face.server)
            case "no key":
                await gate.ask(face, None)
            case _:
                await gate.ask(face, client, server=KeyPair.generate())
    assert face.echo.seen == []
    assert await gate.ask(face, client) == b"echo hi"


async def test_a_revoked_key_is_worth_nothing_at_once_even_on_an_open_connection(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    socket = gate.connect(face, client)
    await socket.send(b"before")
    assert await socket.recv() == b"echo before"
    gate.doorkeeper.allow("one", frozenset())
    await socket.send(b"after")
    async with silence():
        await asyncio.wait_for(socket.recv(), SILENCE_S)
    assert [body for body, _ in face.echo.seen] == [b"before"]
    socket.close()


async def test_a_subscriber_whose_key_is_revoked_is_cut(gate):
    client, other = KeyPair.generate(), KeyPair.generate()
    face = gate.face("one", client, other)
    subscribers = {}
    for who in (client, other):
        subscribers[who] = gate.connect(face, who, zmq.SUB, port=face.publish_port)
        subscribers[who].subscribe(b"")
        assert await heard(face, subscribers[who])
    gate.doorkeeper.allow("one", frozenset({other.public}))
    await face.cut_subscribers(PORTS)
    await drained(subscribers[client])
    await drained(subscribers[other])
    assert await heard(face, subscribers[other])
    assert not await heard(face, subscribers[client], 0.3)
    for socket in subscribers.values():
        socket.close()


async def drained(socket):
    try:
        while True:
            await asyncio.wait_for(socket.recv_multipart(), 0.2)
    except TimeoutError:
        return


async def heard(face, socket, patience_s=3.0):
    """Publish until the subscriber, which may still be connecting, hears it."""
    end = asyncio.get_running_loop().time() + patience_s
    while asyncio.get_running_loop().time() < end:
        face.publish([(b"all", b"payload")])
        try:
            return await asyncio.wait_for(socket.recv_multipart(), 0.05) == [b"all", b"payload"]
        except TimeoutError:
            continue
    return False


async def test_a_topic_and_its_payload_arrive_as_two_frames_in_order(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    socket = gate.connect(face, client, zmq.SUB, port=face.publish_port)
    socket.subscribe(b"all")
    assert await heard(face, socket)
    face.publish([(b"jobs", b"not asked for"), (b"all", b"1"), (b"all", b"2")])
    messages = []
    while len(messages) < 2:
        message = await asyncio.wait_for(socket.recv_multipart(), 3)
        if message[1] != b"payload":
            messages.append(message)
    assert messages == [[b"all", b"1"], [b"all", b"2"]]
    socket.close()


async def test_a_face_knows_whether_anybody_has_subscribed(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    assert not face.has_subscribers
    for times in range(2):
        socket = gate.connect(face, client, zmq.SUB, port=face.publish_port)
        socket.subscribe(b"workflow")
        await eventually("the subscription is known", lambda: face.has_subscribers)
        if times == 0:
            socket.unsubscribe(b"workflow")
            await eventually("it is known to be over", lambda: not face.has_subscribers)
        socket.close()
        await eventually("whoever leaves is not followed any more", lambda: not face.has_subscribers)


async def test_a_request_of_several_frames_is_answered_and_the_next_is_served(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    socket = gate.connect(face, client)
    await socket.send_multipart([b"one", b"two"])
    assert await socket.recv() == b"several frames"
    await socket.send(b"")
    assert await socket.recv() == b"echo "
    await socket.send(b"again")
    assert await socket.recv() == b"echo again"
    socket.close()


async def test_a_dealer_without_the_delimiter_gets_no_reply_and_with_it_gets_one(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    socket = gate.connect(face, client, zmq.DEALER)
    await socket.send(b"bare")
    await socket.send_multipart([b"", b"proper"])
    assert await asyncio.wait_for(socket.recv_multipart(), 3) == [b"", b"echo proper"]
    assert [body for body, _ in face.echo.seen] == [b"proper"]
    socket.close()


async def test_a_request_over_the_limit_never_arrives_and_the_neighbour_is_served(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    async with silence():
        await gate.ask(face, client, b"x" * (DEFAULTS.request_bytes + 1), server=face.server)
    assert await gate.ask(face, client) == b"echo hi"
    assert [body for body, _ in face.echo.seen] == [b"hi"]


async def test_bytes_that_are_no_zeromq_and_connections_that_say_nothing_harm_nobody(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    writers = []
    for data in [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03" * 60, *[b""] * 20]:
        _, writer = await asyncio.open_connection("127.0.0.1", face.port)
        writer.write(data)
        writers.append(writer)
    assert await gate.ask(face, client) == b"echo hi"
    assert [body for body, _ in face.echo.seen] == [b"hi"]
    for writer in writers:
        writer.close()


async def test_denials_are_logged_but_not_without_end(gate, capsys):
    doorkeeper = Doorkeeper()
    for _ in range(500):
        reply = doorkeeper.answer([b"1.0", b"id", b"domain", b"127.0.0.1", b"", b"CURVE", b"k" * 32])
        assert reply[2] == b"400"
    assert doorkeeper.denials == 500
    assert 1 <= capsys.readouterr().out.count("cylc_key_denied") <= 25


async def test_a_reply_that_waits_for_its_commit_holds_nobody_up(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    slow = gate.connect(face, client)
    await slow.send(b"slow")
    assert await gate.ask(face, client) == b"echo hi"
    face.echo.go.set()
    assert await asyncio.wait_for(slow.recv(), 3) == b"late"
    slow.close()


async def test_too_many_waiting_replies_are_refused_and_those_that_wait_are_kept(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    socket = gate.connect(face, client, zmq.DEALER)
    for _ in range(MAX_PENDING_REPLIES + 1):
        await socket.send_multipart([b"", b"slow"])
    assert await asyncio.wait_for(socket.recv_multipart(), 5) == [b"", b"busy"]
    face.echo.go.set()
    for _ in range(MAX_PENDING_REPLIES):
        assert await asyncio.wait_for(socket.recv_multipart(), 5) == [b"", b"late"]
    socket.close()


@pytest.mark.parametrize("body", [b"bug", b"late bug"])
async def test_a_bug_behind_the_socket_is_an_answer_too_and_the_next_request_is_served(gate, body):
    client = KeyPair.generate()
    face = gate.face("one", client)
    assert await gate.ask(face, client, body) == b"busy"
    assert await gate.ask(face, client) == b"echo hi"


async def test_many_clients_and_many_requests_all_get_their_own_answer(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)

    async def talk(name):
        socket = gate.connect(face, client)
        for turn in range(40):
            body = b"%s-%d" % (name, turn)
            await socket.send(body)
            assert await asyncio.wait_for(socket.recv(), 5) == b"echo " + body
        socket.close()

    await asyncio.gather(*(talk(b"c%d" % number) for number in range(16)))


async def test_ports_are_taken_again_when_free_and_others_when_not(gate):
    client = KeyPair.generate()
    first = gate.face("one", client)
    second = FaceSockets(gate.context, gate.doorkeeper, "two", first.server, Echo())
    second.open(PORTS, first.port, first.publish_port)
    gate.faces.append(second)
    assert len({first.port, first.publish_port, second.port, second.publish_port}) == 4
    taken = (second.port, second.publish_port)
    second.close()
    again = FaceSockets(gate.context, gate.doorkeeper, "two", first.server, Echo())
    gate.faces.append(again)
    await open_soon(again, *taken)
    assert (again.port, again.publish_port) == taken


async def open_soon(sockets, port, publish_port):
    """Closing gives ports back in the background; ask until it has."""
    for _ in range(100):
        sockets.open(PORTS, port, publish_port)
        if (sockets.port, sockets.publish_port) == (port, publish_port):
            return
        sockets.close()
        await asyncio.sleep(0.02)


async def test_a_range_that_is_used_up_is_a_clear_error_and_leaves_nothing_bound(gate):
    client = KeyPair.generate()
    face = gate.face("one", client)
    other = FaceSockets(gate.context, gate.doorkeeper, "two", face.server, Echo())
    with pytest.raises(NoFreePort, match="widen adapters.cylc.ports"):
        other.open(PortRange(face.port, face.port), 0, 0)
    assert other._router is None and other._publisher is None


@pytest.mark.parametrize(
    "frames",
    [[], [b"1.0"], [b"1.0", b"id"], [b"2.0", b"id", b"d", b"a", b"", b"CURVE", b"k" * 32], [b"1.0", b"id", b"d", b"a", b"", b"NULL"]],
)
def test_a_zap_request_that_is_not_curve_or_not_whole_is_refused(frames):
    doorkeeper = Doorkeeper()
    reply = doorkeeper.answer(frames)
    assert len(reply) == 6 and reply[0] == b"1.0" and reply[2] == b"400"


@pytest.mark.parametrize(
    ("frames", "envelope", "body"),
    [
        ([b"id", b"", b"x"], [b"id", b""], b"x"),
        ([b"id", b"", b""], [b"id", b""], b""),
        ([b"id", b"hop", b"", b"x"], [b"id", b"hop", b""], b"x"),
        ([b"id", b"", b"x", b"y"], [b"id", b""], None),
    ],
)
def test_an_envelope_is_kept_up_to_the_empty_frame(frames, envelope, body):
    incoming = open_envelope(frames)
    assert (incoming.envelope, incoming.body) == (envelope, body)


@pytest.mark.parametrize("frames", [[b"id"], [b"id", b"x"], [b"id", b""], [b"id", *[b"hop"] * 20, b"", b"x"]])
def test_what_a_rep_socket_would_drop_is_dropped(frames):
    assert open_envelope(frames) is None


async def test_who_asks_too_fast_is_told_so_and_nobody_else_is(gate):
    client = KeyPair.generate()
    face = gate.face("one", client, requests_per_s=5.0)
    fast = gate.connect(face, client, kind=zmq.DEALER)
    for _ in range(30):
        await fast.send_multipart([b"", b"hi"])
    replies = [(await asyncio.wait_for(fast.recv_multipart(), 3))[-1] for _ in range(30)]
    fast.close()
    assert replies[0] == b"echo hi" and replies.count(b"busy") >= 15, "every request has a reply, whatever it says"
    assert await gate.ask(face, client) == b"echo hi"


def test_an_address_that_comes_too_often_is_sent_away_for_now_and_others_are_let_in():
    client = KeyPair.generate()
    doorkeeper = Doorkeeper(handshakes_per_s=2.0)
    doorkeeper.allow("one", frozenset({client.public}))

    def knock(address):
        return doorkeeper.answer([b"1.0", b"7", b"one", address, b"", b"CURVE", zmq.utils.z85.decode(client.public)])[2]

    assert [knock(b"10.0.0.1") for _ in range(6)] == [b"200"] * 4 + [b"300"] * 2
    assert knock(b"10.0.0.2") == b"200" and doorkeeper.denials == 2
