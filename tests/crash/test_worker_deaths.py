"""Workers that die over real sockets, at every point of their protocol: their work goes on within a lease and five seconds."""

import http.client
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway_process import GatewayProcess
from triplane.payloads import envelope

LEASE_S = 1.5
MOST_S = LEASE_S + 5.0
SHORT_LEASES = f"""
[engines.durable]
workflow_task_lease_s = {LEASE_S}
activity_lease_s = {LEASE_S}
handover_s = 0.3
"""
HANGING = 1_000


class Peer:
    """A worker without an SDK. What it sends goes over one connection; `die` cuts that, and the worker is never heard of again."""

    def __init__(self, gateway: GatewayProcess, queue: str, worker_id: str) -> None:
        self.port, self.queue, self.worker_id = gateway.http_port, queue, worker_id
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def send(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Write a request; whether its answer is read is another matter."""
        data = json.dumps(body).encode()
        head = (
            f"{method} /api/worker/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"X-Durable-Workflow-Protocol-Version: 1.20\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + data)

    def ask(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.send(method, path, body)
        answer = http.client.HTTPResponse(self.socket, method=method)
        answer.begin()
        return answer.status, json.loads(answer.read())

    def register(self) -> None:
        body = {"worker_id": self.worker_id, "task_queue": self.queue, "runtime": "python"}
        assert self.ask("POST", "register", body)[0] == 201

    def poll_body(self, timeout_s: float, poll_id: str | None = None) -> dict[str, Any]:
        body = {"worker_id": self.worker_id, "task_queue": self.queue, "timeout_seconds": timeout_s}
        return body if poll_id is None else {**body, "poll_request_id": poll_id}

    def poll(self, kind: str, timeout_s: float = 20.0) -> dict[str, Any] | None:
        status, body = self.ask("POST", f"{kind}-tasks/poll", self.poll_body(timeout_s))
        assert status == 200, body
        task: dict[str, Any] | None = body["task"]
        return task

    def word_on(self, task: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Path and body of the report that a worker owes for a task: one activity, then the end."""
        if "activity_attempt_id" in task:
            lease = {key: task[key] for key in ("activity_attempt_id", "lease_owner")}
            return f"activity-tasks/{task['task_id']}/complete", {**lease, "result": envelope("done")}
        events = [event["event_type"] for event in task["history_events"]]
        if events.count("ActivityScheduled") == 0:
            command = {"type": "schedule_activity", "activity_type": "step", "arguments": envelope([]), "queue": self.queue}
        else:
            command = {"type": "complete_workflow", "result": envelope(events.count("ActivityCompleted"))}
        lease = {"lease_owner": task["lease_owner"], "workflow_task_attempt": task["workflow_task_attempt"], "commands": [command]}
        return f"workflow-tasks/{task['task_id']}/complete", lease

    def complete(self, task: dict[str, Any]) -> None:
        path, body = self.word_on(task)
        status, answer = self.ask("POST", path, body)
        assert status == 200, answer

    def die(self) -> None:
        # A reset, as a killed process or machine leaves it, and not a polite good-bye.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()


def registered(peer: Peer) -> None:
    """It dies right after its registration."""


def polling(peer: Peer) -> None:
    peer.send("POST", "workflow-tasks/poll", peer.poll_body(20, "p1"))


def polling_for_activities(peer: Peer) -> None:
    workflow = peer.poll("workflow")
    assert workflow is not None
    peer.complete(workflow)
    peer.send("POST", "activity-tasks/poll", peer.poll_body(20, "p1"))


def workflow_task_leased(peer: Peer) -> None:
    assert peer.poll("workflow") is not None


def workflow_completion_sent(peer: Peer) -> None:
    task = peer.poll("workflow")
    assert task is not None
    peer.send("POST", *peer.word_on(task))


def workflow_task_completed(peer: Peer) -> None:
    task = peer.poll("workflow")
    assert task is not None
    peer.complete(task)


def activity_leased(peer: Peer) -> dict[str, Any]:
    workflow_task_completed(peer)
    task = peer.poll("activity")
    assert task is not None
    return task


def activity_heartbeat_sent(peer: Peer) -> None:
    task = activity_leased(peer)
    lease = {key: task[key] for key in ("activity_attempt_id", "lease_owner")}
    peer.send("POST", f"activity-tasks/{task['task_id']}/heartbeat", lease)


def activity_completion_sent(peer: Peer) -> None:
    peer.send("POST", *peer.word_on(activity_leased(peer)))


def activity_completed(peer: Peer) -> None:
    peer.complete(activity_leased(peer))


def worker_heartbeat_sent(peer: Peer) -> None:
    peer.send("POST", "heartbeat", {"worker_id": peer.worker_id})


def leaving(peer: Peer) -> None:
    assert peer.poll("workflow") is not None
    peer.send("DELETE", f"registrations/{peer.worker_id}", {})


DEATHS: tuple[Callable[[Peer], Any], ...] = (
    registered, polling, polling_for_activities, workflow_task_leased, workflow_completion_sent, workflow_task_completed,
    activity_leased, activity_heartbeat_sent, activity_completion_sent, activity_completed, worker_heartbeat_sent, leaving,
)  # fmt: skip


def one_death(gateway: GatewayProcess, until: Callable[[Peer], Any], seen: dict[str, Any]) -> None:
    name = until.__name__
    try:
        queue = name
        status, _ = gateway.http("POST", "/api/workflows", {"workflow_id": name, "workflow_type": "flow", "task_queue": queue})
        assert status == 201
        doomed, heir = Peer(gateway, queue, f"{name}-doomed"), Peer(gateway, queue, f"{name}-heir")
        doomed.register()
        heir.register()
        until(doomed)
        doomed.die()
        died = time.monotonic()
        while gateway.http("GET", f"/api/workflows/{name}")[1]["status"] != "completed":
            for kind in ("workflow", "activity"):
                task = heir.poll(kind, 0.2)
                if task is not None:
                    heir.complete(task)
            assert time.monotonic() - died < MOST_S + 10
        _, described = gateway.http("GET", f"/api/workflows/{name}")
        _, history = gateway.http("GET", f"/api/workflows/{name}/runs/{described['run_id']}/history?page_size=1000")
        events = [event["event_type"] for event in history["events"]]
        seen[name] = (described["output"], events.count("ActivityCompleted"), time.monotonic() - died)
    except Exception as error:
        seen[name] = error


def test_a_worker_that_dies_anywhere_delays_its_work_by_no_more_than_a_lease_and_five_seconds(tmp_path):
    seen: dict[str, Any] = {}
    with GatewayProcess(tmp_path, SHORT_LEASES) as gateway:
        threads = [threading.Thread(target=one_death, args=(gateway, until, seen)) for until in DEATHS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert {name: outcome[:2] if isinstance(outcome, tuple) else outcome for name, outcome in seen.items()} == {
        until.__name__: (1, 1) for until in DEATHS
    }
    late = {name: took for name, (_, _, took) in seen.items() if took > MOST_S}
    assert late == {}


def test_a_thousand_long_polls_that_hang_up_leave_nothing_behind(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * HANGING + 200:
        pytest.fail(f"this test needs {2 * HANGING + 200} open files, and the machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * HANGING + 200), hard))
    with GatewayProcess(tmp_path, SHORT_LEASES) as gateway:
        worker = Peer(gateway, "q", "w")
        worker.register()
        before = open_files(gateway)
        polls = [Peer(gateway, "q", "w") for _ in range(HANGING)]
        for number, poll in enumerate(polls):
            kind = ("workflow", "activity", "query", "update-validation")[number % 4]
            poll.send("POST", f"{kind}-tasks/poll", poll.poll_body(50, f"p{number}"))
        wait(lambda: open_files(gateway) >= before + HANGING, 20)
        for poll in polls:
            poll.die()
        wait(lambda: open_files(gateway) <= before + 5, 20)
        status, _ = gateway.http("POST", "/api/workflows", {"workflow_id": "after", "workflow_type": "flow", "task_queue": "q"})
        assert status == 201
        began = time.monotonic()
        task = worker.poll("workflow")
        assert task is not None and task["workflow_task_attempt"] == 1
        assert time.monotonic() - began < 1.0
        worker.complete(task)
        activity = worker.poll("activity")
        assert activity is not None and activity["attempt_number"] == 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_files(gateway: GatewayProcess) -> int:
    return len(os.listdir(f"/proc/{gateway.pid}/fd"))


def wait(holds: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
