"""Routes of search attributes (contract section 2.6)."""

from typing import Any

from triplane.commands import DefineSearchAttribute, RemoveSearchAttribute
from triplane.commands.base import Access
from triplane.connection import Connection
from triplane.queries import ListSearchAttributes
from triplane.visibility.attributes import KINDS, MAX_NAME_CHARS, SYSTEM
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields

_ROUTES: RouteTable = (
    ("GET", "search-attributes", Route("list_search_attributes", "control", Access.READ)),
    ("POST", "search-attributes", Route("create_search_attribute", "control", Access.WRITE)),
    ("DELETE", "search-attributes/{attribute}", Route("delete_search_attribute", "control", Access.WRITE)),
)


class SearchAttributePlane:
    """Handlers of these routes, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection = connection

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "list_search_attributes": self.list,
            "create_search_attribute": self.create,
            "delete_search_attribute": self.delete,
        }

    async def list(self, call: Call) -> tuple[int, dict[str, Any]]:
        custom = self._connection.query(ListSearchAttributes(namespace=call.namespace))
        return 200, {"system_attributes": dict(SYSTEM), "custom_attributes": custom}

    async def create(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        name = fields.text("name", required=True, longest=MAX_NAME_CHARS)
        kind = fields.text("type", required=True)
        if name and not (name[0].isalpha() and name.isascii() and name.replace("_", "a").isalnum()):
            fields.wrong("name", "The name field must be a letter, then letters, digits and underscores.")
        if kind and kind not in KINDS:
            fields.wrong("type", f"The type field must be one of {', '.join(KINDS)}.")
        fields.check()
        reply = await self._connection.dispatch(DefineSearchAttribute(namespace=call.namespace, attribute=name, kind=kind))
        return 201, {"name": reply["name"], "type": reply["kind"], "outcome": "created"}

    async def delete(self, call: Call) -> tuple[int, dict[str, Any]]:
        reply = await self._connection.dispatch(
            RemoveSearchAttribute(namespace=call.namespace, attribute=call.params["attribute"])
        )
        return 200, {"name": reply["name"], "outcome": "deleted"}
