"""Namespaces: making, changing and deleting them. The command's `namespace` is the one it is about."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from triplane.commands.base import Access, Command, Scope

MOST_SMALL_BYTES = 1 << 20
MOST_LARGE_BYTES = 16 << 20

Description = Annotated[str, Field(max_length=1_000)]
RetentionDays = Annotated[int, Field(ge=1, le=365)]
Driver = Literal["local", "s3", "gcs", "azure"]
StorageConfig = dict[
    Literal["disk", "bucket", "prefix", "region", "endpoint", "auth_profile", "uri"], Annotated[str, Field(max_length=1_024)]
]


class NamespaceCommand(Command):
    """Root of what an administrator asks about one namespace."""

    access: ClassVar[Access] = Access.ADMIN
    scope: ClassVar[Scope] = Scope.NAMESPACE


class CreateNamespace(NamespaceCommand):
    """Make a namespace; its name is kept in lower case. Refused with `namespace_exists`."""

    name: ClassVar[str] = "create_namespace"
    reply: ClassVar[str] = "{name}"

    description: Description = ""
    retention_days: RetentionDays = 30


class UpdateNamespace(NamespaceCommand):
    """Change what is given of a namespace."""

    name: ClassVar[str] = "update_namespace"
    reply: ClassVar[str] = "{name}"

    description: Description | None = None
    retention_days: RetentionDays | None = None


class DeleteNamespace(NamespaceCommand):
    """Delete a namespace with everything in it: its open runs are ended by force.

    From the moment it is on disk nobody sees the namespace any more. What belongs to it is removed in small portions,
    also across a restart; the reply waits a few seconds for that. Refused with `namespace_protected` for `default`.
    """

    name: ClassVar[str] = "delete_namespace"
    reply: ClassVar[str] = "{name, deleted: {table: number of rows}}"


class SetExternalStorage(NamespaceCommand):
    """Say where clients of a namespace keep large payloads. The gateway itself never reads or writes there."""

    name: ClassVar[str] = "set_external_storage"
    reply: ClassVar[str] = "{name}"

    driver: Driver
    enabled: bool = True
    threshold_bytes: int | None = Field(default=None, ge=1, le=1 << 40)
    config: StorageConfig = Field(default_factory=dict)


class ProbeExternalStorage(NamespaceCommand):
    """Write a small and a large payload with a driver, read them back, and remove them.

    Attributes:
        driver: the one to try; None tries the namespace's own.
    """

    name: ClassVar[str] = "probe_external_storage"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{driver, status: passed|failed, reason?, message?, small_payload?, large_payload?}"

    driver: Driver | None = None
    small_payload_bytes: int = Field(default=1_024, ge=1, le=MOST_SMALL_BYTES)
    large_payload_bytes: int = Field(default=2 << 20, ge=1, le=MOST_LARGE_BYTES)


class RetentionPass(NamespaceCommand):
    """Remove closed runs that are past the namespace's retention, or those of `run_ids` that are.

    Results name what became of each: `pruned`, or `skipped` with reason `run_not_found`, `run_not_closed`,
    `run_not_expired` or `run_archived`: archived runs stay.
    """

    name: ClassVar[str] = "retention_pass"
    reply: ClassVar[str] = "{processed, pruned, skipped, failed, results: [{run_id, outcome, reason?}]}"

    run_ids: tuple[str, ...] = Field(default=(), max_length=100)
    limit: int = Field(default=100, ge=1, le=100)


__all__ = [
    "CreateNamespace", "DeleteNamespace", "NamespaceCommand", "ProbeExternalStorage", "RetentionPass",
    "SetExternalStorage", "UpdateNamespace",
]  # fmt: skip
