"""Reading the commands of a workflow task completion: all of it is checked before any of it takes effect."""

from collections.abc import Callable, Mapping
from typing import Any

from triplane.engines.durable.outputs import read_directive
from triplane.engines.durable.payloads import as_arguments, as_envelope
from triplane.engines.durable.settings import DurableSettings
from triplane.entities import HOST_TYPE
from triplane.errors import GatewayError, InvalidFields
from triplane.payloads import PayloadError, decode

TERMINAL = frozenset({"complete_workflow", "fail_workflow", "continue_as_new"})
UPDATE = frozenset({"complete_update", "fail_update"})
TIMEOUTS = ("start_to_close_timeout", "schedule_to_start_timeout", "schedule_to_close_timeout", "heartbeat_timeout")
MAX_TIMER_S = 10 * 366 * 86_400
MAX_NAME = 256
MAX_SESSION_S = 366 * 86_400



def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


Read = Callable[["_Reader", dict[str, Any]], None]


class _Reader:
    """One command being read; collects what is wrong by field."""

    __slots__ = ("at", "errors", "settings")

    def __init__(self, settings: DurableSettings) -> None:
        self.settings, self.at = settings, ""
        self.errors: dict[str, list[str]] = {}

    def wrong(self, field: str, sentence: str) -> None:
        self.errors.setdefault(f"{self.at}.{field}", []).append(sentence)

    def name(self, command: dict[str, Any], field: str, required: bool = True) -> None:
        value = command.get(field)
        if value is None and not required:
            return
        if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
            self.wrong(field, f"must be text of 1 to {MAX_NAME} characters")
        elif not value.isascii() and not _is_text(value):
            self.wrong(field, "holds half of a surrogate pair, which is no character")

    def text(self, command: dict[str, Any], field: str, most: int = 1_048_576) -> None:
        value = command.get(field)
        if value is not None and (not isinstance(value, str) or len(value) > most):
            self.wrong(field, f"must be text of at most {most} characters")

    def whole(self, command: dict[str, Any], field: str, least: int, most: int, required: bool = False) -> None:
        value = command.get(field)
        if value is None and not required:
            return
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(field, f"must be a whole number from {least} to {most}")

    def mapping(self, command: dict[str, Any], field: str, required: bool = False) -> None:
        value = command.get(field)
        if not (isinstance(value, Mapping) or (value is None and not required)):
            self.wrong(field, "must be an object")

    def payload(self, command: dict[str, Any], field: str) -> None:
        try:
            command[field] = as_envelope(command.get(field), self.settings.max_payload_bytes, field)
        except GatewayError as error:
            self.wrong(field, error.message)

    def arguments(self, command: dict[str, Any]) -> None:
        if command.get("arguments") is not None:
            try:
                command["arguments"] = as_arguments(command["arguments"], self.settings.max_payload_bytes, "arguments")
            except GatewayError as error:
                self.wrong("arguments", error.message)


def read_commands(commands: tuple[dict[str, Any], ...], update_id: str, settings: DurableSettings) -> list[dict[str, Any]]:
    """The commands, checked and with their payloads encoded; fresh dicts that may be kept.

    Args:
        update_id: the update the task runs, or empty.

    Raises:
        InvalidFields: by `commands.<index>.<field>`.
        NotSupported: a command this engine does not carry out.
    """
    reader, read = _Reader(settings), []
    for index, given in enumerate(commands):
        reader.at = f"commands.{index}"
        kind = given.get("type")
        check = READERS.get(kind) if isinstance(kind, str) else None
        if check is None:
            reader.wrong("type", f"unknown command {kind!r}"[:200])
            continue
        command = dict(given)
        check(reader, command)
        _read_group(reader, command)
        if kind in TERMINAL and index != len(commands) - 1:
            reader.wrong("type", "ends the workflow, so nothing may follow it")
        if (kind in UPDATE) != bool(update_id):
            reader.wrong("type", "an update's task is completed by complete_update or fail_update, and no other task is")
        elif update_id and (len(commands) != 1 or command.get("update_id") != update_id):
            reader.wrong("update_id", "must be the one command of its task, with that task's workflow_update_id")
        read.append(command)
    if reader.errors:
        raise InvalidFields(reader.errors)
    return read


