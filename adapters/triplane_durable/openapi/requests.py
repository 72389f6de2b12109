"""What each route takes: bodies and URL parameters by handler, with the bounds that the handlers check."""

from triplane_durable.cancelling import CALL_KINDS
from triplane_durable.contract import DUPLICATE_POLICIES
from triplane_durable.openapi.kinds import (
    LONGEST_S,
    MAYBE_STRING,
    OBJECT,
    PAYLOAD,
    STRING,
    Schema,
    array,
    body,
    choice,
    flag,
    listing,
    mapping,
    maybe,
    name,
    number,
    ref,
    text,
    whole,
)

_REQUEST_ID = text(description="The same id with the same content takes effect once.")
_LEASE = {"lease_owner": name()}
_IDS = listing(name(), maxItems=100)
_OVERLAP = choice("skip", "buffer_one", "buffer_all", "allow_all", "cancel_other", "terminate_other")
_MODE, _WAIT = choice("sync", "async"), choice("completed", "accepted")


def _attempt(kind: str) -> Schema:
    return {**whole(1, 1 << 31), "type": "integer", "description": f"The attempt that the {kind} task was leased as."}


def _leased(kind: str, **more: Schema) -> Schema:
    return body({**_LEASE, f"{kind}_attempt": _attempt(kind)}, **more)


_POLL = body(
    {"worker_id": name(), "task_queue": name()},
    poll_request_id=text(), build_id=text(), timeout_seconds=number(0, 3_600), history_page_size=whole(1, 1_000),
)  # fmt: skip
_ATTEMPT = {"activity_attempt_id": name(128), **_LEASE}
_STOP = body(reason=text(1_000), request_id=_REQUEST_ID)
_PASS_LIMIT = whole(1, 100)
_NAMESPACE = {"description": text(1_000), "retention_days": whole(1, 365)}
_NOTE = body(note=text(1_000))
_SCHEDULE = {
    "overlap_policy": _OVERLAP, "jitter_seconds": whole(0, 3_600), "max_runs": whole(1, 1 << 31), "memo": mapping(),
    "search_attributes": mapping(), "note": text(1_000),
}  # fmt: skip

