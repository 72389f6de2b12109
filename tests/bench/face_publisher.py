"""Ours beside `floors/publisher.py`: a face's own publish socket, fed by its own store.

Takes orders like the floor. For each message a task of the store is held or released, and what the store makes of that is
published as the gateway publishes it: one message for each type that changed, and one on `all`. Its CURVE key is checked by
the gateway's doorkeeper. Prints ports, keys and the size of a message on `all` as one JSON line when it is ready.
"""

import asyncio
import json
import time

import zmq

from triplane.deltas import Delta
from triplane.entities import Run, RunDetail, Task, evolve
from triplane_cylc.datastore import FaceIdentity, FaceStore
from triplane_cylc.faces.keys import KeyPair
from triplane_cylc.transport.doorkeeper import Doorkeeper
from triplane_cylc.transport.ports import PortRange
from triplane_cylc.transport.sockets import FaceSockets

TASKS = 100
DOMAIN, PORTS = "bench", PortRange(32_800, 60_000)


class Nobody:
    """Answers requests; there are none."""

    def receive(self, body: bytes | None, user_id: str) -> bytes:
        return b""

    def busy(self) -> bytes:
        return b""


class Changing:
    """A store in which one task after the other is held, and then released."""

    def __init__(self) -> None:
        self.run = Run(
            namespace="default", workflow_id="bench", run_id="r1", run_number=1, engine="graph", workflow_type="bench", task_queue="",
            status="running", created=1.0, updated=1.0,
        )  # fmt: skip
        self.tasks = [Task(cycle="1", name=f"t{seq}", seq=seq, state="waiting", updated=1.0) for seq in range(1, TASKS + 1)]
        identity = FaceIdentity("user", "bench", "localhost", 1, 2, "cylc-run/bench")
        self.store = FaceStore(identity, self.run, RunDetail(), self.tasks, (), time.time)
        self._cursor = 0

    def next(self) -> list[tuple[bytes, bytes]]:
        """What is to be published for the next change."""
        task = self.tasks[self._cursor % TASKS]
        held = evolve(task, is_held=not task.is_held)
        self.tasks[self._cursor % TASKS] = held
        self._cursor += 1
        return self.store.apply(Delta(cursor=self._cursor, time=time.time(), run=self.run, tasks=(held,)))


async def main() -> None:
    loop, context, doorkeeper = asyncio.get_running_loop(), zmq.Context(), Doorkeeper()
    doorkeeper.start(context)
    server, client, changing = KeyPair.generate(), KeyPair.generate(), Changing()
    doorkeeper.allow(DOMAIN, frozenset({client.public}))
    sockets = FaceSockets(context, doorkeeper, DOMAIN, server, Nobody())
    sockets.open(PORTS, 0, 0)
    orders = context.socket(zmq.REP)
    order_port = orders.bind_to_random_port("tcp://127.0.0.1")

    def obey() -> None:
        while orders.getsockopt(zmq.EVENTS) & zmq.POLLIN:  # type: ignore[operator, arg-type]
            for _ in range(int(orders.recv())):
                sockets.publish(changing.next())
            orders.send(b"")

    loop.add_reader(orders.FD, obey)
    sizes = [len(payload) for _ in range(2) for topic, payload in changing.next() if topic == b"all"]
    said = {
        "publish_port": sockets.publish_port, "order_port": order_port, "server_key": server.public.decode(), "size": max(sizes),
        "client_keys": [client.public.decode(), client.secret.decode()],
    }  # fmt: skip
    print(json.dumps(said), flush=True)
    obey()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
