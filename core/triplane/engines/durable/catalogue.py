"""The events of durable runs, named as the wire contract fixes them (section 5.1)."""

from triplane.events import EventType

_STEP = "int: workflow step, dense from 1"
_PAYLOAD = "payload envelope"
_ACTIVITY = {
    "sequence": _STEP, "activity_execution_id": "str: constant over attempts", "activity_type": "str: what the worker runs",
}  # fmt: skip
_ATTEMPT = {**_ACTIVITY, "activity_attempt_id": "str: new for each attempt", "attempt_number": "int: from 1"}
_FAILURE = {
    "message": "str: for people", "exception_type": "str: its type", "exception_class": "str: its class",
    "non_retryable": "bool: whether a retry was ruled out", "failure_category": "str: activity, timeout or cancelled",
}  # fmt: skip
_TIMER = {
    "sequence": _STEP, "timer_id": "str: its id", "delay_seconds": "int: as asked for", "fire_at": "str: ISO 8601 UTC",
    "timer_kind": "str: condition_timeout where it belongs to a condition",
}  # fmt: skip
_CHILD = {
    "sequence": _STEP, "child_workflow_instance_id": "str: its workflow id", "child_workflow_run_id": "str: its first run",
    "child_workflow_type": "str: what was started", "parent_close_policy": "str: what becomes of it when the parent closes",
}  # fmt: skip
_CALL = {
    "sequence": _STEP, "service_call": "object: the call, its status and outcome", "endpoint_name": "str", "service_name": "str",
    "operation_name": "str", "operation_mode": "str: sync or async", "wait_for": "str: completed or accepted",
}  # fmt: skip
_CONDITION = {"sequence": _STEP, "condition_wait_id": "str: its id", "condition_key": "str: as the workflow named it"}
_UPDATE = {"update_id": "str: its id", "update_name": "str: its name"}
_VERSION = {"sequence": _STEP, "change_id": "str: the change", "version": "int: the version"}
_ATTRIBUTES = {"sequence": _STEP, "attributes": "object: the change", "merged": "object: all of them"}
_REASON = {"reason": "str: as given, where one was"}
_ASKED = {**_REASON, "workflow_command_id": "str: the request", "cleanup_deadline_at": "str: ISO 8601 UTC"}
_TOLD = {"workflow_command_id": "str: the request", "sequence": _STEP, "call_kind": "str: what it waited for"}

