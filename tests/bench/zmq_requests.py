"""Load: N REQ sockets under CURVE in one thread, each with one request outstanding."""

import json
import time
from dataclasses import dataclass

import zmq
from harness import Sample, cpu_s

TIMEOUT_MS = 10_000
WARM_ROUNDS = 5


def request(command: str, **args: object) -> bytes:
    """A request as clients send it."""
    meta = {"prog": command, "host": "bench.example.org", "comms_method": "zmq"}
    return json.dumps({"command": command, "args": args, "meta": meta}).encode()


def query(text: str, **variables: object) -> bytes:
    """A `graphql` request."""
    return request("graphql", request_string=text, variables=variables)


SMALLEST_REQUEST = request("ping_workflow")


@dataclass(frozen=True)
class Endpoint:
    """A CURVE server, the keys that open it, and the process whose CPU counts."""

    port: int
    server_key: bytes
    client_public: bytes
    client_secret: bytes
    pid: int
    publish_port: int = 0

    def connect(self, context: "zmq.Context[zmq.Socket[bytes]]", kind: int) -> "zmq.Socket[bytes]":
        """A REQ or SUB socket on it, that gives up after `TIMEOUT_MS`."""
        socket = context.socket(kind)
        socket.linger, socket.rcvtimeo = 0, TIMEOUT_MS
        socket.curve_serverkey = self.server_key
        socket.curve_publickey, socket.curve_secretkey = self.client_public, self.client_secret
        socket.connect(f"tcp://127.0.0.1:{self.publish_port if kind == zmq.SUB else self.port}")
        return socket


def measure(endpoint: Endpoint, body: bytes, clients: int, seconds: float, warm_rounds: int = WARM_ROUNDS) -> Sample:
    """Requests per second of `clients` sockets together; connecting and the first `warm_rounds` requests of each are not timed."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        sockets = [endpoint.connect(context, zmq.REQ) for _ in range(clients)]
        for _ in range(warm_rounds):
            for socket in sockets:
                socket.send(body)
            for socket in sockets:
                reply = socket.recv()
                if reply.startswith((b'{"error"', b'{"data": null', b'{"data":null')):
                    raise RuntimeError(f"a request was refused: {reply[:500]!r}")
        return _loop(sockets, body, endpoint.pid, seconds)
    finally:
        context.destroy(linger=0)


def _loop(sockets: list["zmq.Socket[bytes]"], body: bytes, pid: int, seconds: float) -> Sample:
    poller, sent, latencies, now = zmq.Poller(), {}, [], time.perf_counter
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    cpu, start = cpu_s(pid), now()
    for socket in sockets:
        sent[socket] = now()
        socket.send(body)
    end = start + seconds
    if len(sockets) == 1:
        # A poll before each receive would be a large part of one round trip.
        socket = sockets[0]
        while now() < end:
            socket.recv()
            latencies.append(now() - sent[socket])
            sent[socket] = now()
            socket.send(body)
    else:
        while now() < end:
            ready = poller.poll(TIMEOUT_MS)
            if not ready:
                raise RuntimeError("no reply within the time limit")
            for socket, _ in ready:
                socket.recv()
                received = now()
                latencies.append(received - sent[socket])
                sent[socket] = received
                socket.send(body)
    return Sample.of(latencies, now() - start, cpu_s(pid) - cpu)
