"""Keys that a wire issues for its runs: looking at them, making new ones, taking one away."""

from typing import Annotated, ClassVar

from pydantic import Field

from triplane.commands.base import Access, Command, Scope, WorkflowId

KeyTarget = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]


class KeyCommand(Command):
    """Root of what an operator asks about keys. They belong to a run's wire, not to its engine."""

    access: ClassVar[Access] = Access.END
    scope: ClassVar[Scope] = Scope.NAMESPACE


class ListKeys(KeyCommand):
    """Tell whose keys open which run, of one workflow or of all that have keys; never the keys themselves."""

    name: ClassVar[str] = "list_keys"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "[{wire, workflow_id, run_id, target, fingerprint: str|null, since: float|null, revoked: bool}]"

    workflow_id: WorkflowId | None = None


class RotateKeys(KeyCommand):
    """Make all keys of a workflow's open run anew. Those from before open nothing any more, and no target stays revoked."""

    name: ClassVar[str] = "rotate_keys"
    reply: ClassVar[str] = "[{wire, workflow_id, run_id, target, fingerprint: str|null, since: float|null, revoked: bool}]"

    workflow_id: WorkflowId


class RevokeKey(KeyCommand):
    """Shut out the holder of one key of a workflow's open run, at once and also where it is connected already.

    The target gets no new key until the run's keys are rotated.
    """

    name: ClassVar[str] = "revoke_key"
    reply: ClassVar[str] = "{wire, workflow_id, run_id, target, fingerprint: null, since: null, revoked: true}"

    workflow_id: WorkflowId
    target: KeyTarget


KEY_COMMANDS: tuple[type[Command], ...] = (ListKeys, RotateKeys, RevokeKey)
