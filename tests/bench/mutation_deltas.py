"""Load: mutations under CURVE, each timed until its delta is read from the PUB socket."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgpack
import zmq
from harness import Sample, cpu_s
from zmq_requests import TIMEOUT_MS, Endpoint, query

MUTATION = """
mutation ($wFlows: [WorkflowID]!, $tasks: [NamespaceIDGlob]!) {
  %s (workflows: $wFlows, tasks: $tasks) { result }
}
"""
SETTLE_MS, PEER_SETTLE_MS = 100, 1_500
"""For so long nothing more is heard before the clock starts: what was asked for while subscribing has come."""


@dataclass(frozen=True)
class Side:
    """A server that takes mutations and tells of what they did.

    Attributes:
        topic: of the messages that tell.
        request: (sender, number) → the mutation; a sender's odd numbers hold its task, its even ones release it.
        told: payload → which senders' tasks it tells of, and whether they are held now.
    """

    endpoint: Endpoint
    topic: bytes
    request: Callable[[int, int], bytes]
    told: Callable[[bytes], Iterable[tuple[int, bool]]]
    settle_ms: int = SETTLE_MS


def floor_side(endpoint: Endpoint) -> Side:
    """The floor tells of every mutation by its number."""

    def request(sender: int, number: int) -> bytes:
        return b'{"command":"hold","task":"1/t%d","number":%d}' % (sender, number * 1_000 + sender)

    def told(payload: bytes) -> Iterable[tuple[int, bool]]:
        number, sender = divmod(msgpack.unpackb(payload)["number"], 1_000)
        yield sender, bool(number % 2)

    return Side(endpoint, b"tasks", request, told)


def cylc_side(endpoint: Endpoint, workflow: str, tasks: list[str], settle_ms: int = SETTLE_MS) -> Side:
    """What speaks the Cylc wire; sender n holds and releases the n-th of `tasks` (`cycle/name`)."""
    from triplane_schemas.cylc.data_store_pb2 import TPDeltas

    sender_of = {task: sender for sender, task in enumerate(tasks)}

    def request(sender: int, number: int) -> bytes:
        return query(MUTATION % ("hold" if number % 2 else "release"), wFlows=[workflow], tasks=[tasks[sender]])

    def told(payload: bytes) -> Iterable[tuple[int, bool]]:
        deltas = TPDeltas.FromString(payload)
        for proxy in [*deltas.updated, *deltas.added]:
            sender = sender_of.get(proxy.id.partition("//")[2])
            if sender is not None and proxy.HasField("is_held"):
                yield sender, proxy.is_held

    return Side(endpoint, b"task_proxies", request, told, settle_ms)


def measure(side: Side, clients: int, seconds: float) -> Sample:
    """Latency from sending a mutation until its delta is in the subscriber's hands; a sender's next goes out after both
    its reply and its delta.

    Raises:
        RuntimeError: a mutation was refused, or its delta did not come within the socket's time limit.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        subscriber = side.endpoint.connect(context, zmq.SUB)
        subscriber.subscribe(side.topic)
        senders = [side.endpoint.connect(context, zmq.REQ) for _ in range(clients)]
        _until_subscribed(senders, subscriber, side)
        run = _one if clients == 1 else _many
        return run(side, senders, subscriber, seconds)
    finally:
        context.destroy(linger=0)


def _one(side: Side, senders: list["zmq.Socket[bytes]"], subscriber: "zmq.Socket[bytes]", seconds: float) -> Sample:
    sender, number, latencies, pid = senders[0], 0, list[float](), side.endpoint.pid
    cpu, start = cpu_s(pid), time.perf_counter()
    while time.perf_counter() - start < seconds or number % 2:
        number += 1
        body, awaited = side.request(0, number), (0, bool(number % 2))
        sent = time.perf_counter()
        sender.send(body)
        while awaited not in side.told(subscriber.recv_multipart()[1]):
            pass
        latencies.append(time.perf_counter() - sent)
        _check(sender.recv())
    return Sample.of(latencies, time.perf_counter() - start, cpu_s(pid) - cpu)


def _many(side: Side, senders: list["zmq.Socket[bytes]"], subscriber: "zmq.Socket[bytes]", seconds: float) -> Sample:
    poller, place = zmq.Poller(), {socket: sender for sender, socket in enumerate(senders)}
    for socket in (*senders, subscriber):
        poller.register(socket, zmq.POLLIN)
    number, sent, missing = [0] * len(senders), [0.0] * len(senders), [0] * len(senders)
    latencies: list[float] = []
    cpu, start = cpu_s(side.endpoint.pid), time.perf_counter()

    def send(sender: int) -> None:
        """The sender's next, unless time is up and its task is as it was."""
        if time.perf_counter() - start < seconds or number[sender] % 2:
            number[sender] += 1
            missing[sender], sent[sender] = 2, time.perf_counter()
            senders[sender].send(side.request(sender, number[sender]))

    def had(sender: int) -> None:
        missing[sender] -= 1
        if not missing[sender]:
            send(sender)

    for sender in range(len(senders)):
        send(sender)
    while any(missing):
        ready = poller.poll(TIMEOUT_MS)
        if not ready:
            raise RuntimeError("a delta or a reply did not come in time")
        for socket, _ in ready:
            if socket is not subscriber:
                _check(socket.recv())
                had(place[socket])
                continue
            for sender, held in side.told(subscriber.recv_multipart()[1]):
                if missing[sender] and held == bool(number[sender] % 2) and sent[sender]:
                    latencies.append(time.perf_counter() - sent[sender])
                    sent[sender] = 0.0
                    had(sender)
    return Sample.of(latencies, time.perf_counter() - start, cpu_s(side.endpoint.pid) - cpu)


def _until_subscribed(senders: list["zmq.Socket[bytes]"], subscriber: "zmq.Socket[bytes]", side: Side) -> None:
    """Have every sender connected, mutate until the subscription is heard, then drain what came."""
    for number in (1, 2):
        for sender, socket in enumerate(senders):
            socket.send(side.request(sender, number))
        for socket in senders:
            _check(socket.recv())
    for number in range(1, 1_001):
        senders[0].send(side.request(0, number))
        _check(senders[0].recv())
        if number % 2 == 0 and subscriber.poll(20):
            while subscriber.poll(side.settle_ms):
                subscriber.recv_multipart()
            return
    raise RuntimeError(f"no delta came within {TIMEOUT_MS / 1e3} s")


def _check(reply: bytes) -> None:
    if b'"error"' in reply or b"false" in reply:
        raise RuntimeError(f"a mutation was refused: {reply[:500]!r}")
