"""Service operations: calling by name what a workflow carries out."""

from typing import Any, ClassVar

from pydantic import Field

from triplane.commands.base import Access, Command, Json, Scope, ShortName


class ExecuteOperation(Command):
    """Run the workflow behind a service operation, or find the one that the same idempotency key began.

    Which workflow that is, `[nexus.ENDPOINT.SERVICE.OPERATION]` of the config says. Refused with `operation_not_found`.

    Attributes:
        arguments: the workflow's input: a payload envelope, or a plain list.
        idempotency_key: the same key for the same operation from the same namespace is the same call, for as long as its
            run is kept; None makes a call of its own.
        wait_s: how long the answer waits for the run to close; 0 answers once it is started.

    The reply's `status` is the run's; where it is closed, the reply also has what `triplane.endings.ending_of` gives.
    """

    name: ClassVar[str] = "execute_operation"
    access: ClassVar[Access] = Access.WRITE
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = (
        "{service_call_id, namespace, workflow_id, run_id, outcome: started|existing, closed: bool, status, reason?, output?,"
        " message?, exception_type?, …}"
    )

    endpoint: ShortName
    service: ShortName
    operation: ShortName
    arguments: Json = None
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=255)
    memo: dict[str, Any] = Field(default_factory=dict)
    search_attributes: dict[str, Any] = Field(default_factory=dict)
    business_key: str | None = Field(default=None, max_length=1_024)
    wait_s: float = Field(default=0.0, ge=0.0, le=60.0)
