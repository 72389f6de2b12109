"""Worker sessions: a worker opens, keeps and closes those it holds (contract section 4.1)."""

from typing import Any

from triplane.commands.base import Access
from triplane.commands.sessions import CloseSession, OpenSession, RenewSession
from triplane.connection import Connection
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields, iso_time

_LONGEST_S = 366 * 86_400
_K = Access.WORK

_ROUTES: RouteTable = (
    ("POST", "worker/sessions", Route("open_session", "worker", _K)),
    ("POST", "worker/sessions/{session_id}/heartbeat", Route("renew_session", "worker", _K)),
    ("DELETE", "worker/sessions/{session_id}", Route("close_session", "worker", _K)),
)


class WorkerSessions:
    """Handlers of these routes, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection = connection

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {"open_session": self.open_session, "renew_session": self.renew_session, "close_session": self.close_session}

    async def open_session(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        given = {
            "worker_id": fields.text("worker_id", required=True),
            "session_id": fields.text("session_id", required=True),
            "lease_seconds": fields.number("lease_seconds", least=1, most=_LONGEST_S),
            "ttl_seconds": fields.number("ttl_seconds", least=1, most=_LONGEST_S),
            "max_concurrent_activities": fields.number("max_concurrent_activities", least=1, most=10_000),
        }
        for name in ("create_if_missing", "allow_reacquire_after_failure"):
            given[name] = call.body.get(name)
            if given[name] is not None and not isinstance(given[name], bool):
                fields.wrong(name, f"The {name} field must be true or false.")
        needed = call.body.get("requirements")
        if needed is not None and not (isinstance(needed, list) and all(isinstance(each, str) and each for each in needed)):
            fields.wrong("requirements", "The requirements field must be a list of strings.")
        given["requirements"] = needed
        fields.check()
        reply = await self._connection.dispatch(
            OpenSession(namespace=call.namespace, **{key: value for key, value in given.items() if value is not None})
        )
        return 201 if reply["outcome"] == "created" else 200, _session(reply)

    async def renew_session(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        worker_id = fields.text("worker_id", required=True)
        lease_s = fields.number("lease_seconds", least=1, most=_LONGEST_S)
        fields.check()
        reply = await self._connection.dispatch(
            RenewSession(
                namespace=call.namespace, worker_id=worker_id, session_id=call.params["session_id"], lease_seconds=lease_s
            )
        )
        return 200, _session(reply)

    async def close_session(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        worker_id = fields.text("worker_id", required=True)
        reason = fields.text("reason", longest=1_000)
        fields.check()
        reply = await self._connection.dispatch(
            CloseSession(namespace=call.namespace, worker_id=worker_id, session_id=call.params["session_id"], reason=reason)
        )
        return 200, _session(reply)


def _session(reply: dict[str, Any]) -> dict[str, Any]:
    return reply | {key: iso_time(reply[key]) for key in ("lease_expires_at", "ttl_expires_at")}
