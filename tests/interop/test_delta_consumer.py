"""A consumer that knows nothing but what the wire promises follows a run of every engine through random changes and kill -9.

After every change its store must equal the gateway's full state, every element and every field, and no checksum may ever
be wrong. It reads sockets like the user interface's server: the subscription first, then the full state, then batches.
"""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth

from gateway_process import GatewayProcess
from triplane_schemas.cylc import data_store_pb2 as pb
from unit.cylc_datastore.consumer import TYPES, Consumer

FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    runahead limit = P3
    [[queues]]
        [[[default]]]
            limit = 6
    [[graph]]
        P1 = '''
            prep => model?
            model:half? => post_0 & post_1
            model? => post_2 => tidy
            model:fail? => mend
            mend => !post_2
            post_0 & post_1 => tidy
            tidy[-P1] => prep
            start[^] => prep
        '''
        P2 = tidy => report
        R1 = start
[runtime]
    [[root]]
        [[[simulation]]]
            default run length = PT0.2S
            fail cycle points = 3, 7
    [[POST]]
    [[HARD]]
        inherit = POST
    [[start, prep, tidy, report]]
    [[mend]]
        inherit = HARD
    [[model]]
        inherit = HARD
        execution retry delays = PT0.3S
        [[[outputs]]]
            half = halfway
    [[post_0, post_1, post_2]]
        inherit = POST
