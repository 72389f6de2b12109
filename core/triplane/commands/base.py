"""What every command and query declares about itself."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

WORKFLOW_ID_PATTERN = r"^[A-Za-z0-9._:-]{1,128}$"

WorkflowId = Annotated[str, Field(pattern=WORKFLOW_ID_PATTERN)]
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
NamespaceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
RequestId = Annotated[str, Field(min_length=1, max_length=255)]
ShortName = Annotated[str, Field(min_length=1, max_length=256)]
TaskGlob = Annotated[str, Field(min_length=1, max_length=512)]


class Access(StrEnum):
    """What a principal must be allowed, to have a command carried out."""

    READ = "read"
    """See runs, histories, tables."""
    WORK = "work"
    """Register as a worker, take tasks, report on them."""
    REPORT = "report"
    """Report on a job of one run."""
    WRITE = "write"
    """Start and steer runs."""
    END = "end"
    """End a run, or anything else; the keys of runs."""
    ADMIN = "admin"
    """Namespaces, tokens, the gateway itself."""
    SYSTEM = "system"
    """Only the core's own timers, effects and services."""


class Scope(StrEnum):
    """What a command touches; decides which ordering it gets."""

    RUN = "run"
    """One run; applied in that run's order by its engine."""
    START = "start"
    """Begins a run of a workflow."""
    NAMESPACE = "namespace"
    """Workers, queues, definitions of a namespace; answered by a core service."""
    CLUSTER = "cluster"
    """The gateway as a whole; answered by a core service."""


class Request(BaseModel):
    """Root of commands and queries: frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    name: ClassVar[str]
    access: ClassVar[Access]
    scope: ClassVar[Scope]
    everywhere: ClassVar[bool] = False
    """Only for principals that are not bound to some namespaces: it reaches beyond any of them."""


class Command(Request):
    """A typed request to change something.

    Attributes:
        request_id: the same id from the same principal in the same namespace takes effect once within 24 hours; the
            second answer equals the first, other content is a conflict. None: never deduplicated.
    """

    reply: ClassVar[str] = "null"
    """The reply's JSON shape, in words, for documents."""
    durable: ClassVar[bool] = True
    """Whether the reply waits for the commit. False only where contracts say so (leases, heartbeats, polls)."""

    namespace: NamespaceName = "default"
    request_id: RequestId | None = None

    @property
    def asked(self) -> "Command":
        """What the client asked: this, unless the core wrapped its command to bring it to a run."""
        return self


class RunCommand(Command):
    """A command to one run: the workflow's current run unless `run_id` names it."""

    scope: ClassVar[Scope] = Scope.RUN

    workflow_id: WorkflowId
    run_id: RunId | None = None


class Query(Request):
    """A typed request to read; answered from the last committed state."""

    access: ClassVar[Access] = Access.READ
    scope: ClassVar[Scope] = Scope.NAMESPACE

    namespace: NamespaceName = "default"


Json = Any
"""A plain JSON value: None, bool, int, float, str, list, dict with string keys."""