BODIES: dict[str, Schema] = {
    "start": body(
        {"workflow_type": name()},
        workflow_id=text(128, pattern="^[A-Za-z0-9._:-]{1,128}$"), task_queue=text(), input=PAYLOAD,
        duplicate_policy=choice(*DUPLICATE_POLICIES), execution_timeout_seconds=whole(1, LONGEST_S),
        run_timeout_seconds=whole(1, LONGEST_S), memo=mapping(), search_attributes=mapping(), business_key=text(),
        priority=whole(0, 9), fairness_key=text(), fairness_weight=whole(1, 1_000), build_id=text(), compatibility=text(),
        request_id=_REQUEST_ID,
    ),
    "signal": body(input=PAYLOAD, request_id=_REQUEST_ID),
    "query": body(input=PAYLOAD),
    "update": body(
        input=PAYLOAD, request_id=_REQUEST_ID, wait_for=choice("accepted", "completed"), wait_timeout_seconds=number(0, 60)
    ),
    "cancel": _STOP,
    "terminate": _STOP,
    "request_cancellation": body(reason=text(1_000), cleanup_timeout_seconds=whole(1, 3_600)),
    "repair": body(),
    "archive": _STOP,
    "redrive": body(request_id=_REQUEST_ID),
    "append_message": body({"message_id": name()}, input=PAYLOAD),
    "append_stream": body({"items": {**array(ref("StreamItemIn")), "minItems": 1}}, max_pending_items=whole(1, 1 << 31)),
    "close_stream": body(error_reason=text(1_000), retention_seconds=whole(1, LONGEST_S)),
    "start_activity": body(
        {"activity_type": name(), "task_queue": name()},
        activity_id=text(128), activity_class=text(), business_key=text(), input=PAYLOAD, retry_policy=mapping(),
        start_to_close_timeout_seconds=whole(1, LONGEST_S), schedule_to_start_timeout_seconds=whole(1, LONGEST_S),
        schedule_to_close_timeout_seconds=whole(1, LONGEST_S), heartbeat_timeout_seconds=whole(1, LONGEST_S),
    ),
    "create_schedule": body(
        {"spec": ref("ScheduleSpec"), "action": ref("ScheduleAction")}, schedule_id=text(128), paused=flag(), **_SCHEDULE
    ),
    "update_schedule": body(spec=maybe(ref("ScheduleSpec")), action=maybe(ref("ScheduleAction")), **_SCHEDULE),
    "pause_schedule": _NOTE,
    "resume_schedule": _NOTE,
    "trigger_schedule": body(overlap_policy=_OVERLAP),
    "backfill_schedule": body({"start_time": name(64), "end_time": name(64)}, overlap_policy=_OVERLAP),
    "create_namespace": body({"name": name(128, pattern="^[A-Za-z0-9._-]{1,128}$")}, **_NAMESPACE),
    "update_namespace": body(**_NAMESPACE),
    "set_external_storage": body(
        {"driver": {"enum": ["local", "s3", "gcs", "azure"]}}, enabled=flag(), threshold_bytes=whole(1, 1 << 40), config=mapping()
    ),
    "test_storage": body(
        driver=choice("local", "s3", "gcs", "azure"), small_payload_bytes=whole(1, 1 << 20), large_payload_bytes=whole(1, 1 << 26)
    ),
    "create_search_attribute": body({
        "name": name(128, pattern="^[A-Za-z][A-Za-z0-9_]*$"),
        "type": {"enum": ["keyword", "text", "int", "double", "bool", "datetime", "keyword_list"]},
    }),
    "drain_build_id": body({"build_id": text()}),
    "resume_build_id": body({"build_id": text()}),
    "promote_build_id": body({"build_id": text()}),
    "repair_pass": body(run_ids=_IDS, instance_id=text(128)),
    "retention_pass": body(run_ids=_IDS, limit=_PASS_LIMIT),
    "timeout_pass": body(execution_ids=_IDS, limit=_PASS_LIMIT),
    "webhook": body(
        {"action": {"enum": ["start_workflow", "signal_workflow", "update_workflow"]}, "idempotency_key": name(), "target": OBJECT},
        input={"type": ["object", "array", "null"]}, correlation=mapping(),
    ),
    "execute_operation": body(
        arguments=PAYLOAD, payload_codec=text(), mode=_MODE, mode_override=_MODE, wait_for=_WAIT, wait_timeout_seconds=whole(0, 86_400),
        idempotency_key=text(), caller_namespace=text(), caller_workflow_instance_id=text(), caller_workflow_run_id=text(),
        connection=text(), queue=text(), labels=mapping(), memo=mapping(), search_attributes=mapping(), business_key=text(),
        duplicate_start_policy=choice("return_existing_active", "reject_duplicate"),
    ),
    "register": body(
        {"task_queue": name(), "runtime": name()},
        worker_id=text(), sdk_version=MAYBE_STRING, build_id=MAYBE_STRING, supported_workflow_types=listing(STRING),
        supported_activity_types=listing(STRING), capabilities=listing(STRING), workflow_command_contracts=mapping(),
        workflow_definition_fingerprints=mapping(), capability_manifest=mapping(), task_slots=mapping(), process_metrics=mapping(),
    ),
    "heartbeat": body({"worker_id": name()}, task_slots=mapping(), process_metrics=mapping()),
    "poll_workflow": {
        **_POLL, "properties": {**_POLL["properties"], "task_kinds": listing({"enum": ["workflow", "update_validation"]}, minItems=1)}
    },
    "poll_activity": _POLL,
    "poll_query": _POLL,
    "poll_update_validation": _POLL,
    "task_history": _leased(
        "workflow_task", next_history_page_token=text(32), history_page_token=text(32), history_page_size=whole(1, 1_000)
    ),
    "complete_workflow_task": body(
        {**_LEASE, "workflow_task_attempt": _attempt("workflow"), "commands": {**array(ref("WorkflowCommand")), "minItems": 1}},
        message_stream_cursors=listing(OBJECT), message_stream_waits=listing(OBJECT),
    ),
    "fail_workflow_task": _leased("workflow_task", failure=mapping()),
    "heartbeat_workflow_task": _leased("workflow_task"),
    "complete_activity": body(_ATTEMPT, result=PAYLOAD),
    "fail_activity": body(_ATTEMPT, failure=mapping()),
    "heartbeat_activity": body(_ATTEMPT, details=PAYLOAD),
    "complete_query": _leased("query_task", result=PAYLOAD, result_envelope=PAYLOAD),
    "fail_query": _leased("query_task", failure=mapping()),
    "approve_update": _leased("update_validation"),
    "reject_update": _leased("update_validation", failure=mapping()),
    "deliver_cancellation": body(
        {
            **_LEASE, "workflow_task_attempt": _attempt("workflow"), "request_id": name(),
            "sequence": {"type": "integer", "minimum": 1, "maximum": 10**9}, "call_kind": {"enum": list(CALL_KINDS)},
        },
        sequence_span=whole(1, 1_000), operation_sequence=whole(1, 10**9), operation_sequence_span=whole(1, 1_000),
    ),
    "observe_activity": body(_ATTEMPT),
    "open_session": body(
        {"worker_id": name(), "session_id": name()},
        requirements=listing(name()), lease_seconds=whole(1, 366 * 86_400), ttl_seconds=whole(1, 366 * 86_400),
        max_concurrent_activities=whole(1, 10_000), create_if_missing=flag(), allow_reacquire_after_failure=flag(), queue=text(),
    ),
    "renew_session": body({"worker_id": name()}, lease_seconds=whole(1, 366 * 86_400)),
    "close_session": body({"worker_id": name()}, reason=text(1_000)),
}
"""Handler → the object that it takes. No body counts as an empty one."""