"""
SIMULATION = {"model": "material_flow", "input": {"duration": 100_000, "pace_s": 0.2}}
RUNS = ("demo", "slow")
NAMES = ("start", "prep", "model", "post_0", "post_1", "post_2", "tidy", "report", "mend")
REPLY_MS, BATCH_MS = 20_000, 15_000
IDS = "workflows: [WorkflowID]!"


class Follower:
    """One subscriber of one run, and what it asks for beside."""

    def __init__(self, home: Path, run: str) -> None:
        self.service = home / "cylc-run" / run / ".service"
        self.run, self.batches = run, 0
        self.context: zmq.Context[Any] = zmq.Context()
        self.subscriber, self.requester = self._socket(zmq.SUB), self._socket(zmq.REQ)
        self.subscriber.subscribe(b"all")
        self._await_subscription()
        self.consumer = Consumer(self.entire())

    def _socket(self, kind: int) -> Any:
        contact = dict(line.split("=", 1) for line in (self.service / "contact").read_text().splitlines())
        public, secret = zmq.auth.load_certificate(self.service / "client.key_secret")
        socket = self.context.socket(kind)
        socket.linger, socket.rcvtimeo = 0, REPLY_MS if kind == zmq.REQ else BATCH_MS
        socket.curve_serverkey = zmq.auth.load_certificate(self.service / "server.key")[0]
        socket.curve_publickey, socket.curve_secretkey = public, secret
        socket.connect(f"tcp://127.0.0.1:{contact['CYLC_WORKFLOW_PUBLISH_PORT' if kind == zmq.SUB else 'CYLC_WORKFLOW_PORT']}")
        return socket

    def _await_subscription(self) -> None:
        """Change something until a batch tells of it: from there on nothing is missed."""
        for _ in range(200):
            for change in ("pause", "resume"):
                self.mutate(change)
            if self.subscriber.poll(100):
                return
        raise AssertionError(f"{self.run}: nothing was heard on the publish socket")

    def close(self) -> None:
        self.context.destroy(linger=0)

    def ask(self, command: str, **args: Any) -> bytes:
        self.requester.send(json.dumps({"command": command, "args": args, "meta": {}}).encode())
        return bytes(self.requester.recv())

    def entire(self) -> bytes:
        return self.ask("pb_entire_workflow")

    def mutate(self, name: str, declared: str = "", passed: str = "", **variables: Any) -> Any:
        document = f"mutation ($w: [WorkflowID]!{declared}) {{ {name}(workflows: $w{passed}) {{ result }} }}"
        answer = json.loads(self.ask("graphql", request_string=document, variables={"w": [self.run], **variables}))
        assert "error" not in answer, (name, variables, answer)
        return answer

    def on_tasks(self, name: str, *tasks: str) -> None:
        self.mutate(name, ", $t: [NamespaceIDGlob]!", ", tasks: $t", t=list(tasks))

    def check(self) -> None:
        """The full state, and the store once all batches in it have come, are the same; so is each type by itself."""
        whole = pb.PbEntireWorkflow.FromString(self.entire())
        while self.consumer.workflow.last_updated < whole.workflow.last_updated:
            topic, payload = self.subscriber.recv_multipart()
            self.consumer.receive(topic, payload)
            self.batches += 1
        assert self.consumer.mismatches == []
        assert_same(self.consumer.entire(), whole)


def assert_same(ours: pb.PbEntireWorkflow, theirs: pb.PbEntireWorkflow) -> None:
    """Equal in every element and field; only the order of elements within a type means nothing."""
    assert ours.workflow == theirs.workflow
    for topic in TYPES:
        rows, expected = ({row.id: row for row in getattr(state, topic)} for state in (ours, theirs))
        assert rows.keys() == expected.keys(), topic
        for element_id, row in rows.items():
            assert row == expected[element_id], (topic, element_id)


def change(follower: Follower, rng: random.Random) -> None:
    """One random change that anybody with a key may ask for; some match nothing."""
    cycles = sorted({int(row.cycle_point) for row in follower.consumer.rows["task_proxies"].values()}) or [1]
    task = f"{rng.choice([*cycles, cycles[-1] + 1])}/{rng.choice(NAMES)}"
    match rng.randrange(12):
        case 0 | 1:
            follower.on_tasks("hold", rng.choice([task, "*/model", "*"]))
        case 2 | 3 | 4:
            follower.on_tasks("release", rng.choice([task, "*"]))
        case 5:
            follower.on_tasks("trigger", task)
        case 6:
            follower.on_tasks("set", task)
        case 7:
            follower.on_tasks("remove", task)
        case 8:
            follower.mutate("setGraphWindowExtent", ", $n: Int!", ", nEdgeDistance: $n", n=rng.choice([0, 1, 1, 2, 3]))
        case 9:
            settings = [{"environment": {"NUMBER": str(rng.random())}}]
            follower.mutate("broadcast", ", $s: [BroadcastSetting]", ", settings: $s", s=settings)
        case 10:
            follower.mutate("pause")
            follower.check()
            follower.mutate("resume")
        case 11:
            follower.mutate("reload")


def contact_of(gateway: GatewayProcess, run: str) -> Path:
    return gateway.home / "cylc-run" / run / ".service" / "contact"


def until(what: str, holds: Any) -> None:
    end = time.monotonic() + 40.0
    while not holds():
        assert time.monotonic() < end, f"it never came true that {what}"
        time.sleep(0.05)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    served = GatewayProcess(tmp_path)
    (served.definitions / "demo").mkdir()
    (served.definitions / "demo" / "flow.cylc").write_text(FLOW)
    (served.definitions / "slow.json").write_text(json.dumps(SIMULATION))
    with served:
        yield served


@pytest.mark.parametrize(
    ("seconds", "kills"),
    [
        pytest.param(10, 1, id="reduced"),
        pytest.param(600, 15, id="full", marks=[pytest.mark.full, pytest.mark.timeout(1_800)]),
    ],
)
def test_a_consumer_has_the_full_state_after_every_batch_whatever_happens(gateway: GatewayProcess, seconds: float, kills: int):
    seed = int.from_bytes(os.urandom(4), "big")
    rng = random.Random(seed)
    gateway.cli("start", "graph:demo", "--id", "demo", "--mode", "simulation")
    gateway.cli("start", "simulation:slow", "--id", "slow")
    checked = batches = 0
    for _ in range(kills + 1):
        until("the faces are open", lambda: all(contact_of(gateway, run).exists() for run in RUNS))
        followers = [Follower(gateway.home, run) for run in RUNS]
        end = time.monotonic() + seconds / (kills + 1)
        try:
            while time.monotonic() < end:
                change(followers[0], rng)
                for follower in followers:
                    follower.check()
                checked += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, after {checked} changes: {error}") from error
        finally:
            batches += sum(follower.batches for follower in followers)
            for follower in followers:
                follower.close()
        gateway.stop(signal.SIGKILL)
        for run in RUNS:
            contact_of(gateway, run).unlink()
        gateway.start()
    assert checked > seconds and batches > seconds
