"""What this server tells clients about itself, and the `control_plane` object of every workflow response."""

from functools import cache
from typing import Any

from triplane import __version__
from triplane_durable.bridge_contract import OUTCOME_CONTRACT
from triplane_durable.config import DurableConfig
from triplane_durable.frames import iso_time

WORKFLOW_TASK_COMMANDS = (
    "schedule_activity", "start_timer", "record_side_effect", "record_version_marker", "upsert_search_attributes",
    "upsert_memo", "open_condition_wait", "record_local_activity", "complete_update", "fail_update",
    "complete_workflow", "fail_workflow", "continue_as_new", "cancel_selection_operation",
    "start_child_workflow", "start_service_operation",
)  # fmt: skip

DUPLICATE_POLICIES = ("fail", "use-existing", "reject", "allow", "terminate_existing")
"""What a start may do where the workflow id is taken; `reject` is another word for `fail` (contract sections 2.1, 2.8)."""

_COPIED = frozenset({
    "run_id", "workflow_type", "namespace", "business_key", "status", "status_bucket", "is_terminal", "task_queue",
    "run_number", "run_count", "workflow_count", "is_current_run", "compatibility", "started_at", "closed_at",
    "last_progress_at", "wait_kind", "wait_reason", "next_page_token", "command_id", "command_status",
    "command_source", "target_scope", "outcome", "reason", "rejection_reason", "validation_errors", "result",
    "result_envelope", "update_id", "update_status", "wait_for", "wait_timed_out", "wait_timeout_seconds",
    "blocked_reason", "message", "diagnostic_status",
})  # fmt: skip

_NAME_FIELDS = {"signal": "signal_name", "query": "query_name", "update": "update_name"}
_REQUIRED = {
    "list": [], "start": [], "describe": ["workflow_id"], "list_runs": ["workflow_id"],
    "describe_run": ["workflow_id"], "history": ["workflow_id", "run_id"],
}  # fmt: skip
_SUCCESS = {
    "list": [], "start": ["workflow_id", "outcome"], "describe": [], "list_runs": [], "describe_run": ["run_id"],
    "history": ["next_page_token"], "query": ["result"], "list_streams": [], "describe_stream": [], "read_stream": [],
    "append_stream": [], "close_stream": [],
}  # fmt: skip


def control_plane(operation: str, body: dict[str, Any], workflow_id: str | None, name: str | None) -> dict[str, Any]:
    """The object without which the `dw` CLI refuses a response (contract section 2)."""
    value: dict[str, Any] = {
        "schema": "durable-workflow.v2.control-plane-response",
        "version": 1,
        "operation": operation,
        "workflow_id": workflow_id,
        "contract": _response_contract(operation),
    }
    name_field = _NAME_FIELDS.get(operation)
    if name_field:
        value["operation_name"] = name
        value["operation_name_field"] = name_field
    for key, item in body.items():
        if key in _COPIED:
            value[key] = item
    return value


@cache
def _response_contract(operation: str) -> dict[str, Any]:
    """What a response of that operation promises; one object for all of them, not to be changed."""
    required = _REQUIRED.get(operation, ["workflow_id"])
    return {
        "schema": "durable-workflow.v2.control-plane-response.contract",
        "version": 1,
        "legacy_field_policy": "reject_non_canonical",
        "legacy_fields": {
            "query": "query_name", "signal": "signal_name", "update": "update_name", "wait_policy": "wait_for",
        },
        "required_fields": ["workflow_id", "operation_name", "operation_name_field"] if operation in _NAME_FIELDS else required,
        "success_fields": _SUCCESS.get(operation, ["outcome"]),
    }  # fmt: skip


