"""System passes and figures, for administrators (contract section 2.6)."""

from typing import Any

from triplane.commands.base import Access
from triplane.commands.namespaces import RetentionPass
from triplane.connection import Connection
from triplane.queries import ExpiredRuns, Expiry
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields, iso_time

SCAN_LIMIT = 100

_A = Access.ADMIN

_ROUTES: RouteTable = (
    ("GET", "system/retention", Route("retention_status", "control", _A)),
    ("POST", "system/retention/pass", Route("retention_pass", "control", _A)),
)


class SystemPlane:
    """Handlers of the routes under `/system`, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection = connection

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "retention_status": self.retention_status,
            "retention_pass": self.retention_pass,
        }

    # ---- retention -------------------------------------------------------------------------------------------------

    async def retention_status(self, call: Call) -> tuple[int, dict[str, Any]]:
        expiry: Expiry = self._connection.query(ExpiredRuns(namespace=call.namespace, limit=SCAN_LIMIT))
        return 200, {
            "namespace": call.namespace,
            "retention_days": expiry.retention_days,
            "cutoff": iso_time(expiry.cutoff),
            "expired_run_count": len(expiry.run_ids),
            "expired_run_ids": list(expiry.run_ids),
            "scan_limit": SCAN_LIMIT,
            "scan_pressure": len(expiry.run_ids) >= SCAN_LIMIT,
        }

    async def retention_pass(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        limit = fields.number("limit", least=1, most=SCAN_LIMIT) or SCAN_LIMIT
        run_ids = ids(fields, "run_ids")
        fields.check()
        reply = await self._connection.dispatch(RetentionPass(namespace=call.namespace, run_ids=run_ids, limit=limit))
        return 200, reply


def ids(fields: Fields, name: str) -> tuple[str, ...]:
    """A field that is a list of at most 100 ids."""
    given = fields.body.get(name)
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > SCAN_LIMIT or not all(isinstance(i, str) and 0 < len(i) <= 255 for i in given):
        fields.wrong(name, f"The {name} field must be a list of at most {SCAN_LIMIT} ids.")
        return ()
    return tuple(given)
