"""Load: one sender of mutations under CURVE, timed until the delta of each is read from the PUB socket."""

import json
import time
from collections.abc import Callable
from typing import Any

import msgpack
import zmq
from harness import Sample, cpu_s
from zmq_requests import TIMEOUT_MS, Endpoint

MUTATION = """
mutation ($wFlows: [WorkflowID]!, $tasks: [NamespaceIDGlob]!) {
  %s (workflows: $wFlows, tasks: $tasks) { result }
}
"""

Request = Callable[[int], bytes]
"""The mutation with that number, as it goes on the wire."""
IsDelta = Callable[[int, bytes], bool]
"""Whether a published payload is the delta of the mutation with that number."""


def floor_request(number: int) -> bytes:
    return b'{"command":"hold","task":"1/t%d","number":%d}' % (number % 1000, number)


def floor_is_delta(number: int, payload: bytes) -> bool:
    return bool(msgpack.unpackb(payload)["number"] == number)


def our_request(workflow: str, task: str) -> Request:
    """Odd numbers hold the task and even numbers release it, so that every mutation changes something."""

    def request(number: int) -> bytes:
        name = "hold" if number % 2 else "release"
        variables = {"wFlows": [workflow], "tasks": [task]}
        arguments: dict[str, Any] = {"request_string": MUTATION % name, "variables": variables}
        meta = {"prog": name, "host": "bench.example.org", "comms_method": "zmq"}
        return json.dumps({"command": "graphql", "args": arguments, "meta": meta}).encode()

    return request


def our_is_delta(task: str) -> IsDelta:
    """A task proxies message in which the task is held after an odd mutation and not held after an even one."""
    from triplane_schemas.cylc.data_store_pb2 import TPDeltas

    def is_delta(number: int, payload: bytes) -> bool:
        deltas = TPDeltas.FromString(payload)
        return any(
            proxy.id.endswith(f"//{task}") and proxy.HasField("is_held") and proxy.is_held == bool(number % 2)
            for proxy in [*deltas.updated, *deltas.added]
        )

    return is_delta


def measure(endpoint: Endpoint, topic: bytes, request: Request, is_delta: IsDelta, seconds: float) -> Sample:
    """Latency from sending a mutation until its delta is in the subscriber's hands; the next goes out after the reply.

    Raises:
        RuntimeError: a mutation was refused, or its delta did not come within the socket's time limit.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        subscriber = endpoint.connect(context, zmq.SUB)
        subscriber.subscribe(topic)
        sender = endpoint.connect(context, zmq.REQ)
        number = _until_subscribed(sender, subscriber, request)
        latencies: list[float] = []
        cpu, start = cpu_s(endpoint.pid), time.perf_counter()
        while time.perf_counter() - start < seconds or number % 2:
            number += 1
            sent = time.perf_counter()
            sender.send(request(number))
            while not is_delta(number, subscriber.recv_multipart()[1]):
                pass
            latencies.append(time.perf_counter() - sent)
            _check(sender.recv())
        return Sample.of(latencies, time.perf_counter() - start, cpu_s(endpoint.pid) - cpu)
    finally:
        context.destroy(linger=0)


def _until_subscribed(sender: "zmq.Socket[bytes]", subscriber: "zmq.Socket[bytes]", request: Request) -> int:
    """Mutate until the subscription is heard, then drain what came; the number of mutations sent, an even one."""
    number = 0
    for _ in range(1000):
        number += 1
        sender.send(request(number))
        _check(sender.recv())
        if number % 2 == 0 and subscriber.poll(20):
            while subscriber.poll(100):
                subscriber.recv_multipart()
            return number
    raise RuntimeError(f"no delta came within {TIMEOUT_MS / 1e3} s")


def _check(reply: bytes) -> None:
    if b'"error"' in reply or b"false" in reply:
        raise RuntimeError(f"a mutation was refused: {reply[:500]!r}")
