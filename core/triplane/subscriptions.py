"""Following what happens: bounded queues, resume by cursor, announced gaps, slow consumers cut alone."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

from triplane.deltas import Delta, DeltaFilter, Gap
from triplane.errors import SlowConsumer


class Subscription:
    """One subscriber's bounded queue of deltas, in cursor order.

    Read it as an async iterator, or set `on_ready` and call `drain`. Used on the event loop's thread only.

    Attributes:
        cursor: the last cursor handed out, or passed by the filter before that.
        on_ready: called (once, until drained) when there is something to drain, or the subscription ended.
    """

    def __init__(self, hub: "DeltaHub", wanted: DeltaFilter, cursor: int, limit: int) -> None:
        self._hub, self.filter, self.cursor, self._limit = hub, wanted, cursor, limit
        self._queue: deque[Delta | Gap] = deque()
        self._wake: asyncio.Event = asyncio.Event()
        self._error: SlowConsumer | None = None
        self._told = False
        self.closed = False
        self.on_ready: Callable[[], None] | None = None

    def offer(self, item: Delta | Gap) -> None:
        """Queue an item; over the limit the subscription is cut with a reason, and its queue freed."""
        if self.closed:
            return
        if len(self._queue) >= self._limit:
            self._queue.clear()
            self._error = SlowConsumer(
                f"more than {self._limit} changes waited to be read (limits.subscription_queue); "
                f"subscribe again after cursor {self.cursor}",
                cursor=self.cursor,
            )
            self.close()
            return
        self._queue.append(item)
        self._notify()

    def _notify(self) -> None:
        self._wake.set()
        if self.on_ready is not None and not self._told:
            self._told = True
            self.on_ready()

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
        self._ring: deque[Delta] = deque(maxlen=ring_size)
        self._floor = start_cursor
        self.cursor = start_cursor
        self._all: set[Subscription] = set()
        self._by_run: dict[str, set[Subscription]] = {}
        self.cut = 0

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
            for delta in self._ring:
                if delta.cursor > start and wanted.wants(delta.run):
                    subscription.offer(delta)
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
            if len(self._ring) == self._ring.maxlen:
                self._floor = self._ring[0].cursor
            self._ring.append(delta)
            self.cursor = delta.cursor
            of_run = self._by_run.get(delta.run.run_id)
            if of_run:
                for subscription in tuple(of_run):
                    if subscription.filter.wants(delta.run):
                        subscription.offer(delta)
            for subscription in tuple(self._all):
                if subscription.filter.wants(delta.run):
                    subscription.offer(delta)

    def close(self) -> None:
        """End every subscription."""
        for subscription in (*self._all, *(s for subs in self._by_run.values() for s in subs)):
            subscription.close()