EVENTS: tuple[EventType, ...] = (
    EventType("StartAccepted", "The start of the run was accepted.", {"workflow_type": "str: what was started"}),
    EventType("WorkflowStarted", "The run began.", {"workflow_type": "str: what was started", "input": _PAYLOAD}),
    EventType("ActivityScheduled", "The workflow wants an activity done.", {**_ACTIVITY, "arguments": _PAYLOAD}),
    EventType("ActivityStarted", "A worker has an attempt.", _ATTEMPT),
    EventType(
        "ActivityCompleted", "An activity ended well.",
        {**_ATTEMPT, "result": _PAYLOAD, "reused_from_run_id": "str: the failed run that did it, where this one redrives it"},
    ),
    EventType("ActivityFailed", "An activity failed for good.", {**_ATTEMPT, **_FAILURE}),
    EventType("ActivityTimedOut", "An activity ran out of time for good.", {**_ATTEMPT, **_FAILURE, "timeout_kind": "str: which time"}),
    EventType("ActivityCancelled", "An activity was ended from outside.", {**_ATTEMPT, **_FAILURE}),
    EventType("ActivityRetryScheduled", "An attempt failed and another follows.", {**_ATTEMPT, "backoff_seconds": "float: the wait"}),
    EventType("TimerScheduled", "A timer was set.", _TIMER),
    EventType("TimerFired", "A timer is due.", _TIMER),
    EventType("TimerCancelled", "A timer will not fire.", _TIMER),
    EventType("ChildWorkflowScheduled", "The workflow starts a child.", {**_CHILD, "arguments": _PAYLOAD}),
    EventType("ChildRunStarted", "The child's run begins.", _CHILD),
    EventType("ChildRunCompleted", "A child ended well.", {**_CHILD, "result": _PAYLOAD}),
    EventType("ChildRunFailed", "A child failed for good, or could not be started.", {**_CHILD, **_FAILURE}),
    EventType("ChildRunCancelled", "A child was cancelled.", {**_CHILD, **_FAILURE}),
    EventType("ChildRunTerminated", "A child was terminated.", {**_CHILD, **_FAILURE}),
    EventType("ServiceCallStarted", "The workflow calls a service operation.", {**_CALL, "request_payload": _PAYLOAD}),
    EventType("ServiceCallCompleted", "The operation gave a result.", {**_CALL, "response_payload": _PAYLOAD}),
    EventType("ServiceCallFailed", "The operation failed, or there is none.", {**_CALL, "message": "str: for people"}),
    EventType("ServiceCallCancelled", "The operation was cancelled.", {**_CALL, "message": "str: for people"}),
    EventType("ConditionWaitOpened", "The workflow waits for a condition.", _CONDITION),
    EventType("ConditionWaitSatisfied", "The workflow waits for it no more.", _CONDITION),
    EventType("SelectionResolved", "A selection has its winner.", {"selection_group_id": "str: which", "member_key": "the winner"}),
    EventType("SelectionOperationCancelled", "A selection's member was stopped.", {"selection_group_id": "str: which"}),
    EventType("SignalReceived", "Somebody told the workflow something.", {"signal_name": "str: its name", "arguments": _PAYLOAD}),
    EventType("UpdateAccepted", "An update will be run.", {**_UPDATE, "arguments": _PAYLOAD}),
    EventType("UpdateApplied", "An update's handler has run.", {**_UPDATE, "arguments": _PAYLOAD}),
    EventType("UpdateCompleted", "An update has a result or has failed.", {**_UPDATE, "result": _PAYLOAD, "failure": "object"}),
    EventType("SideEffectRecorded", "A value the workflow must see again when replayed.", {"sequence": _STEP, "result": _PAYLOAD}),
    EventType("VersionMarkerRecorded", "Which version of its code a workflow took.", _VERSION),
    EventType("SearchAttributesUpserted", "Search attributes changed.", _ATTRIBUTES),
    EventType("MemoUpserted", "The memo changed.", {"sequence": _STEP, "entries": _PAYLOAD, "merged": _PAYLOAD}),
    EventType("CooperativeCancellationRequested", "Somebody asked the workflow to cancel itself.", _ASKED),
    EventType("CooperativeCancellationDelivered", "The workflow was told, at one of its calls.", _TOLD),
    EventType("TasksSet", "Activities ended, and timers fired, by decree.", {"tasks": "list[str]: cycle/name"}),
    EventType("StopScheduled", "The run is to be cancelled at a time.", {"at": "str: wall-clock seconds"}),
    EventType("CancelRequested", "Somebody asked to cancel the run.", _REASON),
    EventType("TerminateRequested", "Somebody asked to terminate the run.", _REASON),
    EventType("WorkflowCompleted", "The run ended well.", {"output": _PAYLOAD}),
    EventType("WorkflowContinuedAsNew", "The workflow goes on as its next run.", {"workflow_type": "str: what that runs"}),
    EventType("WorkflowFailed", "The workflow failed.", {"message": "str: for people", "exception_class": "str: its class"}),
    EventType("WorkflowCancelled", "The run was cancelled.", _REASON),
    EventType("WorkflowTerminated", "The run was terminated.", _REASON),
    EventType("WorkflowTimedOut", "A deadline of the run passed.", {"timeout_kind": "str: run_timeout or execution_timeout"}),
)  # fmt: skip
"""The events of the durable engine."""