def server_capabilities(config: DurableConfig) -> dict[str, Any]:
    """What workers may rely on (contract section 1.2); what is not built is not in here."""
    return {
        "long_poll_timeout": int(config.long_poll_s),
        "supported_workflow_task_commands": list(WORKFLOW_TASK_COMMANDS),
        "workflow_task_poll_request_idempotency": True,
        "history_page_size_default": 500,
        "history_page_size_max": 1000,
        "query_tasks": True,
        "update_validation_tasks": True,
        "synchronous_update_validation": {
            "supported": True,
            "acceptance_boundary": "validator_approved",
            "worker_capability": "update_validation_tasks",
            "workflow_contract_field": "update_validators",
            "task_poll": {
                "strategy": "multiplexed",
                "endpoint": "/worker/workflow-tasks/poll",
                "request_field": "task_kinds",
                "response_discriminator": "task.task_kind",
                "task_kinds": ["workflow", "update_validation"],
            },
        },
        "activity_retry_policy": True,
        "activity_timeouts": True,
        "child_workflow_retry_policy": True,
        "child_workflow_timeouts": True,
        "parent_close_policy": True,
        "non_retryable_failures": True,
        "workflow_memo_updates": {"supported": True},
        "cooperative_cancellation": True,
        "response_compression": [],
    }


def cluster_info(config: DurableConfig, now: float) -> dict[str, Any]:
    """The discovery document (contract section 1.1)."""
    return {
        "server_id": config.server_id,
        "version": __version__,
        "default_namespace": "default",
        "supported_sdk_versions": {"python": ">=2.0.0"},
        "server_time": iso_time(now),
        "capabilities": {
            "workflow_tasks": True,
            "activity_tasks": True,
            "signals": True,
            "queries": True,
            "updates": True,
            "schedules": True,
            "search_attributes": True,
            "history_export": True,
            "continue_as_new": True,
            "child_workflows": True,
            "payload_codecs": ["avro"],
            "response_compression": [],
        },
        "limits": {
            "max_payload_bytes": config.max_payload_bytes,
            "max_memo_bytes": 262144,
            "max_search_attributes": 100,
            "max_search_attribute_key_length": 128,
            "max_search_attribute_value_bytes": 2048,
            "max_operation_name_length": 256,
            "max_pending_activities": 2000,
            "max_pending_children": 2000,
        },
        "control_plane": {
            "version": "2",
            "header": "X-Durable-Workflow-Control-Plane-Version",
            "request_contract": {
                "schema": "durable-workflow.v2.control-plane-request.contract",
                "version": 1,
                "operations": {
                    "start": {
                        "fields": {
                            "duplicate_policy": {
                                "canonical_values": list(DUPLICATE_POLICIES),
                                "rejected_aliases": {"use_existing": "use-existing"},
                            }
                        }
                    },
                    "list": {"fields": {"status": {"canonical_values": ["running", "completed", "failed"]}}},
                    "update": {"fields": {"wait_for": {"canonical_values": ["accepted", "completed"]}}},
                },
            },
            "response_contract": {"schema": "durable-workflow.v2.control-plane-response.contract", "version": 1},
        },
        "worker_protocol": {"version": "1.20", "server_capabilities": server_capabilities(config)},
        "bridge_adapter_outcome_contract": OUTCOME_CONTRACT,
        "auth_composition_contract": {
            "schema": "durable-workflow.v2.auth-composition.contract",
            "version": 1,
            "precedence": {
                "connection_values": ["flag", "environment", "selected_profile", "default"],
                "profile_selection": ["flag_env", "DW_ENV", "current_profile", "default_profile"],
            },
            "canonical_environment": {
                "server_url": "DURABLE_WORKFLOW_SERVER_URL",
                "namespace": "DURABLE_WORKFLOW_NAMESPACE",
                "auth_token": "DURABLE_WORKFLOW_AUTH_TOKEN",
                "tls_verify": "DURABLE_WORKFLOW_TLS_VERIFY",
                "profile": "DW_ENV",
            },
            "auth_material": {
                "token": {"status": "supported", "effective_config_value": "redacted"},
                "mtls": {"status": "reserved"},
                "signed_headers": {"status": "reserved"},
            },
            "effective_config": {"required_fields": ["server_url", "namespace", "profile", "auth", "tls", "identity"]},
            "redaction": {"never_echo": ["bearer_tokens", "private_keys", "raw_authorization_headers"]},
        },
    }
