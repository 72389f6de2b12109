"""Output streams of runs: what a workflow says while it works (contract section 2.4)."""

from typing import Any

from triplane.commands.base import Access
from triplane.commands.streams import AppendStream, CloseStream, ReadStream
from triplane.connection import Connection
from triplane.entities import Stream, StreamItem
from triplane.errors import InvalidFields, StreamNotFound
from triplane.queries import ListStreams
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields, iso_time, whole_number

MAX_RETENTION_S = 10 * 366 * 86_400

_R, _W = Access.READ, Access.WRITE
_RUN = "workflows/{workflow_id}/runs/{run_id}/streams"
_ROUTES: RouteTable = (
    ("GET", _RUN, Route("list_streams", "control", _R, "list_streams")),
    ("GET", f"{_RUN}/{{stream}}", Route("describe_stream", "control", _R, "describe_stream")),
    ("GET", f"{_RUN}/{{stream}}/items", Route("read_stream", "control", _R, "read_stream")),
    ("POST", f"{_RUN}/{{stream}}/items", Route("append_stream", "control", _W, "append_stream")),
    ("POST", f"{_RUN}/{{stream}}/close", Route("close_stream", "control", _W, "close_stream")),
)


class OutputStreams:
    """Handlers of the routes under a run's `/streams`, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "list_streams": self.list,
            "describe_stream": self.describe,
            "read_stream": self.read,
            "append_stream": self.append,
            "close_stream": self.close,
        }

    async def list(self, call: Call) -> tuple[int, dict[str, Any]]:
        streams = self._connection.query(ListStreams(**_run(call)))
        return 200, {**_said_of(call), "streams": [stream_view(stream) for stream in streams]}

    async def describe(self, call: Call) -> tuple[int, dict[str, Any]]:
        name = call.params["stream"]
        streams = self._connection.query(ListStreams(**_run(call), stream_name=name))
        if not streams:
            raise StreamNotFound(f"run {call.params['run_id']} has no stream {name!r}")
        return 200, {**_said_of(call), "stream": stream_view(streams[0])}

    async def read(self, call: Call) -> tuple[int, dict[str, Any]]:
        query = call.query
        fields = Fields({name: whole_number(query.get(name)) for name in ("from", "max_items", "wait_seconds")})
        offset = fields.number("from", least=0, most=1 << 53) or 0
        limit = fields.number("max_items", least=1, most=500)
        wait_s = fields.number("wait_seconds", least=0, most=60) or 0
        fields.check()
        page = await self._connection.dispatch(
            ReadStream(
                **_run(call), stream_name=call.params["stream"], offset=offset, limit=100 if limit is None else limit,
                wait_s=min(wait_s, self._config.long_poll_s),
            )
        )  # fmt: skip
        return 200, {
            **_said_of(call),
            "stream": stream_view(page["stream"]),
            "items": [item_view(item) for item in page["items"]],
            "next_offset": page["next_offset"],
            "terminal": page["terminal"],
        }

    async def append(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        most_pending = fields.number("max_pending_items", least=1, most=1 << 31)
        fields.check()
        items = call.body.get("items")
        if not isinstance(items, list) or not items:
            raise InvalidFields({"items": ["The items field must be a list of at least one object."]})
        reply = await self._connection.dispatch(
            AppendStream(**_run(call), stream_name=call.params["stream"], items=tuple(items), max_pending_items=most_pending)
        )
        return 200, {**_said_of(call), **reply, "stream": stream_view(reply["stream"])}

    async def close(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        reason = fields.text("error_reason", longest=1_000)
        retention_s = fields.number("retention_seconds", least=1, most=MAX_RETENTION_S)
        fields.check()
        reply = await self._connection.dispatch(
            CloseStream(**_run(call), stream_name=call.params["stream"], error_reason=reason, retention_s=retention_s)
        )
        return 200, {**_said_of(call), "stream": stream_view(reply["stream"])}


def _run(call: Call) -> dict[str, Any]:
    return {"namespace": call.namespace, "workflow_id": call.params["workflow_id"], "run_id": call.params["run_id"]}


def _said_of(call: Call) -> dict[str, Any]:
    return {"workflow_id": call.params["workflow_id"], "workflow_run_id": call.params["run_id"]}


def stream_view(stream: Stream) -> dict[str, Any]:
    """A stream's head (contract section 2.4)."""
    return {
        "stream_name": stream.name,
        "status": stream.status,
        "last_offset": stream.total - 1 if stream.total else None,
        "total_items": stream.total,
        "pending_items": stream.total - stream.consumed,
        "error_reason": stream.error_reason,
        "opened_at": iso_time(stream.opened),
        "last_appended_at": iso_time(stream.appended),
        "closed_at": iso_time(stream.closed),
        "retention_seconds": stream.retention_s,
    }


def item_view(item: StreamItem) -> dict[str, Any]:
    """An item of a stream (contract section 2.4)."""
    shown = {
        "offset": item.offset,
        "payload_codec": "avro",
        "idempotency_key": item.key,
        "item_type": None,
        "content_type": None,
        **item.body,
        "emitted_at": iso_time(item.emitted),
    }
    shown.setdefault("payload", None)
    return shown
