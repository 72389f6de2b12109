"""Output streams that a workflow appends to: as part of the completion of its task, so all of it or nothing.

A workflow's stream command comes on a recorded side effect. It is worked out before the completion changes anything,
and takes effect with the side effect's event. Source: contract durable 2.4, 4.3.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from triplane.commands.streams import ChangeStream
from triplane.effects import StreamChanged
from triplane.engines.durable.payloads import as_envelope
from triplane.errors import InvalidFields, LimitReached
from triplane.streams.log import Append, Change, End, Outcome, StreamLog, decide, take

if TYPE_CHECKING:
    from triplane.engines.durable.turn import Turn

MAX_ITEMS_AT_ONCE = 500
LONGEST_NAME = 255
MAX_RETENTION_S = 10 * 366 * 86_400


def change(turn: "Turn", command: ChangeStream) -> Mapping[str, Any]:
    """Carry out what somebody outside wants of a stream.

    Raises:
        StreamClosed, LimitReached.
    """
    streams = turn.state.streams
    outcome = _decide(turn, streams, command.stream_name, command.change)
    log = streams.get(command.stream_name)
    if log is None or outcome.items or outcome.emptied or outcome.stream != log.stream:
        _carry_out(turn, outcome)
    return outcome.reply


def prepare(turn: "Turn", commands: list[dict[str, Any]]) -> None:
    """Work out what the commands of a task do to streams; each one's outcome is kept in it as `outcome`.

    Raises:
        StreamClosed, LimitReached: before anything is changed.
    """
    ahead: dict[str, StreamLog] | None = None
    for command in commands:
        directive = command.get("workflow_stream")
        if directive is None or command["type"] != "record_side_effect":
            continue  # on any other command it was not checked, and means nothing
        if ahead is None:
            # Later commands see what earlier ones of the same task would do, and the run does not yet.
            ahead = {name: StreamLog(log.stream, ChainMap({}, dict(log.keys))) for name, log in turn.state.streams.items()}
        command["outcome"] = _decide(turn, ahead, directive["stream_name"], _change_of(directive))
        take(ahead, command["outcome"])


def record(turn: "Turn", command: dict[str, Any]) -> dict[str, Any]:
    """Let a prepared command take effect; what its event says of it."""
    outcome: Outcome = command["outcome"]
    _carry_out(turn, outcome)
    said = {"operation": command["workflow_stream"]["operation"], "stream_name": outcome.stream.name}
    if "accepted_offsets" in outcome.reply:
        said["offsets"] = outcome.reply["accepted_offsets"]
    return said


def end_all(turn: "Turn", status: str) -> None:
    """The run ended badly: whoever follows a stream of it must not wait for more."""
    for log in [*turn.state.streams.values()]:
        if log.stream.status == "open":
            _carry_out(turn, _decide(turn, turn.state.streams, log.stream.name, End(error_reason=f"the run was closed: {status}")))


def _decide(turn: "Turn", streams: Mapping[str, StreamLog], name: str, wanted: Change) -> Outcome:
    settings, log = turn.settings, streams.get(name)
    if log is None and len(streams) >= settings.max_streams:
        raise LimitReached(f"the run has {len(streams)} streams already (engines.durable.max_streams)", limit=settings.max_streams)
    return decide(log, turn.run_id, name, wanted, turn.now, settings.max_stream_items)


def _carry_out(turn: "Turn", outcome: Outcome) -> None:
    turn.step.put_stream(outcome)
    turn.step.effect(StreamChanged(turn.run_id, outcome.stream.name))


def _change_of(directive: Mapping[str, Any]) -> Change:
    if directive["operation"] == "append":
        identity = str(directive.get("command_identity") or "")
        return Append(directive["items"], directive.get("max_pending_items"), "workflow", identity)
    return End(directive.get("error_reason"), directive.get("retention_seconds"))


# ---- reading what was sent -------------------------------------------------------------------------------------------


def read_directive(given: Any, most_bytes: int) -> dict[str, Any]:
    """A stream command of a workflow, checked.

    Raises:
        InvalidFields: by field; TooLarge, InvalidPayload: of a payload.
    """
    if not isinstance(given, Mapping):
        raise InvalidFields({"workflow_stream": ["must be an object"]})
    directive, errors = dict(given), dict(_wrong_texts(given, {"stream_name": LONGEST_NAME, "error_reason": 1_000}, ""))
    operation = directive.get("operation")
    if operation not in ("append", "close", "error"):
        errors["operation"] = ["must be append, close or error"]
    if directive.get("stream_name") is None:
        errors["stream_name"] = ["is required"]
    if operation == "error" and directive.get("error_reason") is None:
        errors["error_reason"] = ["is required"]
    for name, most in (("max_pending_items", 1_000_000), ("retention_seconds", MAX_RETENTION_S)):
        number = directive.get(name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most):
            errors[name] = [f"must be a whole number from 1 to {most}"]
    if errors:
        raise InvalidFields(errors)
    if operation == "close":
        directive["error_reason"] = None
    if operation == "append":
        directive["items"] = read_items(directive.get("items"), most_bytes)
    return directive


def read_items(given: Any, most_bytes: int) -> list[dict[str, Any]]:
    """Items to append, checked and with plain payloads encoded.

    Args:
        given: 1 to 500 objects with `payload` or `payload_reference`, and optionally `payload_codec`, `item_type`,
            `content_type`, `idempotency_key`.
        most_bytes: limit of each payload.

    Raises:
        InvalidFields: by `items.<index>.<field>`.
        TooLarge, InvalidPayload: of a payload.
    """
    if not isinstance(given, (list, tuple)) or not 0 < len(given) <= MAX_ITEMS_AT_ONCE:
        raise InvalidFields({"items": [f"must be a list of 1 to {MAX_ITEMS_AT_ONCE} objects"]})
    errors: dict[str, list[str]] = {}
    items = []
    for index, item in enumerate(given):
        if not isinstance(item, Mapping):
            errors[f"items.{index}"] = ["must be an object"]
            continue
        errors.update(_wrong_texts(item, _TEXTS, f"items.{index}."))
        if item.get("payload_codec") not in (None, "avro"):
            errors[f"items.{index}.payload_codec"] = ["must be avro"]
        read = {name: item[name] for name in _TEXTS if isinstance(item.get(name), str)}
        if "payload" in item:
            read["payload"] = as_envelope(item["payload"], most_bytes, f"items.{index}.payload")
        elif "payload_reference" not in read:
            errors[f"items.{index}.payload"] = ["is required where there is no payload_reference"]
        items.append(read)
    if errors:
        raise InvalidFields(errors)
    return items


_TEXTS = {"payload_reference": 2_048, "item_type": 255, "content_type": 255, "idempotency_key": 255}


def _wrong_texts(given: Mapping[str, Any], longest: Mapping[str, int], at: str) -> Iterator[tuple[str, list[str]]]:
    for name, most in longest.items():
        text = given.get(name)
        if text is not None and (not isinstance(text, str) or not 0 < len(text) <= most):
            yield f"{at}{name}", [f"must be text of 1 to {most} characters"]
