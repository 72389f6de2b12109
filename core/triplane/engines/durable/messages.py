"""Message streams: ordered, deduplicated input that a workflow reads in batches. Source: contract durable 5.3.

A message travels to the worker as a signal of a reserved name. The events of those signals are the only record of what
was sent: what is known of a stream is read back from them, so an ordinary run pays nothing for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from triplane.commands.messages import AppendMessage
from triplane.engines.durable.payloads import as_arguments
from triplane.errors import InvalidFields, LimitReached
from triplane.payloads import envelope

if TYPE_CHECKING:
    from triplane.engines.durable.state import DurableState
    from triplane.engines.durable.turn import Turn

SIGNAL = "__durable_workflow_message_stream"
MESSAGE = "durable-workflow.v2.message-stream.message"
CURSOR = "durable-workflow.v2.message-stream.cursor"

KEPT_IDS = 1_000
"""Ids of messages read by an earlier run of the chain that are still known as sent; the newest of each stream."""


@dataclass(slots=True)
class Inbox:
    """One stream as far as the run knows it.

    Attributes:
        last: position of the newest message; they are dense from 1.
        ids: position by message id.
    """

    last: int = 0
    ids: dict[str, int] = field(default_factory=dict)


def append(turn: "Turn", command: AppendMessage) -> dict[str, Any]:
    """Record a message, or find that it is there already.

    Raises:
        LimitReached: too many messages wait, or the run has too many streams, or its history is full.
        TooLarge, InvalidPayload: of the payload.
    """
    own, run, settings = turn.own, turn.state.run, turn.settings
    name, message_id = command.stream_name, command.message_id
    reply = {"workflow_id": run.workflow_id, "run_id": run.run_id, "stream_name": name, "message_id": message_id}
    inbox = own.inboxes.get(name)
    if inbox is not None and message_id in inbox.ids:
        return {**reply, "position": inbox.ids[message_id], "outcome": "duplicate"}
    turn.refuse_if_full()
    if inbox is None and len(own.inboxes) >= settings.max_message_streams:
        most = settings.max_message_streams
        raise LimitReached(f"the run has {most} message streams already (engines.durable.max_message_streams)", limit=most)
    if sum(each.last - own.cursors.get(stream, 0) for stream, each in own.inboxes.items()) >= settings.max_pending_messages:
        most = settings.max_pending_messages
        raise LimitReached(
            f"{most} messages wait for the workflow to read them (engines.durable.max_pending_messages); try again", limit=most
        )
    payload = as_arguments(command.arguments, settings.max_payload_bytes, "the message's arguments")
    position = (inbox.last if inbox is not None else 0) + 1
    told = {
        "schema": MESSAGE, "stream_name": name, "message_id": message_id, "position": position, "payload_envelope": payload,
    }  # fmt: skip
    data = {**_signal(turn, told), "stream_name": name, "message_id": message_id, "position": position}
    note(own, data)
    turn.receive(turn.happening("SignalReceived", data))
    turn.issue_next()
    return {**reply, "position": position, "outcome": "accepted"}


def advance(turn: "Turn", cursors: Mapping[str, int]) -> None:
    """A worker says how far the workflow has read; positions never go back.

    Raises:
        InvalidFields: a stream that the run has not, or a position beyond its last message.
    """
    own = turn.own
    for name, position in cursors.items():
        inbox = own.inboxes.get(name)
        if inbox is None or position > inbox.last:
            raise InvalidFields({f"message_stream_cursors.{name}"[:200]: ["names no message of this run"]})
    for name, position in cursors.items():
        if position > own.cursors.get(name, 0):
            own.cursors[name] = position
            turn.touch()


def note(own: "DurableState", data: Mapping[str, Any]) -> None:
    """Take in what a message's or a cursor's event says; other signals say nothing here."""
    name = data.get("stream_name")
    if name is None:
        return
    inbox = own.inboxes.get(name)
    if inbox is None:
        inbox = own.inboxes[name] = Inbox()
    if "through_position" in data:
        inbox.ids.update(data["message_ids"])
        own.cursors[name] = max(own.cursors.get(name, 0), data["through_position"])
        inbox.last = max(inbox.last, data["through_position"])
    else:
        inbox.ids[data["message_id"]] = data["position"]
        inbox.last = max(inbox.last, data["position"])


def note_all(own: "DurableState", history: Iterable[Any]) -> None:
    """Take in what recorded events, or those that wait to be, say."""
    for event in history:
        if event.name == "SignalReceived":
            note(own, event.data)


def carried(turn: "Turn") -> list[list[Any]]:
    """What the next run of the chain must be told first: each stream's cursor, then the messages beyond it.

    Returns:
        Signals as `[data, wire, principal]`, without those that still wait to be recorded.
    """
    own, step = turn.own, turn.step
    signals = []
    for name, through in own.cursors.items():
        read = [(message_id, at) for message_id, at in own.inboxes[name].ids.items() if at <= through]
        told = {"schema": CURSOR, "stream_name": name, "through_position": through}
        data = {
            **_signal(turn, told), "stream_name": name, "through_position": through, "message_ids": dict(read[-KEPT_IDS:]),
        }  # fmt: skip
        signals.append([data, step.wire, step.principal])
    for event in turn.state.history if own.inboxes else ():
        if event.name == "SignalReceived" and event.data.get("position", 0) > own.cursors.get(event.data.get("stream_name", ""), 0):
            signals.append([dict(event.data), event.wire, event.principal])
    return signals


def _signal(turn: "Turn", told: dict[str, Any]) -> dict[str, Any]:
    signal_id = f"sig-{turn.run_id}-{turn.next_arrival}"
    return {"signal_name": SIGNAL, "signal_id": signal_id, "arguments": dict(envelope([told])), "payload_codec": "avro"}
