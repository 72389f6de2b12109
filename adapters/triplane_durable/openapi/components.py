"""Objects that several routes speak of."""

from triplane_durable.contract import WORKFLOW_TASK_COMMANDS
from triplane_durable.openapi.kinds import (
    ANY,
    BOOLEAN,
    COUNT,
    MAYBE_COUNT,
    MAYBE_MOMENT,
    MAYBE_STRING,
    MOMENT,
    OBJECT,
    STRING,
    Schema,
    answer,
    array,
    body,
    listing,
    maybe,
    name,
    ref,
    text,
    whole,
)
from triplane_durable.openapi.kinds import LONGEST_S as _LONGEST_S

_SUMMARY: dict[str, Schema] = {
    "workflow_id": STRING, "run_id": STRING, "workflow_type": STRING, "business_key": MAYBE_STRING,
    "status": {"enum": ["pending", "running", "waiting", "completed", "failed", "cancelled", "terminated"]},
    "status_bucket": {"enum": ["running", "completed", "failed"]}, "is_terminal": BOOLEAN, "task_queue": MAYBE_STRING,
    "namespace": STRING, "started_at": MAYBE_MOMENT, "closed_at": MAYBE_MOMENT, "payload_codec": STRING, "memo": OBJECT,
    "search_attributes": OBJECT,
}  # fmt: skip

COMPONENTS: dict[str, Schema] = {
    "Payload": {
        "description": "An envelope `{codec, blob}` with Avro inside, in base64; or plain JSON, which is encoded on arrival.",
    },
    "Envelope": {
        "type": "object", "required": ["codec"],
        "properties": {"codec": STRING, "blob": STRING, "external_storage": OBJECT},
    },
    "Refusal": {
        "type": "object",
        "required": ["reason"],
        "anyOf": [{"required": ["message"]}, {"required": ["error"]}],
        "properties": {
            "reason": {**STRING, "description": "What programs decide by."},
            "message": {**STRING, "description": "What was wrong, for people."},
            "error": {**STRING, "description": "The same, on the worker plane."},
            "errors": {"type": "object", "additionalProperties": array(STRING), "description": "What was wrong with each field."},
            "validation_errors": {"type": "object"},
        },
    },
    "RunSummary": answer(**_SUMMARY),
    "Run": answer(
        **_SUMMARY, closed_reason=MAYBE_STRING, run_number=COUNT, run_count=COUNT, is_current_run=BOOLEAN,
        execution_deadline_at=MAYBE_MOMENT, run_deadline_at=MAYBE_MOMENT, input=ANY, output=ANY, last_progress_at=MAYBE_MOMENT,
        wait_kind=MAYBE_STRING, wait_reason=MAYBE_STRING, actions=OBJECT,
    ),
    "HistoryEvent": answer(id=name(), sequence=COUNT, event_type=STRING, payload=OBJECT, recorded_at=MOMENT, timestamp=MOMENT),
    "Stream": answer(
        stream_name=STRING, status={"enum": ["open", "closed", "errored"]}, last_offset={"type": ["integer", "null"]},
        total_items=COUNT, pending_items=COUNT, error_reason=MAYBE_STRING, opened_at=MAYBE_MOMENT, closed_at=MAYBE_MOMENT,
    ),
    "StreamItemIn": {
        "type": "object",
        "properties": {
            "payload": ref("Payload"), "payload_codec": text(), "payload_reference": text(2_048), "idempotency_key": text(),
            "item_type": text(), "content_type": text(),
        },
    },
    "Activity": answer(
        activity_id=STRING, workflow_run_id=STRING, workflow_type=STRING, activity_type=STRING, task_queue=MAYBE_STRING,
        namespace=STRING, status=STRING, activity_status=MAYBE_STRING, business_key=MAYBE_STRING, result=maybe(OBJECT),
        started_at=MAYBE_MOMENT, closed_at=MAYBE_MOMENT, attempt_count=COUNT,
    ),
    "ScheduleSpec": body(
        cron_expressions=listing(name(), description="Five fields each, in `timezone`."),
        intervals=listing(body({"every": name()}, offset=text()), description="ISO 8601 durations, aligned to the epoch."),
        calendars=listing(OBJECT), timezone=text(),
    ),
    "ScheduleAction": body(
        {"workflow_type": name()}, task_queue=text(), input=ref("Payload"), execution_timeout_seconds=whole(1, _LONGEST_S),
        run_timeout_seconds=whole(1, _LONGEST_S),
    ),
    "Schedule": answer(
        schedule_id=STRING, status={"enum": ["active", "paused", "deleted"]}, spec=OBJECT, action=OBJECT, overlap_policy=STRING,
        fires_count=COUNT, failures_count=COUNT, remaining_actions=MAYBE_COUNT, next_fire_at=MAYBE_MOMENT,
        last_fired_at=MAYBE_MOMENT, created_at=MOMENT, updated_at=MOMENT, state=OBJECT, info=OBJECT,
    ),
    "Namespace": answer(
        name=STRING, description=MAYBE_STRING, retention_days=COUNT, status=STRING, created_at=MAYBE_MOMENT,
        updated_at=MAYBE_MOMENT, external_payload_storage=maybe(OBJECT),
    ),
    "Worker": answer(
        worker_id=STRING, namespace=STRING, task_queue=STRING, runtime=MAYBE_STRING, status={"enum": ["active", "draining", "stale"]},
        supported_workflow_types=array(STRING), supported_activity_types=array(STRING), last_heartbeat_at=MAYBE_MOMENT,
        registered_at=MAYBE_MOMENT,
    ),
    "BridgeOutcome": answer(
        schema=STRING, version=COUNT, adapter=STRING, action=STRING, accepted=BOOLEAN, outcome=STRING, reason=MAYBE_STRING,
        idempotency_key=STRING, target=OBJECT, correlation=maybe(OBJECT), workflow_id=MAYBE_STRING, run_id=MAYBE_STRING,
    ),
    "WorkflowCommand": {
        "type": "object", "required": ["type"],
        "properties": {"type": {"enum": sorted(WORKFLOW_TASK_COMMANDS)}, "arguments": ref("Payload")},
        "description": "What the workflow decided; which fields each type has is the wire's contract.",
    },
    "ControlPlane": answer(schema=STRING, version=COUNT, operation=STRING, workflow_id=MAYBE_STRING, contract=OBJECT),
}  # fmt: skip