_SIZE = {"page_size": {"type": "integer", "minimum": 1, "maximum": 200}}
_BUCKET = {"status": {"enum": ["running", "completed", "failed"]}}
_TOKEN = {"next_page_token": STRING}

QUERIES: dict[str, dict[str, Schema]] = {
    "list": {
        "workflow_type": {"type": "string", "maxLength": 512}, **_BUCKET, "query": {"type": "string", "maxLength": 8_192}, **_SIZE,
        **_TOKEN, "count": {"enum": ["true", "false"]},
    },
    "history": {
        "page_size": {"type": "integer", "minimum": 1, "maximum": 1_000}, "next_page_token": {"type": "integer", "minimum": 0},
        "wait_new_event": {"enum": ["0", "1", "true", "false"]},
    },
    "read_stream": {
        "from": {"type": "integer", "minimum": 0}, "max_items": {"type": "integer", "minimum": 1, "maximum": 500},
        "wait_seconds": {"type": "integer", "minimum": 0, "maximum": 60},
    },
    "list_activities": {**_BUCKET, **_SIZE, **_TOKEN},
    "list_schedules": {
        "status": {"enum": ["active", "paused"]}, "workflow_type": {"type": "string", "maxLength": 255},
        "query": {"type": "string", "maxLength": 4_096}, **_SIZE, **_TOKEN,
    },
    "schedule_history": {"limit": {"type": "integer", "minimum": 1}, "after_sequence": {"type": "integer", "minimum": 0}},
    "list_workers": {"task_queue": {"type": "string", "maxLength": 255}, "status": {"enum": ["active", "draining", "stale"]}},
}  # fmt: skip
"""Handler → its parameters in the URL; all are optional."""
