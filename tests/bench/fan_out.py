"""Load: N subscribers under CURVE, to each of which every message of a burst has to come."""

import time

import zmq
from harness import Floor, Sample, cpu_s
from zmq_requests import TIMEOUT_MS, Endpoint

TOPIC = b"all"
BURST = 200
"""Messages published at once; fewer than a subscriber may have waiting (1,000), so that none is lost."""
QUIET_MS = 50


def endpoint_of(floor: Floor) -> Endpoint:
    """The publish socket of a floor or of a face; a floor admits any key."""
    said = floor.said
    public, secret = said["client_keys"] if "client_keys" in said else (key.decode() for key in zmq.curve_keypair())
    return Endpoint(0, said["server_key"].encode(), public.encode(), secret.encode(), floor.pid, said["publish_port"])


def measure(side: Floor, subscribers: int, seconds: float) -> Sample:
    """Deliveries per second; a latency is the time from the order to publish a burst until all of it is with everybody.

    Raises:
        RuntimeError: a message did not come.
    """
    endpoint, context = endpoint_of(side), zmq.Context()
    try:
        orders = context.socket(zmq.REQ)
        orders.connect(f"tcp://127.0.0.1:{side.said['order_port']}")
        sockets = []
        for _ in range(subscribers):
            socket = endpoint.connect(context, zmq.SUB)
            socket.rcvhwm = 0
            socket.subscribe(TOPIC)
            sockets.append(socket)
        _await_all(orders, sockets)
        bursts, cpu, start = list[float](), cpu_s(side.pid), time.perf_counter()
        while time.perf_counter() - start < seconds:
            sent = time.perf_counter()
            orders.send(b"%d" % BURST)
            _receive(sockets, BURST)
            bursts.append(time.perf_counter() - sent)
            orders.recv()
        took, used = time.perf_counter() - start, cpu_s(side.pid) - cpu
        sample = Sample.of(bursts, took, used)
        each = BURST * subscribers
        return Sample(sample.rate * each, sample.p50_ms, sample.p99_ms, sample.cpu_us / each)
    finally:
        context.destroy(linger=0)


def _await_all(orders: "zmq.Socket[bytes]", sockets: list["zmq.Socket[bytes]"]) -> None:
    """Publish until every subscriber hears it, and drain what came."""
    deadline = time.monotonic() + TIMEOUT_MS / 1e3
    while time.monotonic() < deadline:
        orders.send(b"1")
        orders.recv()
        if all(socket.poll(QUIET_MS) for socket in sockets):
            for socket in sockets:
                while socket.poll(QUIET_MS if socket is sockets[0] else 0):
                    socket.recv_multipart()
            return
    raise RuntimeError("not every subscriber was heard")


def _receive(sockets: list["zmq.Socket[bytes]"], count: int) -> None:
    poller, left = zmq.Poller(), dict.fromkeys(sockets, count)
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    while left:
        ready = poller.poll(TIMEOUT_MS)
        if not ready:
            raise RuntimeError(f"{sum(left.values())} messages did not come")
        for socket, _ in ready:
            try:
                while left[socket]:
                    socket.recv_multipart(zmq.NOBLOCK)
                    left[socket] -= 1
            except zmq.Again:
                continue
            poller.unregister(socket)
            del left[socket]
