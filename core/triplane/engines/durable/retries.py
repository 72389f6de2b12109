"""When a failed attempt is followed by another. Source: contract durable section 7."""

from collections.abc import Mapping
from typing import Any


def wait_before_next(policy: Mapping[str, Any] | None, attempts: int, kind: str, non_retryable: bool) -> float | None:
    """Seconds until the next attempt; None where the policy has no more.

    Args:
        policy: `{max_attempts, backoff_seconds, non_retryable_error_types}`; without one there is one attempt.
        attempts: how many were made so far; kind: type of the failure; non_retryable: the failure itself rules a retry out.
    """
    most = policy.get("max_attempts", 1) if policy else 1
    if non_retryable or (most is not None and attempts >= most):
        return None
    policy = policy or {}
    if kind in (policy.get("non_retryable_error_types") or ()):
        return None
    waits = policy.get("backoff_seconds") or [0]
    return float(waits[min(attempts - 1, len(waits) - 1)])
