"""What is asked of long lists in the store."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which audit records are meant; None is any. `until` is outside; `outcome` `refused` is any but `accepted`."""

    namespace: str | None = None
    workflow_id: str | None = None
    principal: str | None = None
    command: str | None = None
    outcome: str | None = None
    wire: str | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None
    scan: int = 20_000
