"""The rules of output streams, without I/O: what a change makes of a stream. Source: contract durable 2.4, 4.3."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from triplane.entities import Stream, StreamItem
from triplane.errors import LimitReached, StreamClosed
from triplane.values import value


@value()
class Append:
    """Append items: each a body with an `idempotency_key` or without, checked by whoever makes this.

    Attributes:
        max_pending: refuse if more than so many items would wait for a reader.
        origin: who appends, `workflow` or `client`; reference: which of them.
    """

    items: Sequence[Mapping[str, Any]]
    max_pending: int | None
    origin: str
    reference: str


@value()
class End:
    """Close the stream, or mark it errored where a reason is given."""

    error_reason: str | None = None
    retention_s: int | None = None


@value()
class Consume:
    """A reader is done with all items before `through`."""

    through: int


@value()
class Expire:
    """The items have been kept long enough."""


Change = Append | End | Consume | Expire


@dataclass(slots=True)
class StreamLog:
    """A stream in memory: its head, and which idempotency keys it has seen at which offsets."""

    stream: Stream
    keys: MutableMapping[str, int] = field(default_factory=dict)


@value()
class Outcome:
    """What a change comes to.

    Attributes:
        stream: the head after it. items: new ones, to be stored.
        emptied: the items stored so far go.
        reply: for whoever asked.
    """

    stream: Stream
    items: tuple[StreamItem, ...] = ()
    emptied: bool = False
    reply: Mapping[str, Any] = field(default_factory=dict)


def decide(log: StreamLog | None, run_id: str, name: str, change: Change, now: float, most_items: int) -> Outcome:
    """What a change makes of a stream; nothing is changed yet.

    Args:
        log: None where the stream does not exist; appending to it or ending it makes it.
        most_items: limit of the items stored at a time.

    Raises:
        StreamClosed, LimitReached.
    """
    stream = log.stream if log is not None else Stream(run_id, name, "open", now)
    match change:
        case Append():
            return _append(stream, log.keys if log is not None else {}, change, now, most_items)
        case End():
            stream = _end(stream, change, now)
        case Consume():
            stream = replace(stream, consumed=max(stream.consumed, min(change.through, stream.total)))
        case Expire():
            if stream.expires is not None and stream.expires <= now:
                emptied = replace(stream, first=stream.total, consumed=stream.total, expires=None)
                return Outcome(emptied, emptied=True)
    return Outcome(stream, reply={"stream": stream})


def take(logs: MutableMapping[str, StreamLog], outcome: Outcome) -> None:
    """Let a change have happened."""
    log = logs.get(outcome.stream.name)
    if log is None:
        log = logs[outcome.stream.name] = StreamLog(outcome.stream)
    log.stream = outcome.stream
    for item in outcome.items:
        if item.key is not None:
            log.keys[item.key] = item.offset
    if outcome.emptied:
        log.keys.clear()


def _append(stream: Stream, keys: Mapping[str, int], change: Append, now: float, most_items: int) -> Outcome:
    offsets: list[int] = []
    added: list[StreamItem] = []
    fresh: dict[str, int] = {}
    for item in change.items:
        key = item.get("idempotency_key")
        known = None if key is None else keys.get(key, fresh.get(key))
        if known is None:
            known = stream.total + len(added)
            body = {name: value for name, value in item.items() if name != "idempotency_key"}
            body |= {"origin": change.origin, "origin_reference": change.reference}
            added.append(StreamItem(stream.run_id, stream.name, known, key, now, body))
            if key is not None:
                fresh[key] = known
        offsets.append(known)
    if added:
        if stream.status != "open":
            raise StreamClosed(f"stream {stream.name!r} is {stream.status}; it takes no more items")
        _refuse_too_many(stream, len(added), change.max_pending, most_items)
        stream = replace(stream, total=stream.total + len(added), appended=now)
    reply = {
        "stream": stream, "accepted_offsets": offsets, "accepted": len(added), "deduped": len(offsets) - len(added),
    }  # fmt: skip
    return Outcome(stream, tuple(added), reply=reply)


def _refuse_too_many(stream: Stream, more: int, max_pending: int | None, most_items: int) -> None:
    pending = stream.total - stream.consumed
    if max_pending is not None and pending + more > max_pending:
        raise LimitReached(
            f"{pending} items of stream {stream.name!r} wait for a reader, and {max_pending} may; try again when some are read",
            reason="stream_backpressure",
        )
    if stream.total - stream.first + more > most_items:
        raise LimitReached(f"stream {stream.name!r} would hold over {most_items} items (engines.durable.max_stream_items)")


def _end(stream: Stream, change: End, now: float) -> Stream:
    status = "errored" if change.error_reason is not None else "closed"
    if stream.status == status:
        return stream
    if stream.status != "open":
        raise StreamClosed(f"stream {stream.name!r} is {stream.status} already")
    expires = now + change.retention_s if change.retention_s is not None else None
    return replace(
        stream, status=status, closed=now, error_reason=change.error_reason, retention_s=change.retention_s, expires=expires
    )
