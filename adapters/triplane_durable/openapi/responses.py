"""What each route answers: the fields that are always there, by handler and status."""

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
    maybe,
    ref,
)

_RUN = {"workflow_id": STRING, "run_id": STRING}
_COMMAND = answer(**_RUN, outcome=STRING, command_status=STRING, command_id=MAYBE_STRING)
_TASK = answer(task=maybe(OBJECT), poll_status=STRING)
_WORKFLOW_TASK = {"task_id": STRING, "workflow_task_attempt": COUNT}
_RECORDED = answer(task_id=STRING, activity_attempt_id=STRING, outcome=STRING, recorded=BOOLEAN, reason=MAYBE_STRING)
_QUERY_TASK = answer(query_task_id=STRING, query_task_attempt=COUNT, outcome=STRING, reason=MAYBE_STRING)
_VALIDATION = answer(update_validation_task_id=STRING, update_validation_attempt=COUNT, outcome=STRING)
_STREAM = {"workflow_id": STRING, "workflow_run_id": STRING}
_UPDATE = answer(
    **_RUN, update_id=STRING, update_name=STRING, wait_for=STRING, wait_timed_out=BOOLEAN, update_status=STRING, outcome=MAYBE_STRING
)
_STARTED = answer(**_RUN, workflow_type=STRING, namespace=STRING, status=STRING, payload_codec=STRING, outcome=STRING)
_APPENDED = answer(**_RUN, stream_name=STRING, message_id=STRING, position=COUNT, outcome=STRING)
_SCHEDULED = answer(schedule_id=STRING, outcome=STRING)
_BUILD = answer(namespace=STRING, task_queue=STRING, build_id=MAYBE_STRING, drain_intent=STRING, drained_at=MAYBE_MOMENT)
_SESSION = answer(session_id=STRING, worker_id=STRING, lease_expires_at=MAYBE_MOMENT)
_BRIDGED = ref("BridgeOutcome")
_FIGURES = answer(namespace=STRING, generated_at=MOMENT, runs=ANY, task_queues=ANY, workers=ANY, process=ANY)
_REPAIRED = answer(selected_total_candidates=COUNT, dispatched_tasks=COUNT, existing_task_failures=array(ANY))
_ENFORCED = answer(processed=COUNT, enforced=COUNT, skipped=COUNT, failed=COUNT, results=array(ANY))