def read_activity(given: dict[str, Any], settings: DurableSettings) -> dict[str, Any]:
    """The fields of a `schedule_activity` command that comes from a client, checked and with its arguments encoded.

    Raises:
        InvalidFields: by `activity.<field>`.
    """
    reader, command = _Reader(settings), dict(given)
    reader.at = "activity"
    _schedule_activity(reader, command)
    if reader.errors:
        raise InvalidFields(reader.errors)
    return command


def group_keys(command: Mapping[str, Any]) -> dict[str, Any]:
    """The parallel-group keys of a command, to be copied verbatim into the events of its step."""
    if "parallel_group_id" not in command:
        return {}
    return {key: value for key, value in command.items() if key.startswith(_GROUP_KEYS) and value is not None}


_GROUP_KEYS = ("parallel_group_", "selection_member_")
_KINDS = ("activity", "timer", "child", "condition", "group")


def _read_group(reader: _Reader, command: dict[str, Any]) -> None:
    if "parallel_group_id" not in command and "parallel_group_path" not in command:
        return
    path = command.get("parallel_group_path")
    if path is not None and (
        not isinstance(path, list) or not 0 < len(path) <= 20
        or not all(isinstance(entry, Mapping) and isinstance(entry.get("parallel_group_id"), str) for entry in path)
    ):  # fmt: skip
        reader.wrong("parallel_group_path", "must be a list of groups, outermost first")
        return
    for keys in [command, *(path or ())]:
        if keys.get("parallel_group_mode") == "select":
            _read_selection(reader, dict(keys))
    reader.name(command, "parallel_group_id")
    reader.whole(command, "parallel_group_base_sequence", 1, 10**9, required=True)
    reader.whole(command, "parallel_group_size", 1, 10_000, required=True)
    reader.whole(command, "parallel_group_index", 0, 10_000, required=True)


def _read_selection(reader: _Reader, keys: dict[str, Any]) -> None:
    reader.whole(keys, "parallel_group_base_sequence", 1, 10**9, required=True)
    reader.whole(keys, "parallel_group_size", 1, 10_000, required=True)
    reader.whole(keys, "selection_member_index", 0, 10_000, required=True)
    reader.whole(keys, "selection_member_base_sequence", 1, 10**9, required=True)
    reader.whole(keys, "selection_member_size", 1, 10_000, required=True)
    if not isinstance(keys.get("selection_member_key"), (str, int)):
        reader.wrong("selection_member_key", "must be text or a whole number")
    if keys.get("selection_member_kind") not in _KINDS:
        reader.wrong("selection_member_kind", f"must be one of {', '.join(_KINDS)}")


def _cancel_selection(reader: _Reader, command: dict[str, Any]) -> None:
    reader.name(command, "selection_group_id")
    reader.whole(command, "member_base_sequence", 1, 10**9, required=True)
    reader.whole(command, "member_size", 1, 10_000, required=True)
    reader.whole(command, "member_index", 0, 10_000, required=True)


def _schedule_activity(reader: _Reader, command: dict[str, Any]) -> None:
    reader.name(command, "activity_type")
    reader.name(command, "queue", required=False)
    reader.arguments(command)
    for field in TIMEOUTS:
        reader.whole(command, field, 1, MAX_TIMER_S)
    _read_session(reader, command)
    _retry_policy(reader, command)


def _retry_policy(reader: _Reader, command: dict[str, Any]) -> None:
    reader.mapping(command, "retry_policy")
    policy = command.get("retry_policy")
    if isinstance(policy, Mapping):
        reader.whole(dict(policy), "max_attempts", 1, 1_000_000)
        waits = policy.get("backoff_seconds")
        if waits is not None and not (
            isinstance(waits, list) and len(waits) <= 1_000
            and all(isinstance(w, (int, float)) and not isinstance(w, bool) and 0 <= w <= MAX_TIMER_S for w in waits)
        ):  # fmt: skip
            reader.wrong("retry_policy.backoff_seconds", "must be a list of seconds")
        names = policy.get("non_retryable_error_types")
        if names is not None and not (isinstance(names, list) and len(names) <= 1_000 and all(isinstance(n, str) for n in names)):
            reader.wrong("retry_policy.non_retryable_error_types", "must be a list of names")


