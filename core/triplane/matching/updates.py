"""Waiting for updates to be completed. What waits is in memory; the truth is the run's history."""

import asyncio
from collections.abc import Iterable
from typing import Any

from triplane.events import Event

MAX_WAITING = 10_000

UpdateKey = tuple[str, str]
"""(run id, update id)"""


def outcome_of(update_id: str, data: Any) -> dict[str, Any]:
    """The reply of `AwaitUpdate` from an `UpdateCompleted` event's data."""
    if "failure" in data:
        return {"update_id": update_id, "status": "failed", "failure": {**data["failure"], "failure_id": data.get("failure_id")}}
    return {"update_id": update_id, "status": "completed", "result": data.get("result")}


def accepted(update_id: str) -> dict[str, Any]:
    """The reply where the update is not completed yet."""
    return {"update_id": update_id, "status": "accepted"}


def find_update(events: Iterable[Event], update_id: str) -> Event | None:
    """The event among `events`, newest first, that says most about an update."""
    for event in events:
        if event.name in ("UpdateCompleted", "UpdateAccepted") and event.data.get("update_id") == update_id:
            return event
    return None


class UpdateWaits:
    """Who waits for which update."""

    def __init__(self) -> None:
        self._waiting: dict[UpdateKey, set[asyncio.Future[dict[str, Any]]]] = {}

    def wait(self, key: UpdateKey, timeout_s: float) -> "asyncio.Future[dict[str, Any]]":
        """The update's outcome, or after `timeout_s` that it is only accepted."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[dict[str, Any]] = loop.create_future()
        if timeout_s <= 0 or len(self._waiting) >= MAX_WAITING:
            future.set_result(accepted(key[1]))
            return future
        self._waiting.setdefault(key, set()).add(future)
        alarm = loop.call_later(timeout_s, self._time_out, key, future)

        def over(done: "asyncio.Future[dict[str, Any]]") -> None:
            alarm.cancel()
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.discard(done)
                if not waiting:
                    del self._waiting[key]

        future.add_done_callback(over)
        return future

    def completed(self, key: UpdateKey, data: Any) -> None:
        """An update's completion is on disk."""
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(outcome_of(key[1], data))

    def close(self) -> None:
        """Answer everybody with what is known: accepted."""
        for key, futures in [*self._waiting.items()]:
            for future in [*futures]:
                self._time_out(key, future)

    @staticmethod
    def _time_out(key: UpdateKey, future: "asyncio.Future[dict[str, Any]]") -> None:
        if not future.done():
            future.set_result(accepted(key[1]))
