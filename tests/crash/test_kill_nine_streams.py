"""The gateway is killed while clients append to streams: what was acknowledged is there, once, where it was said to be."""

import json
import signal
import threading
import time
import urllib.error
from pathlib import Path
from typing import Any

from gateway_process import GatewayProcess

SENDERS, EACH, KILLS = 4, 150, 2
WORKER = {"X-Durable-Workflow-Protocol-Version": "1.20"}


class Sender(threading.Thread):
    """Appends an item and a message after the other, each again until it is answered, and notes the answers."""

    def __init__(self, gateway: GatewayProcess, run_id: str, number: int) -> None:
        super().__init__(daemon=True)
        self.gateway, self.run_id, self.number = gateway, run_id, number
        self.offsets: dict[str, int] = {}
        self.positions: dict[str, int] = {}

    def run(self) -> None:
        for count in range(EACH):
            key = f"s{self.number}-{count}"
            item = {"payload": [self.number, count], "idempotency_key": key}
            self.offsets[key] = self.until_answered(f"runs/{self.run_id}/streams/out/items", {"items": [item]})["accepted_offsets"][0]
            message = {"message_id": key, "input": [count]}
            self.positions[key] = self.until_answered("message-streams/in/messages", message)["position"]

    def until_answered(self, path: str, body: Any) -> Any:
        while True:
            try:
                status, answer = self.gateway.http("POST", f"/api/workflows/w/{path}", body)
            except (urllib.error.URLError, ConnectionError, json.JSONDecodeError, TimeoutError):
                time.sleep(0.01)
                continue
            if status < 300:
                return answer
            assert status in (429, 503), answer


def items_of(gateway: GatewayProcess, run_id: str) -> list[Any]:
    items: list[Any] = []
    while True:
        _, page = gateway.http("GET", f"/api/workflows/w/runs/{run_id}/streams/out/items?from={len(items)}&max_items=500")
        if not page["items"]:
            return items
        items += page["items"]


def test_what_was_acknowledged_of_a_burst_is_there_once_after_every_kill(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path) as gateway:
        start = {"workflow_id": "w", "workflow_type": "flow", "task_queue": "q"}
        run_id = gateway.http("POST", "/api/workflows", start)[1]["run_id"]
        # A worker holds the workflow task, so messages wait behind it: the path on which the most is at stake.
        worker = {"worker_id": "busy", "task_queue": "q", "runtime": "python"}
        gateway.http("POST", "/api/worker/register", worker, **WORKER)
        assert gateway.http("POST", "/api/worker/workflow-tasks/poll", {**worker, "timeout_seconds": 5}, **WORKER)[1]["task"]
        senders = [Sender(gateway, run_id, number) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        for kill in range(1, KILLS + 1):
            while sum(len(sender.positions) for sender in senders) < kill * SENDERS * EACH // (KILLS + 1):
                time.sleep(0.005)
            gateway.stop(signal.SIGKILL)
            gateway.start()
        for sender in senders:
            sender.join(60)
            assert not sender.is_alive() and len(sender.positions) == EACH
        items = items_of(gateway, run_id)
        assert [item["offset"] for item in items] == list(range(SENDERS * EACH))
        acknowledged = {key: offset for sender in senders for key, offset in sender.offsets.items()}
        assert {item["idempotency_key"]: item["offset"] for item in items} == acknowledged
        positions = {key: position for sender in senders for key, position in sender.positions.items()}
        assert sorted(positions.values()) == list(range(1, SENDERS * EACH + 1))
        for key in [*positions][::7]:
            answer = gateway.http("POST", "/api/workflows/w/message-streams/in/messages", {"message_id": key, "input": []})
            assert (answer[0], answer[1]["position"]) == (200, positions[key])
