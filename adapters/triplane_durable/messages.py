"""Message streams: ordered input for a workflow, each message once (contract sections 2.1 and 5.3)."""

from typing import Any

from triplane.commands.base import Access
from triplane.commands.messages import AppendMessage
from triplane.connection import Connection
from triplane.errors import InvalidFields
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields
from triplane_durable.payload_fields import payload_field

MAX_STREAMS_TOLD = 1_000

_ROUTES: RouteTable = (
    (
        "POST", "workflows/{workflow_id}/message-streams/{stream}/messages",
        Route("append_message", "control", Access.WRITE, "append_message"),
    ),
)  # fmt: skip


class MessageStreams:
    """Handler of the route that appends to a message stream, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {"append_message": self.append}

    async def append(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        message_id = fields.text("message_id", required=True)
        arguments = payload_field(fields, "input", self._config.max_payload_bytes)
        fields.check()
        assert message_id is not None
        reply = await self._connection.dispatch(
            AppendMessage(
                namespace=call.namespace, workflow_id=call.params["workflow_id"], stream_name=call.params["stream"],
                message_id=message_id, arguments=arguments,
            )
        )  # fmt: skip
        return 200 if reply["outcome"] == "duplicate" else 202, {**reply, "command_status": "accepted"}


def message_cursors(body: dict[str, Any]) -> dict[str, int] | None:
    """How far a completed workflow task says its streams are read; None where it says nothing.

    `message_stream_waits` needs no answer: whatever is recorded behind a task's history wakes the run anyway.

    Raises:
        InvalidFields
    """
    told = body.get("message_stream_cursors")
    if not told:
        return None
    cursors = {}
    for entry in told if isinstance(told, list) and len(told) <= MAX_STREAMS_TOLD else [None]:
        name = entry.get("stream_name") if isinstance(entry, dict) else None
        position = entry.get("through_position") if isinstance(entry, dict) else None
        if not isinstance(name, str) or isinstance(position, bool) or not isinstance(position, int) or position < 0:
            raise InvalidFields(
                {"message_stream_cursors": ["The message_stream_cursors field must be a list of stream_name and through_position."]}
            )
        cursors[name] = position
    return cursors
