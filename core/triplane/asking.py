"""A command on its way through the bus."""

import asyncio
from dataclasses import dataclass
from typing import Any

from triplane.audit import audit_record
from triplane.commands.base import Access, Command
from triplane.requests import AnsweredRequests
from triplane.service import SYSTEM, Caller
from triplane.store.interface import AuditRecord, RequestRecord


@dataclass(slots=True)
class Ask:
    """A command, who asked, and who waits for the answer.

    Attributes:
        future: resolves with the answer; None where nobody waits.
        digest: of the command's content, where it has a request id.
        wait: whether the answer waits for the commit.
    """

    command: Command
    caller: Caller
    future: "asyncio.Future[Any] | None" = None
    digest: bytes | None = None
    wait: bool = True

    def audit(self, now: float, workflow_id: str = "", run_id: str = "") -> tuple[AuditRecord, ...]:
        """Its line in the audit log; none for what the core asks itself, and for what is not waited for by contract."""
        asked = self.command.asked
        if asked.access is Access.SYSTEM or self.caller is SYSTEM or not asked.durable:
            return ()
        return (audit_record(asked, self.caller, now, workflow_id, run_id, "accepted"),)

    def answered(self, reply: Any, now: float) -> RequestRecord | None:
        """What is remembered of the answer, so that the same request id gets it again."""
        if self.digest is None:
            return None
        return AnsweredRequests.record(self.caller, self.command, self.digest, reply, now)
