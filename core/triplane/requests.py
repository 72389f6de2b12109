"""Once and only once: answered request ids, in flight and on disk."""

import asyncio
import hashlib
from typing import Any

import msgpack

from triplane.clock import Clock
from triplane.commands.base import Command
from triplane.errors import RequestIdReused
from triplane.service import Caller
from triplane.store.interface import RequestRecord, RequestStore

KEEP_S = 24 * 3600.0
"""How long an answered request id is remembered, at least."""


def digest_of(command: Command) -> bytes:
    """16 bytes over the command's name and content, without its request id."""
    content = command.model_dump_json(exclude={"request_id"})
    return hashlib.blake2b(f"{command.name}\n{content}".encode(), digest_size=16).digest()


class AnsweredRequests:
    """Finds the answer a request id already has, also while its first use is still on the way to disk."""

    def __init__(self, store: RequestStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._in_flight: dict[tuple[str, str, str], tuple[bytes, str, asyncio.Future[Any]]] = {}

    def find(self, caller: Caller, command: Command, digest: bytes) -> "asyncio.Future[Any] | None":
        """The future of the first use's answer, or None if this is the first use.

        Raises:
            RequestIdReused: the id came with other content before.
        """
        assert command.request_id is not None
        key = (caller.principal, command.namespace, command.request_id)
        known = self._in_flight.get(key)
        if known is not None:
            self._same(known[0] == digest, command, known[1])
            follower: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            known[2].add_done_callback(lambda first: _copy(first, follower))
            return follower
        record = self._store.find(*key)
        if record is None or record.time < self._clock.now() - KEEP_S:
            return None
        self._same(record.digest == digest, command, record.command)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.set_result(_retained(msgpack.unpackb(record.reply, strict_map_key=False)))
        return answer

    def _same(self, same: bool, command: Command, first_command: str) -> None:
        if not same:
            raise RequestIdReused(
                f"request id {command.request_id!r} was used before with other content ({first_command})",
                request_id=command.request_id,
                first_command=first_command,
            )

    def begin(self, caller: Caller, command: Command, digest: bytes, future: "asyncio.Future[Any]") -> None:
        """Remember a first use until its answer is on disk or refused."""
        assert command.request_id is not None
        key = (caller.principal, command.namespace, command.request_id)
        self._in_flight[key] = (digest, command.name, future)
        future.add_done_callback(lambda _: self._in_flight.pop(key, None))

    @staticmethod
    def record(caller: Caller, command: Command, digest: bytes, reply: Any, now: float) -> RequestRecord:
        """What goes to disk with the command's own slice."""
        assert command.request_id is not None
        return RequestRecord(
            caller.principal, command.namespace, command.request_id, digest, command.name, msgpack.packb(reply), now
        )


def _retained(reply: Any) -> Any:
    """Mark a repeated answer, where its shape allows; the rest of it equals the first."""
    if isinstance(reply, dict):
        return {**reply, "retained": True}
    return reply


def _copy(first: "asyncio.Future[Any]", follower: "asyncio.Future[Any]") -> None:
    if follower.done():
        return
    if first.cancelled():
        follower.cancel()
    elif (error := first.exception()) is not None:
        follower.set_exception(error)
    else:
        follower.set_result(_retained(first.result()))
