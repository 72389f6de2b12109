"""Following what happens: bounded queues, resume by cursor, announced gaps, slow consumers cut alone."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

from triplane.deltas import Delta, DeltaFilter, Gap
from triplane.errors import SlowConsumer

MAX_QUEUED_BYTES = 8 << 20
"""Payloads that may wait for one subscriber, whatever its limit in deltas."""

MAX_RING_BYTES = 64 << 20
"""Payloads that are remembered for resumes."""

_PAYLOAD_KEYS = frozenset({"result", "arguments", "input", "input_envelope", "output", "exception", "entries", "messages"})
"""Where events keep what clients sent; everything else in them is short."""


def weight_of(delta: Delta) -> int:
    """About how many bytes a delta keeps in memory: its long texts, and a flat figure for each thing in it."""
    weight = 500 * (1 + len(delta.events) + len(delta.tasks) + len(delta.jobs))
    for event in delta.events:
        data = event.data
        if _PAYLOAD_KEYS.isdisjoint(data):
            continue
        for key in _PAYLOAD_KEYS & data.keys():
            value = data[key]
            if isinstance(value, dict):
                value = value.get("blob")
            if isinstance(value, str | bytes | list):
                weight += len(value)
    for rows in delta.rows:
        weight += 20 * len(rows.rows) * len(rows.columns)
    return weight


class Subscription:
    """One subscriber's bounded queue of deltas, in cursor order.

    Read it as an async iterator, or set `on_ready` and call `drain`. Used on the event loop's thread only.

    Attributes:
        cursor: the last cursor handed out, or passed by the filter before that.
        owner: whose it is, for the alarm that is raised when it is cut.
        on_ready: called (once, until drained) when there is something to drain, or the subscription ended; again when the
            queue is half full, for those who let changes gather.
    """

    def __init__(self, hub: "DeltaHub", wanted: DeltaFilter, cursor: int, limit: int) -> None:
        self._hub, self.filter, self.cursor, self._limit = hub, wanted, cursor, limit
        self._queue: deque[Delta | Gap] = deque()
        self._bytes = 0
        self._wake: asyncio.Event = asyncio.Event()
        self._error: SlowConsumer | None = None
        self._told = False
        self.closed = False
        self.owner = ""
        self.on_ready: Callable[[], None] | None = None

    def offer(self, item: Delta | Gap, weight: int = 0) -> None:
        """Queue an item of about `weight` bytes; over a limit the subscription is cut with a reason, and its queue freed."""
        if self.closed:
            return
        if len(self._queue) >= self._limit or (self._queue and self._bytes + weight > MAX_QUEUED_BYTES):
            waited = f"{len(self._queue)} changes of about {self._bytes} bytes"
            self._queue.clear()
            self._bytes = 0
            self._error = SlowConsumer(
                f"{waited} waited to be read, and no more may (limits.subscription_queue, {MAX_QUEUED_BYTES} bytes); "
                f"subscribe again after cursor {self.cursor}",
                cursor=self.cursor,
            )
            self.close()
            self._hub.was_cut(self)
            return
        self._queue.append(item)
        self._bytes += weight
        if len(self._queue) == self._limit // 2 or self._bytes > MAX_QUEUED_BYTES // 2 >= self._bytes - weight:
            self._told = False
        self._notify()

    def _notify(self) -> None:
        self._wake.set()
        if self.on_ready is not None and not self._told:
            self._told = True
            self.on_ready()

    @property
    def error(self) -> SlowConsumer | None:
        """Why it was cut, if it was."""
        return self._error

    def drain(self) -> list[Delta | Gap]:
        """Everything queued, oldest first.

        Raises:
            SlowConsumer: the subscription was cut.
        """
        self._told = False
        if self._error is not None:
            raise self._error
        items = list(self._queue)
        self._queue.clear()
        self._bytes = 0
        self._wake.clear()
        if items:
            last = items[-1]
            self.cursor = last.cursor if isinstance(last, Delta) else last.until
        return items

    def close(self) -> None:
        """End it; a reader that waits is woken, and gets what was queued first."""
        if not self.closed:
            self.closed = True
            self._hub.forget(self)
            self._notify()

    def __aiter__(self) -> AsyncIterator[Delta | Gap]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Delta | Gap]:
        while True:
            for item in self.drain():
                yield item
            if self.closed:
                if self._error is not None:
                    raise self._error
                return
            await self._wake.wait()


class DeltaHub:
    """Takes each committed delta once and gives it to every subscription that wants it.

    A bounded ring of recent deltas serves resumes; what fell out of it is announced as a `Gap`.
    """

    def __init__(self, start_cursor: int, ring_size: int = 10_000) -> None:
        self._ring: deque[tuple[Delta, int]] = deque()
        self._ring_size, self._ring_bytes = ring_size, 0
        self._floor = start_cursor
        self.cursor = start_cursor
        self._all: set[Subscription] = set()
        self._by_run: dict[str, set[Subscription]] = {}
        self.cut = 0
        self.on_cut: Callable[[str, str], None] | None = None

    @property
    def open(self) -> int:
        """How many subscriptions there are."""
        return len(self._all) + sum(len(of_run) for of_run in self._by_run.values())

    def was_cut(self, subscription: Subscription) -> None:
        """Called by a subscription that had to be cut."""
        self.cut += 1
        if self.on_cut is not None:
            self.on_cut(subscription.owner, str(subscription.error))

    def subscribe(self, wanted: DeltaFilter, cursor: int | None, limit: int) -> Subscription:
        """A subscription to what comes after `cursor` (now, if None); what is remembered of it is queued at once."""
        start = self.cursor if cursor is None else cursor
        subscription = Subscription(self, wanted, start, limit)
        if wanted.run_id is not None:
            self._by_run.setdefault(wanted.run_id, set()).add(subscription)
        else:
            self._all.add(subscription)
        if start > self.cursor:
            # A cursor from the future (another data directory, a lost machine): nothing in between can be had.
            subscription.offer(Gap(start, self.cursor))
            subscription.cursor = self.cursor
        elif start < self.cursor:
            if start < self._floor:
                subscription.offer(Gap(start, self._floor))
            for delta, weight in self._ring:
                if delta.cursor > start and wanted.wants(delta.run):
                    subscription.offer(delta, weight)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Called by a subscription that ends."""
        run_id = subscription.filter.run_id
        if run_id is None:
            self._all.discard(subscription)
        elif (of_run := self._by_run.get(run_id)) is not None:
            of_run.discard(subscription)
            if not of_run:
                del self._by_run[run_id]

    def publish(self, deltas: Iterable[Delta]) -> None:
        """Hand out committed deltas, in cursor order."""
        for delta in deltas:
            weight = weight_of(delta)
            self._ring.append((delta, weight))
            self._ring_bytes += weight
            while len(self._ring) > self._ring_size or self._ring_bytes > MAX_RING_BYTES:
                oldest, freed = self._ring.popleft()
                self._ring_bytes -= freed
                self._floor = oldest.cursor
            self.cursor = delta.cursor
            of_run = self._by_run.get(delta.run.run_id)
            if of_run:
                for subscription in tuple(of_run):
                    if subscription.filter.wants(delta.run):
                        subscription.offer(delta, weight)
            for subscription in tuple(self._all):
                if subscription.filter.wants(delta.run):
                    subscription.offer(delta, weight)

    def close(self) -> None:
        """End every subscription."""
        for subscription in (*self._all, *(s for subs in self._by_run.values() for s in subs)):
            subscription.close()
