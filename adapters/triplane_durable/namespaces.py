"""Namespaces and the external storage of their clients (contract section 2.6)."""

import re
from typing import Any, get_args

from triplane.commands.base import Access
from triplane.commands.namespaces import (
    MOST_LARGE_BYTES,
    MOST_SMALL_BYTES,
    CreateNamespace,
    DeleteNamespace,
    Driver,
    ProbeExternalStorage,
    SetExternalStorage,
    UpdateNamespace,
)
from triplane.connection import Connection
from triplane.entities import Namespace
from triplane.errors import NamespaceNotFound, NotAllowed
from triplane.queries import DescribeNamespace, ListNamespaces
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields, iso_time

_R, _A = Access.READ, Access.ADMIN

_ROUTES: RouteTable = (
    ("GET", "namespaces", Route("list_namespaces", "control", _R, namespaced=False)),
    ("POST", "namespaces", Route("create_namespace", "control", _A, namespaced=False)),
    ("GET", "namespaces/{namespace}", Route("describe_namespace", "control", _R, namespaced=False)),
    ("PUT", "namespaces/{namespace}", Route("update_namespace", "control", _A, namespaced=False)),
    ("DELETE", "namespaces/{namespace}", Route("delete_namespace", "control", _A, namespaced=False)),
    ("PUT", "namespaces/{namespace}/external-storage", Route("set_external_storage", "control", _A, namespaced=False)),
    ("POST", "storage/test", Route("test_storage", "control", _A)),
)

_NAME = re.compile(r"[a-z0-9._-]{1,128}")
_DRIVERS = get_args(Driver)
_STORAGE_KEYS = ("disk", "bucket", "prefix", "region", "endpoint", "auth_profile", "uri")

_DELETED = {
    "workflow_runs": ("runs",),
    "workflow_schedules": ("schedules",),
    "search_attribute_definitions": ("search_attributes",),
    "workflow_worker_registrations": ("workers",),
}
"""What a deletion says it removed → the tables that hold it."""


class NamespacePlane:
    """Handlers of the routes about namespaces, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection = connection

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "list_namespaces": self.list,
            "create_namespace": self.create,
            "describe_namespace": self.describe,
            "update_namespace": self.update,
            "delete_namespace": self.delete,
            "set_external_storage": self.set_storage,
            "test_storage": self.test_storage,
        }

    async def list(self, call: Call) -> tuple[int, dict[str, Any]]:
        return 200, {"namespaces": [_view(space) for space in self._connection.query(ListNamespaces())]}

    async def create(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        name = fields.text("name", required=True, longest=128)
        if name is not None and not _NAME.fullmatch(name.lower()):
            fields.wrong("name", "The name field may only hold letters, digits, '.', '_' and '-'.")
        description, days = self._settings(fields)
        fields.check()
        assert name is not None
        name = name.lower()
        made = CreateNamespace(namespace=name, description=description or "", retention_days=days or 30)
        await self._connection.dispatch(made)
        return 201, self._described(name)

    async def describe(self, call: Call) -> tuple[int, dict[str, Any]]:
        return 200, self._described(self._named(call))

    async def update(self, call: Call) -> tuple[int, dict[str, Any]]:
        name, fields = self._named(call), Fields(call.body)
        description, days = self._settings(fields)
        fields.check()
        await self._connection.dispatch(UpdateNamespace(namespace=name, description=description, retention_days=days))
        return 200, self._described(name)

    async def delete(self, call: Call) -> tuple[int, dict[str, Any]]:
        name = self._named(call)
        reply = await self._connection.dispatch(DeleteNamespace(namespace=name))
        counts = reply["deleted"]
        return 200, {
            "name": name,
            "status": "deleted",
            "deleted": {what: sum(counts.get(table, 0) for table in tables) for what, tables in _DELETED.items()},
        }

    async def set_storage(self, call: Call) -> tuple[int, dict[str, Any]]:
        name, fields = self._named(call), Fields(call.body)
        driver = self._driver(fields, required=True)
        enabled = call.body.get("enabled", True)
        if enabled is not None and not isinstance(enabled, bool):
            fields.wrong("enabled", "The enabled field must be true or false.")
        threshold = fields.number("threshold_bytes", least=1, most=1 << 40)
        config = {key: value for key, value in fields.mapping("config").items() if value is not None}
        for key, value in config.items():
            if key not in _STORAGE_KEYS:
                fields.wrong(f"config.{key[:64]}", f"The config field takes {', '.join(_STORAGE_KEYS)}.")
            elif not isinstance(value, str) or len(value) > 1_024:
                fields.wrong(f"config.{key}", f"The config.{key} field must be a string of at most 1024 characters.")
        fields.check()
        await self._connection.dispatch(
            SetExternalStorage(
                namespace=name, driver=driver, enabled=enabled is not False, threshold_bytes=threshold, config=config
            )
        )  # fmt: skip
        return 200, self._described(name)

    async def test_storage(self, call: Call) -> tuple[int, dict[str, Any]]:
        """A failed test is 422 with `status` and `reason`, as the published server answers it."""
        fields = Fields(call.body)
        driver = self._driver(fields)
        small = fields.number("small_payload_bytes", least=1, most=MOST_SMALL_BYTES) or 1_024
        large = fields.number("large_payload_bytes", least=1, most=MOST_LARGE_BYTES) or 2 << 20
        fields.check()
        outcome = await self._connection.dispatch(
            ProbeExternalStorage(
                namespace=call.namespace, driver=driver, small_payload_bytes=small, large_payload_bytes=large
            )
        )  # fmt: skip
        body = {"namespace": call.namespace, **outcome}
        if outcome["status"] == "passed":
            return 200, body
        errors = {"driver": [outcome["message"]]}
        return 422, body | {"errors": errors, "validation_errors": errors}

    # ---- within ----------------------------------------------------------------------------------------------------

    def _named(self, call: Call) -> str:
        """The namespace in the path, if it is there for this principal; else it is as if it did not exist."""
        name = call.params["namespace"].lower()
        if not _NAME.fullmatch(name):
            raise NamespaceNotFound(name)
        self._described(name)
        return name

    def _described(self, name: str) -> dict[str, Any]:
        try:
            return _view(self._connection.query(DescribeNamespace(namespace=name)))
        except NotAllowed as error:
            raise NamespaceNotFound(name) from error

    @staticmethod
    def _settings(fields: Fields) -> tuple[str | None, int | None]:
        description = fields.text("description", longest=1_000)
        return description, fields.number("retention_days", least=1, most=365)

    @staticmethod
    def _driver(fields: Fields, required: bool = False) -> Any:
        driver = fields.text("driver", required=required)
        if driver is not None and driver not in _DRIVERS:
            fields.wrong("driver", f"The driver field must be one of {', '.join(_DRIVERS)}.")
        return driver


def _view(space: Namespace) -> dict[str, Any]:
    return {
        "name": space.name,
        "description": space.description or None,
        "retention_days": space.retention_days,
        "status": "active",
        "created_at": iso_time(space.created),
        "updated_at": iso_time(space.updated),
        "external_payload_storage": dict(space.external_storage) if space.external_storage is not None else None,
    }
