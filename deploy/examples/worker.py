"""A worker in one file, without an SDK: it speaks the durable wire's worker plane with the standard library.

    python worker.py http://127.0.0.1:8080 [QUEUE]

It runs workflows of the type `orders`: an activity `pack_order`, a timer, and again, 500 times; the signal `finish` ends it earlier, and
the query `progress` says how far it is. A workflow's state is nothing but its history, so what comes next is found by counting in it.

With tokens configured, set TRIPLANE_TOKEN.
"""

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from typing import Any

from triplane.payloads import PayloadError, decode_envelope, envelope

ROUNDS = 500
PAUSE_S = 20
POLL_S = 20
RETRY_S = 2.0


class Worker:
    """One worker: a thread for each of the three kinds of task."""

    def __init__(self, url: str, queue: str) -> None:
        self.url, self.queue = url.rstrip("/"), queue
        self.worker_id = f"example-{uuid.uuid4().hex[:8]}"
        self.stopping = threading.Event()

    def run(self) -> None:
        """Work until the process is told to end."""
        while not self._is_answered(self.register):
            pass
        polls = (("workflow", self.decide), ("activity", self.act), ("query", self.answer))
        threads = [threading.Thread(target=self._serve, args=poll, daemon=True) for poll in polls]
        for thread in threads:
            thread.start()
        try:
            self.stopping.wait()
        finally:
            self.stopping.set()

    def register(self) -> None:
        """Say what this worker can do."""
        self.post("register", {
            "worker_id": self.worker_id, "task_queue": self.queue, "runtime": "python",
            "supported_workflow_types": ["orders"], "supported_activity_types": ["pack_order"],
        })  # fmt: skip

    def _serve(self, kind: str, handle: Any) -> None:
        while not self.stopping.is_set():
            self._is_answered(lambda: self._poll(kind, handle))

    def _poll(self, kind: str, handle: Any) -> None:
        asked = {"worker_id": self.worker_id, "task_queue": self.queue, "timeout_seconds": POLL_S, "poll_request_id": uuid.uuid4().hex}
        try:
            task = self.post(f"{kind}-tasks/poll", asked).get("task")
        except urllib.error.HTTPError as error:
            if error.code != 412:
                raise
            # The gateway lost sight of us, for example because it was down for long: introduce ourselves again.
            self.register()
            return
        if task:
            handle(task)

    def decide(self, task: dict[str, Any]) -> None:
        """One workflow task: read the history, say what comes next."""
        lease = {"lease_owner": self.worker_id, "workflow_task_attempt": task["workflow_task_attempt"]}
        path = f"workflow-tasks/{task['task_id']}"
        if task.get("workflow_update_id"):
            refusal = {"type": "fail_update", "update_id": task["workflow_update_id"], "message": "orders takes no updates"}
            self.post(f"{path}/complete", {**lease, "commands": [refusal]})
            return
        events = list(task["history_events"])
        token = task.get("next_history_page_token")
        while token:
            page = self.post(f"{path}/history", {**lease, "next_history_page_token": token})
            events += page["history_events"]
            token = page.get("next_history_page_token")
        command = next_command(events, self.queue)
        if command is None:
            waiting = {"message": "nothing new", "type": "WorkflowTaskWaitingForHistory"}
            self.post(f"{path}/fail", {**lease, "failure": waiting})
        else:
            self.post(f"{path}/complete", {**lease, "commands": [command]})

    def act(self, task: dict[str, Any]) -> None:
        """One activity: pretend to pack an order."""
        try:
            number = decode_envelope(task.get("arguments"))
        except PayloadError:
            number = None
        time.sleep(2)
        done = {"activity_attempt_id": task["activity_attempt_id"], "lease_owner": self.worker_id}
        self.post(f"activity-tasks/{task['task_id']}/complete", {**done, "result": envelope({"packed": number, "by": self.worker_id})})

    def answer(self, task: dict[str, Any]) -> None:
        """One query."""
        lease = {"lease_owner": self.worker_id, "query_task_attempt": task["query_task_attempt"]}
        path = f"query-tasks/{task['query_task_id']}"
        if task["query_name"] != "progress":
            failure = {"message": f"no query {task['query_name']!r}; try 'progress'", "reason": "rejected_unknown_query"}
            self.post(f"{path}/fail", {**lease, "failure": failure})
            return
        packed = count(task["history_events"])["ActivityCompleted"]
        result = {"packed": packed, "of": ROUNDS}
        self.post(f"{path}/complete", {**lease, "result": result, "result_envelope": envelope(result)})

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request on the worker plane."""
        headers = {"Content-Type": "application/json", "X-Namespace": "default", "X-Durable-Workflow-Protocol-Version": "1.20"}
        if token := os.environ.get("TRIPLANE_TOKEN"):
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"{self.url}/api/worker/{path}", json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=POLL_S + 10) as answer:
            decoded: dict[str, Any] = json.loads(answer.read())
        return decoded

    def _is_answered(self, ask: Any) -> bool:
        """Ask; wait a moment where there is no good answer: gateways restart, and leases pass to others."""
        try:
            ask()
        except (urllib.error.URLError, ConnectionError, TimeoutError, json.JSONDecodeError) as error:
            print(f"worker: {error}", file=sys.stderr, flush=True)
            self.stopping.wait(RETRY_S)
            return False
        return True


def count(events: list[dict[str, Any]]) -> Counter[str]:
    """How often each thing has happened."""
    return Counter(event["event_type"] for event in events)


def next_command(events: list[dict[str, Any]], queue: str) -> dict[str, Any] | None:
    """What a run with this history does next; None while something is under way."""
    happened = count(events)
    finish = any(event["event_type"] == "SignalReceived" and event["payload"].get("signal_name") == "finish" for event in events)
    packed = happened["ActivityCompleted"]
    if finish or packed >= ROUNDS:
        return {"type": "complete_workflow", "result": envelope({"packed": packed})}
    if happened["ActivityScheduled"] > packed or happened["TimerScheduled"] > happened["TimerFired"]:
        return None
    if happened["TimerScheduled"] < packed:
        return {"type": "start_timer", "delay_seconds": PAUSE_S}
    return {"type": "schedule_activity", "activity_type": "pack_order", "queue": queue, "arguments": envelope([packed + 1])}


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    try:
        Worker(address, sys.argv[2] if len(sys.argv) > 2 else "orders").run()
    except KeyboardInterrupt:
        pass