def _start_child(reader: _Reader, command: dict[str, Any]) -> None:
    reader.name(command, "workflow_type")
    reader.name(command, "queue", required=False)
    reader.arguments(command)
    for field in ("execution_timeout_seconds", "run_timeout_seconds"):
        reader.whole(command, field, 1, MAX_TIMER_S)
    _retry_policy(reader, command)
    for field, known in _CHILD_POLICIES.items():
        if command.get(field) is not None and command[field] not in known:
            reader.wrong(field, f"must be one of {', '.join(known)}")


_CHILD_POLICIES = {
    "parent_close_policy": ("abandon", "request_cancel", "request_cancellation", "terminate"),
    "cancellation_policy": ("abandon", "try_cancel", "wait_cancellation_completed"),
}


def _start_operation(reader: _Reader, command: dict[str, Any]) -> None:
    for field in ("endpoint_name", "service_name", "operation_name"):
        reader.name(command, field)
    for field in ("idempotency_key", "namespace"):
        reader.name(command, field, required=False)
    reader.whole(command, "wait_timeout_seconds", 1, MAX_TIMER_S)
    for field, known in (("payload_codec", ("avro",)), ("mode_override", ("sync", "async")), ("wait_for", ("completed", "accepted"))):
        if command.get(field) is not None and command[field] not in known:
            reader.wrong(field, f"must be one of {', '.join(known)}")
    _blob(reader, command, "request_payload")


def _read_session(reader: _Reader, command: dict[str, Any]) -> None:
    """The session an activity belongs to. Source: contract durable 4.1."""
    reader.mapping(command, "worker_session")
    session = command.get("worker_session")
    if not isinstance(session, Mapping):
        return
    at, reader.at = reader.at, f"{reader.at}.worker_session"
    fields = dict(session)
    reader.name(fields, "session_id")
    for field in ("lease_seconds", "ttl_seconds"):
        reader.whole(fields, field, 1, MAX_SESSION_S)
    reader.whole(fields, "max_concurrent_activities", 1, 10_000)
    for field in ("create_if_missing", "allow_reacquire_after_failure"):
        if fields.get(field) is not None and not isinstance(fields[field], bool):
            reader.wrong(field, "must be true or false")
    needed = fields.get("requirements")
    if needed is not None and not (
        isinstance(needed, list) and len(needed) <= 100 and all(isinstance(n, str) and 0 < len(n) <= MAX_NAME for n in needed)
    ):
        reader.wrong("requirements", "must be a list of names")
    reader.at = at


def _start_timer(reader: _Reader, command: dict[str, Any]) -> None:
    reader.whole(command, "delay_seconds", 0, MAX_TIMER_S, required=True)


def _side_effect(reader: _Reader, command: dict[str, Any]) -> None:
    _blob(reader, command, "result")
    if command.get("workflow_stream") is not None:
        try:
            command["workflow_stream"] = read_directive(command["workflow_stream"], reader.settings.max_payload_bytes)
        except InvalidFields as error:
            for field, sentences in error.details["errors"].items():
                reader.wrong(f"workflow_stream.{field}", ", ".join(sentences))
        except GatewayError as error:
            reader.wrong("workflow_stream", error.message)


def _blob(reader: _Reader, command: dict[str, Any], field: str) -> None:
    """A payload that comes as a bare blob; an envelope (of external storage) is good too."""
    value = command.get(field)
    if isinstance(value, str):
        if len(value) > reader.settings.max_payload_bytes // 3 * 4 + 4:
            reader.wrong(field, f"is over {reader.settings.max_payload_bytes} bytes (engines.durable.max_payload_bytes)")
    else:
        reader.payload(command, field)


