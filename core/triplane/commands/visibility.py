"""What makes runs easier to find, and what can be done to those that are over."""

from typing import ClassVar, Literal

from pydantic import Field

from triplane.commands.base import Access, Command, RunCommand, Scope


class DefineSearchAttribute(Command):
    """Give a custom search attribute a type: from now on values of another type are refused.

    What runs have already stays as it is, and is found where it fits the type.
    """

    name: ClassVar[str] = "define_search_attribute"
    access: ClassVar[Access] = Access.WRITE
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = "{name, kind}"

    attribute: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,127}$")
    kind: Literal["keyword", "text", "int", "double", "bool", "datetime", "keyword_list"]


class RemoveSearchAttribute(Command):
    """Forget a custom search attribute's type; values of runs stay."""

    name: ClassVar[str] = "remove_search_attribute"
    access: ClassVar[Access] = Access.WRITE
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = "{name}"

    attribute: str = Field(max_length=128)


class ArchiveRun(RunCommand):
    """Mark a closed run as put away. It stays readable; lists can leave it out (`ArchiveTime IS NULL`)."""

    name: ClassVar[str] = "archive_run"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{workflow_id, run_id, archived: bool (false: it was already)}"

    reason: str | None = Field(default=None, max_length=1_000)


class RedriveRun(RunCommand):
    """Start a failed or timed-out workflow again, as the next run of its chain with the same input.

    Activities that the failed run completed are not done again as long as the workflow schedules the same ones. Memo and
    search attributes are as the failed run left them; timeouts start anew.
    """

    name: ClassVar[str] = "redrive_run"
    access: ClassVar[Access] = Access.WRITE
    scope: ClassVar[Scope] = Scope.START
    reply: ClassVar[str] = "{workflow_id, run_id, run_number, workflow_type, outcome: started}"