ANSWERS: dict[str, dict[int, Schema]] = {
    "start": {201: _STARTED, 200: _STARTED},
    "list": {200: answer(workflows=array(ref("RunSummary")), workflow_count=COUNT, next_page_token=MAYBE_STRING)},
    "describe": {200: ref("Run")},
    "list_runs": {200: answer(workflow_id=STRING, run_count=COUNT, runs=array(ref("Run")))},
    "history": {200: answer(**_RUN, events=array(ref("HistoryEvent")), next_page_token=MAYBE_STRING)},
    "export": {200: answer(schema=STRING, schema_version=COUNT, workflow=OBJECT, history_events=array(OBJECT), integrity=OBJECT)},
    "signal": {202: answer(**_RUN, signal_name=STRING, outcome=STRING, command_status=STRING, retained=BOOLEAN)},
    "query": {200: answer(**_RUN, query_name=STRING, result=ANY, result_envelope=maybe(ref("Envelope")))},
    "update": {200: _UPDATE, 202: _UPDATE},
    "cancel": {200: _COMMAND},
    "terminate": {200: _COMMAND},
    "request_cancellation": {200: answer(**_RUN, outcome=STRING, accepted=BOOLEAN, duplicate=BOOLEAN, cancellation_request=OBJECT)},
    "repair": {200: _COMMAND},
    "archive": {200: _COMMAND},
    "redrive": {200: _COMMAND},
    "append_message": {202: _APPENDED, 200: _APPENDED},
    "list_streams": {200: answer(**_STREAM, streams=array(ref("Stream")))},
    "describe_stream": {200: answer(**_STREAM, stream=ref("Stream"))},
    "read_stream": {200: answer(**_STREAM, stream=ref("Stream"), items=array(OBJECT), next_offset=COUNT, terminal=BOOLEAN)},
    "append_stream": {
        200: answer(**_STREAM, stream=ref("Stream"), accepted_offsets=array(COUNT), accepted=COUNT, deduped=COUNT)
    },
    "close_stream": {200: answer(**_STREAM, stream=ref("Stream"))},
    "start_activity": {
        201: answer(
            activity_id=STRING, workflow_run_id=STRING, activity_execution_id=STRING, workflow_type=STRING, activity_type=STRING,
            status=STRING,
        )
    },
    "list_activities": {200: answer(activities=array(ref("Activity")), activity_count=COUNT, next_page_token=MAYBE_STRING)},
    "describe_activity": {200: ref("Activity")},
    "create_schedule": {201: _SCHEDULED},
    "update_schedule": {200: _SCHEDULED},
    "delete_schedule": {200: _SCHEDULED},
    "pause_schedule": {200: _SCHEDULED},
    "resume_schedule": {200: _SCHEDULED},
    "trigger_schedule": {200: _SCHEDULED},
    "backfill_schedule": {200: answer(schedule_id=STRING, outcome=STRING, fires_attempted=COUNT, results=array(OBJECT))},
    "list_schedules": {200: answer(schedules=array(ref("Schedule")), next_page_token=MAYBE_STRING)},
    "describe_schedule": {200: ref("Schedule")},
    "schedule_history": {
        200: answer(schedule_id=STRING, namespace=STRING, events=array(OBJECT), next_cursor=MAYBE_COUNT, has_more=BOOLEAN)
    },
    "list_namespaces": {200: answer(namespaces=array(ref("Namespace")))},
    "create_namespace": {201: ref("Namespace")},
    "describe_namespace": {200: ref("Namespace")},
    "update_namespace": {200: ref("Namespace")},
    "delete_namespace": {200: answer(name=STRING, status=STRING, deleted=OBJECT)},
    "set_external_storage": {200: ref("Namespace")},
    "test_storage": {200: answer(status=STRING, namespace=STRING, driver=MAYBE_STRING, small_payload=OBJECT, large_payload=OBJECT)},
    "list_search_attributes": {200: answer(system_attributes=OBJECT, custom_attributes=OBJECT)},
    "create_search_attribute": {201: answer(name=STRING, type=STRING, outcome=STRING)},
    "delete_search_attribute": {200: answer(name=STRING, outcome=STRING)},
    "list_workers": {200: answer(namespace=STRING, workers=array(ref("Worker")), stale_after_seconds=COUNT)},
    "describe_worker": {200: ref("Worker")},
    "remove_worker": {200: answer(worker_id=STRING, outcome=STRING, recovered_workflow_task_count=COUNT)},
    "list_task_queues": {200: answer(namespace=STRING, task_queues=array(OBJECT))},
    "describe_task_queue": {
        200: answer(name=STRING, namespace=STRING, stats=OBJECT, admission=OBJECT, pollers=array(OBJECT), current_leases=array(OBJECT))
    },
    "list_build_ids": {200: answer(namespace=STRING, task_queue=STRING, stale_after_seconds=COUNT, build_ids=array(OBJECT))},
    "drain_build_id": {200: _BUILD},
    "resume_build_id": {200: _BUILD},
    "promote_build_id": {200: _BUILD},
    "repair_status": {200: answer(policy=OBJECT, candidates=OBJECT)},
    "repair_pass": {200: _REPAIRED, 207: _REPAIRED},
    "retention_status": {
        200: answer(namespace=STRING, retention_days=COUNT, cutoff=MOMENT, expired_run_count=COUNT, expired_run_ids=array(STRING))
    },
    "retention_pass": {200: answer(processed=COUNT, pruned=COUNT, skipped=COUNT, failed=COUNT, results=array(ANY))},
    "timeout_status": {200: answer(expired_count=COUNT, expired_execution_ids=array(STRING), scan_limit=COUNT, scan_pressure=ANY)},
    "timeout_pass": {200: _ENFORCED, 207: _ENFORCED},
    "metrics": {200: _FIGURES},
    "webhook": {202: _BRIDGED, 200: _BRIDGED, 422: _BRIDGED},
    "execute_operation": {200: answer(service_call=OBJECT, accepted=BOOLEAN)},
    "register": {
        201: answer(worker_id=STRING, registered=BOOLEAN, heartbeat_interval_seconds=COUNT, server_capabilities=OBJECT)
    },
    "heartbeat": {200: answer(worker_id=STRING, acknowledged=BOOLEAN, heartbeat_interval_seconds=COUNT)},
    "deregister": {200: answer(worker_id=STRING, outcome=STRING, recovered_workflow_task_count=COUNT)},
    "poll_workflow": {200: _TASK},
    "poll_activity": {200: _TASK},
    "poll_query": {200: _TASK},
    "poll_update_validation": {200: _TASK},
    "task_history": {
        200: answer(
            **_WORKFLOW_TASK, history_events=array(ref("HistoryEvent")), total_history_events=COUNT,
            next_history_page_token=MAYBE_STRING,
        )
    },
    "complete_workflow_task": {200: answer(**_WORKFLOW_TASK, outcome=STRING, recorded=BOOLEAN, run_id=STRING, run_status=STRING)},
    "fail_workflow_task": {200: answer(**_WORKFLOW_TASK, outcome=STRING, recorded=BOOLEAN, run_id=STRING, run_status=STRING)},
    "heartbeat_workflow_task": {200: answer(**_WORKFLOW_TASK, lease_owner=STRING, renewed=BOOLEAN, lease_expires_at=MOMENT)},
    "complete_activity": {200: _RECORDED},
    "fail_activity": {200: _RECORDED},
    "heartbeat_activity": {200: answer(task_id=STRING, activity_attempt_id=STRING, cancel_requested=BOOLEAN, can_continue=BOOLEAN)},
    "complete_query": {200: _QUERY_TASK},
    "fail_query": {200: _QUERY_TASK},
    "approve_update": {200: _VALIDATION},
    "reject_update": {200: _VALIDATION},
    "deliver_cancellation": {200: answer(workflow_task_attempt=COUNT, reason=MAYBE_STRING)},
    "observe_activity": {200: answer(task_id=STRING, activity_attempt_id=STRING, lease_owner=STRING)},
    "open_session": {200: _SESSION, 201: _SESSION},
    "renew_session": {200: _SESSION},
    "close_session": {200: _SESSION},
}  # fmt: skip
"""Handler → status → what is answered. Refusals have one shape, and any route may refuse."""
