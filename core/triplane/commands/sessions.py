"""Worker sessions: a worker holds one by a lease, and the session's activities go to its holder. Source: contract durable 4.1."""

from typing import Annotated, ClassVar

from pydantic import Field

from triplane.commands.base import Access, Command, Scope, ShortName
from triplane.commands.workers import WorkerId

SessionId = Annotated[str, Field(min_length=1, max_length=255)]
Seconds = Annotated[int, Field(ge=1, le=366 * 86_400)]


class OpenSession(Command):
    """A worker takes a session, or takes it over from a holder that was lost, or renews the one it holds.

    Refused with `worker_not_registered`, or with a conflict whose `details["reason"]` is `worker_session_held` (by another
    worker that is alive), `worker_session_lost` (and may not be taken over), `worker_session_not_found` (and is not to be
    made), `worker_session_requirements_unmet` or `worker_session_capacity_exhausted`; `limit_reached` where there are too many.

    Attributes:
        ttl_seconds: the whole life of the session, whoever holds it.
        max_concurrent_activities: how many of its activities the holder is given at a time.
        requirements: capabilities that the holder must have registered.
    """

    name: ClassVar[str] = "open_session"
    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = "{session_id, worker_id, task_queue, status, outcome, lease_expires_at, ttl_expires_at: seconds}"

    worker_id: WorkerId
    session_id: SessionId
    requirements: tuple[ShortName, ...] = Field(default=(), max_length=100)
    lease_seconds: Seconds = 120
    ttl_seconds: Seconds = 1_800
    max_concurrent_activities: int = Field(default=1, ge=1, le=10_000)
    create_if_missing: bool = True
    allow_reacquire_after_failure: bool = True


class RenewSession(Command):
    """The holder keeps its session for another `lease_seconds`; not waited for.

    Refused with `worker_session_not_found`, or with a conflict, reason `worker_session_lost`, for who does not hold it.
    """

    name: ClassVar[str] = "renew_session"
    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = OpenSession.reply

    worker_id: WorkerId
    session_id: SessionId
    lease_seconds: Seconds | None = None


class CloseSession(Command):
    """The holder gives its session up; activities that still belong to it make a new one. Refused as `RenewSession`."""

    name: ClassVar[str] = "close_session"
    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = OpenSession.reply

    worker_id: WorkerId
    session_id: SessionId
    reason: str | None = Field(default=None, max_length=1_000)


SESSION_COMMANDS: tuple[type[Command], ...] = (OpenSession, RenewSession, CloseSession)