def _version_marker(reader: _Reader, command: dict[str, Any]) -> None:
    reader.name(command, "change_id")
    for field in ("version", "min_supported", "max_supported"):
        reader.whole(command, field, -(2**31), 2**31, required=True)


def _search_attributes(reader: _Reader, command: dict[str, Any]) -> None:
    attributes = command.get("attributes")
    if not isinstance(attributes, dict) or len(attributes) > 100 or not all(0 < len(key) <= 128 for key in attributes):
        reader.wrong("attributes", "must be an object of at most 100 attributes with names of at most 128 characters")


def _memo(reader: _Reader, command: dict[str, Any]) -> None:
    entries = command.get("entries")
    if isinstance(entries, Mapping) and "codec" not in entries:
        reader.payload(command, "entries")
        entries = command["entries"]
    blob = entries.get("blob") if isinstance(entries, Mapping) else None
    if not isinstance(entries, Mapping) or entries.get("codec") != "avro" or not isinstance(blob, str):
        reader.wrong("entries", "must be an Avro envelope")
        return
    try:
        value = decode(blob)
    except PayloadError as error:
        reader.wrong("entries", str(error))
        return
    if not isinstance(value, dict) or not value:
        reader.wrong("entries", "must be an Avro envelope of a map with at least one entry")
        return
    command["entries"], command["decoded"] = {"codec": "avro", "blob": blob}, value


def _condition_wait(reader: _Reader, command: dict[str, Any]) -> None:
    reader.name(command, "condition_key", required=False)
    reader.name(command, "condition_definition_fingerprint", required=False)
    reader.whole(command, "timeout_seconds", 0, MAX_TIMER_S)


def _local_activity(reader: _Reader, command: dict[str, Any]) -> None:
    reader.name(command, "activity_type")
    reader.arguments(command)
    if command.get("outcome") not in ("completed", "failed", "timed_out", "cancelled"):
        reader.wrong("outcome", "must be completed, failed, timed_out or cancelled")
    elif command["outcome"] == "completed":
        reader.payload(command, "result")
    reader.text(command, "message")
    attempts = command.get("attempts")
    if attempts is not None and not (
        isinstance(attempts, list) and len(attempts) <= 1_000 and all(isinstance(a, Mapping) for a in attempts)
    ):
        reader.wrong("attempts", "must be a list of objects")


def _complete_update(reader: _Reader, command: dict[str, Any]) -> None:
    reader.name(command, "update_id")
    reader.payload(command, "result")


def _fail_update(reader: _Reader, command: dict[str, Any]) -> None:
    reader.name(command, "update_id")
    reader.text(command, "message")


def _complete_workflow(reader: _Reader, command: dict[str, Any]) -> None:
    reader.payload(command, "result")


def _fail_workflow(reader: _Reader, command: dict[str, Any]) -> None:
    reader.text(command, "message")
    reader.mapping(command, "exception")


def _continue_as_new(reader: _Reader, command: dict[str, Any]) -> None:
    reader.name(command, "workflow_type", required=False)
    if command.get("workflow_type") == HOST_TYPE:
        reader.wrong("workflow_type", "is not a workflow's")
    reader.name(command, "queue", required=False)
    reader.arguments(command)


READERS: dict[str, Read] = {
    "schedule_activity": _schedule_activity,
    "start_timer": _start_timer,
    "start_child_workflow": _start_child,
    "start_service_operation": _start_operation,
    "record_side_effect": _side_effect,
    "record_version_marker": _version_marker,
    "upsert_search_attributes": _search_attributes,
    "upsert_memo": _memo,
    "open_condition_wait": _condition_wait,
    "record_local_activity": _local_activity,
    "cancel_selection_operation": _cancel_selection,
    "complete_update": _complete_update,
    "fail_update": _fail_update,
    "complete_workflow": _complete_workflow,
    "fail_workflow": _fail_workflow,
    "continue_as_new": _continue_as_new,
}
"""Every command that is carried out; a wire advertises exactly these."""
