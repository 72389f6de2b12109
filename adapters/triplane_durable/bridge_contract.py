"""What the discovery document says of the webhook bridge (contract section 2.6)."""

from collections.abc import Mapping
from typing import Any

SCHEMA = "durable-workflow.v2.bridge-adapter-outcome.contract"
SIGNATURE_HEADER = "X-Bridge-Signature"
SHOWN = ("workflow_id", "workflow_type", "signal_name", "update_name", "task_queue", "business_key")
"""Fields of a target that answers may repeat."""

OUTCOME_CONTRACT: Mapping[str, Any] = {
    "schema": SCHEMA,
    "version": 1,
    "patterns": {"webhook_receiver": {"path_template": "/api/bridge-adapters/webhook/{adapter}", "allowed_actions": [
        "start_workflow", "signal_workflow", "update_workflow",
    ]}},
    "idempotency": {"required": True, "field": "idempotency_key", "max_length": 255},
    "signature": {"header": SIGNATURE_HEADER, "algorithm": "hmac-sha256", "format": "sha256=<hex>"},
    "outcomes": {"accepted": {"http_status": 202}, "duplicate": {"http_status": 200}, "rejected": {"http_status": 422}},
    "rejection_reasons": [
        "malformed_payload", "unsupported_action", "unsupported_routing", "unknown_target", "instance_already_started",
        "run_not_active",
    ],
    "visibility": {"redacted_target_fields": list(SHOWN), "redaction": {"never_echo": ["raw_payload", "signatures", "tokens", "secrets"]}},
}  # fmt: skip
"""Names and shape follow the published outcome contract of bridge adapters, version 1; the signature is ours."""
