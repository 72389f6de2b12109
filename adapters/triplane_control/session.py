"""Control wire messages to the core's requests, and its answers to messages. No I/O.

A client sends one map a frame:

    {"command": NAME, "id": ID, "fields": {…}}      → {"id": ID, "ok": VALUE}
    {"query": NAME, "id": ID, "fields": {…}}        → {"id": ID, "ok": VALUE}
    {"follow": {…}, "id": ID}                       → {"id": ID, "ok": {"cursor": N}}, then {"id": ID, "delta": {…}} or
                                                      {"id": ID, "gap": {"after", "until"}}, and {"id": ID, "end": ERROR or null} last
    {"unfollow": ID_OF_FOLLOW, "id": ID}            → {"id": ID, "ok": null}

Whatever is refused is answered `{"id": ID, "error": {"code", "message", "retryable", "details"}}`; `id` is null where none could be
read. Answers come in any order. NAME is any command or query of the core; `follow` takes `namespace`, `workflow_id`, `run_id` and `cursor`,
all optional. A frame that carries a packed source must have `command: start_run` as its first pair.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triplane.commands.base import Command, NamespaceName, Query, Request, RunId, WorkflowId
from triplane.deltas import Delta, DeltaFilter, Gap
from triplane.errors import GatewayError, InvalidFields, RefusedInput, UnknownCommand
from triplane.plain import plain
from triplane_control.frames import FrameError, Message

Id = int | str
VERBS = ("command", "query", "follow", "unfollow")
MAX_ID_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Have the core carry out a command."""

    id: Id
    command: Command


@dataclass(frozen=True, slots=True)
class Ask:
    """Have the core answer a query."""

    id: Id
    query: Query


@dataclass(frozen=True, slots=True)
class Follow:
    """Open a stream of deltas; `cursor` None begins with the next one."""

    id: Id
    wanted: DeltaFilter
    cursor: int | None


@dataclass(frozen=True, slots=True)
class Unfollow:
    """End the stream that `target` opened."""

    id: Id
    target: Id


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an error; `fatal`: then close, the stream has lost its place."""

    reply: Message
    fatal: bool = False


Action = Dispatch | Ask | Follow | Unfollow | Refuse


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    namespace: NamespaceName | None = None
    workflow_id: WorkflowId | None = None
    run_id: RunId | None = None
    cursor: int | None = Field(default=None, ge=0)


def receive(message: Message | FrameError, requests: Mapping[str, type[Request]]) -> Action:
    """What a frame asks for; anything that is not a request becomes a refusal, never an exception.

    Args:
        requests: the core's commands and queries by name.
    """
    if isinstance(message, FrameError):
        return Refuse(error_reply(None, RefusedInput(str(message))), fatal=message.fatal)
    given = message.get("id")
    if isinstance(given, bool) or not isinstance(given, int | str) or (isinstance(given, str) and len(given) > MAX_ID_LENGTH):
        return Refuse(error_reply(None, RefusedInput(f"id: give an integer, or a text of at most {MAX_ID_LENGTH} characters")))
    try:
        return _action(given, message, requests)
    except GatewayError as error:
        return Refuse(error_reply(given, error))


def _action(given: Id, message: Message, requests: Mapping[str, type[Request]]) -> Action:
    verbs = [verb for verb in VERBS if verb in message]
    if len(verbs) != 1:
        raise RefusedInput(f"a frame must have exactly one of {', '.join(VERBS)}")
    verb = verbs[0]
    unknown = sorted(set(message) - {verb, "id", "fields"})
    if unknown:
        raise RefusedInput(f"unknown key {unknown[0]!r} in the frame")
    subject = message[verb]
    if verb == "unfollow":
        if not isinstance(subject, int | str):
            raise RefusedInput("unfollow: name the id of a follow")
        return Unfollow(given, subject)
    if verb == "follow":
        wanted = _validated(_Wanted, subject)
        namespaces = frozenset() if wanted.namespace is None else frozenset({wanted.namespace})
        return Follow(given, DeltaFilter(namespaces, wanted.workflow_id, wanted.run_id), wanted.cursor)
    kind = requests.get(subject) if isinstance(subject, str) else None
    if kind is None or not issubclass(kind, Command if verb == "command" else Query):
        raise UnknownCommand(f"no {verb} goes by the name {subject!r}")
    request = _validated(kind, message.get("fields", {}))
    return Dispatch(given, request) if isinstance(request, Command) else Ask(given, request)


def _validated(kind: type[Any], fields: Any) -> Any:
    if not isinstance(fields, dict):
        raise RefusedInput("fields must be a map")
    try:
        return kind.model_validate(fields)
    except ValidationError as invalid:
        errors: dict[str, list[str]] = {}
        for error in invalid.errors(include_url=False, include_input=False):
            errors.setdefault(".".join(str(part) for part in error["loc"]), []).append(error["msg"])
        raise InvalidFields(errors) from invalid
    except RecursionError as error:
        raise RefusedInput("fields are nested too deep") from error


def ok_reply(request_id: Id, value: Any) -> Message:
    """The answer to what was carried out."""
    return {"id": request_id, "ok": plain(value)}


def error_reply(request_id: Id | None, error: GatewayError) -> Message:
    """The answer to what was refused."""
    return {"id": request_id, "error": error_map(error)}


def error_map(error: GatewayError) -> Message:
    """An error in this wire's spelling."""
    return {"code": error.code, "message": error.message, "retryable": error.retryable, "details": plain(error.details)}


def item_message(request_id: Id, item: Delta | Gap) -> Message:
    """One item of a followed stream."""
    return {"id": request_id, "gap" if isinstance(item, Gap) else "delta": plain(item)}


def end_message(request_id: Id, error: GatewayError | None) -> Message:
    """The last message of a followed stream."""
    return {"id": request_id, "end": None if error is None else error_map(error)}
