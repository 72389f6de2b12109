"""Recorded exchanges of the real clients, replayed through a session: same statuses, and everything that was answered then.

Ids that a server makes up are learned from our answers as they come. A recording is in the order of its answers, so a
query or an update that a worker's task answers is sent again just before that task is polled for.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[2] / "golden" / "durable"
IDS = ("run_id", "task_id", "query_task_id", "activity_attempt_id", "activity_execution_id", "update_id", "workflow_update_id")
NOT_OURS = {
    "command_id", "failure_id",  # ids of records that we do not keep
    "actions", "payload",  # compared by their own tests
    "arguments", "input_envelope", "output_envelope",  # the recording server kept plain JSON where we encode it
    "next_task_id", "worker_session", "retry_policy", "deadlines",
    "run_status", "server_time",  # the recording server told the status before the lease, and a time nobody reads
    "has_more",  # the recording server fired nothing for a backfill, so its histories were shorter
}  # fmt: skip
SERVED_BY_WORKERS = re.compile(r"/(query|update)/[^/]+$")


class Replay:
    """One scenario against one wire."""

    def __init__(self, wire: Any, exchanges: list[dict[str, Any]]) -> None:
        self.wire, self.exchanges = wire, exchanges
        self.ids: dict[str, str] = {}
        self.early: dict[int, asyncio.Task[Any]] = {}

    def ours(self, value: Any) -> Any:
        """The same value with our ids for the recorded ones."""
        text = json.dumps(value)
        for theirs in sorted(self.ids, key=len, reverse=True):
            text = text.replace(theirs, self.ids[theirs])
        return json.loads(text)

    def learn(self, recorded: Any, answered: Any) -> None:
        """Pair the ids in two answers."""
        if isinstance(recorded, dict) and isinstance(answered, dict):
            for key in recorded.keys() & answered.keys():
                if key in IDS and isinstance(recorded[key], str) and isinstance(answered[key], str):
                    self.ids[recorded[key]] = answered[key]
                else:
                    self.learn(recorded[key], answered[key])

    async def send(self, exchange: dict[str, Any]) -> Any:
        body = self.ours(exchange["body"])
        if isinstance(body, dict) and "timeout_seconds" in body:
            body["timeout_seconds"] = 5
        # A bare look at a workflow was recorded without the header that the contract asks for.
        headers = {name.lower(): value for name, value in exchange["headers"].items()} or None
        return await self.wire.send(exchange["method"], self.ours(exchange["path"]), body, headers)

    def begin_what_this_task_answers(self, at: int) -> None:
        """A worker's task is about to be polled for: send the query or update that it is going to answer."""
        task = self.exchanges[at]["response"].get("task") or {}
        verb = "query" if "query_task_id" in task else "update" if task.get("workflow_update_id") else None
        name = task.get("query_name")
        for later in range(at + 1, len(self.exchanges)):
            exchange = self.exchanges[later]
            match = SERVED_BY_WORKERS.search(exchange["path"])
            if verb and match and match[1] == verb and later not in self.early and (name is None or exchange["path"].endswith(name)):
                self.early[later] = asyncio.ensure_future(self.send(exchange))
                return

    async def run(self) -> None:
        for at, exchange in enumerate(self.exchanges):
            if exchange["path"].endswith("/poll"):
                if exchange["response"]["task"] is None:
                    continue
                self.begin_what_this_task_answers(at)
                # Timers of a second were waited for in the recording; here the clock is moved.
                self.wire.gateway.clock.advance(1.0)
                self.wire.gateway.bus.timers.tick()
            pending = self.early.get(at)
            response = await asyncio.wait_for(pending if pending is not None else self.send(exchange), 10)
            where = f"{at}: {exchange['method']} {exchange['path']}"
            assert response.status == exchange["status"], (where, response.body)
            self.learn(exchange["response"], response.body)
            compare(exchange["response"], response.body, where)


def compare(recorded: Any, answered: Any, where: str) -> None:
    """Everything recorded that had a value is answered with the same kind of value; words of the contract are equal."""
    if isinstance(recorded, dict):
        assert isinstance(answered, dict), where
        for key, value in recorded.items():
            if value is None or key in NOT_OURS:
                continue
            assert key in answered, f"{where}: {key} is missing"
            compare(value, answered[key], f"{where}.{key}")
    elif isinstance(recorded, list):
        assert isinstance(answered, list), where
    elif isinstance(recorded, str) and re.fullmatch(r"[a-z_]+", recorded) and not where.endswith((".message", ".error")):
        assert answered == recorded, where
    elif recorded is not None and not isinstance(recorded, bool):
        assert isinstance(answered, str if isinstance(recorded, str) else int | float), (where, answered)
    else:
        assert answered is recorded, (where, answered)


@pytest.mark.parametrize("scenario", [path.stem for path in sorted(GOLDEN.glob("*.json"))])
async def test_a_recorded_session_gets_the_recorded_answers(wire: Any, scenario: str) -> None:
    exchanges = json.loads((GOLDEN / f"{scenario}.json").read_text())["exchanges"]
    for exchange in exchanges:
        if exchange["path"].endswith("/poll") and exchange["body"]["worker_id"] not in (registered := getattr(wire, "registered", set())):
            body = {
                "worker_id": exchange["body"]["worker_id"], "task_queue": exchange["body"]["task_queue"], "runtime": "python",
                "workflow_command_contracts": {},
            }  # fmt: skip
            if not any(e["path"] == "worker/register" for e in exchanges):
                assert (await wire.send("POST", "worker/register", body)).status == 201
            wire.registered = registered | {exchange["body"]["worker_id"]}
    await Replay(wire, exchanges).run()
