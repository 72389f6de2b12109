"""Calling service operations from outside (contract section 2.6, Nexus).

Names of fields that the contract leaves open are those of the published server and of SDK 2.12.0's `nexus.py`.
"""

import hashlib
from typing import Any

from triplane.commands.base import Access
from triplane.commands.operations import ExecuteOperation
from triplane.connection import Connection
from triplane.errors import InvalidFields
from triplane.payloads import is_envelope
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields
from triplane_durable.payload_fields import payload_field
from triplane_durable.views import plain

DEFAULT_WAIT_S = 30
MOST_WAIT_S = 50
"""Longer waits are cut: clients give up after a minute. The same idempotency key goes on waiting for the same call."""

_PATH = "service-endpoints/{endpoint}/services/{service}/operations/{operation}/execute"
_ROUTES: RouteTable = (("POST", _PATH, Route("execute_operation", "control", Access.WRITE)),)

_ENDED = {"failed": "failed", "cancelled": "cancelled", "terminated": "cancelled"}
"""Final status of the run → status of the call; a completed run completes it."""


class Nexus:
    """The handler of the route that executes operations, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {"execute_operation": self.execute}

    async def execute(self, call: Call) -> tuple[int, dict[str, Any]]:
        """200 with the call, or 409 of the same shape where it failed, was ended, or is a duplicate that was not wanted."""
        fields = Fields(call.body)
        mode = _choice(fields, "mode_override", ("sync", "async")) or _choice(fields, "mode", ("sync", "async")) or "sync"
        wait_for = _choice(fields, "wait_for", ("completed", "accepted")) or ("completed" if mode == "sync" else "accepted")
        timeout = fields.number("wait_timeout_seconds", least=0, most=86_400)
        policy = _choice(fields, "duplicate_start_policy", ("return_existing_active", "reject_duplicate"))
        key = fields.text("idempotency_key")
        caller = fields.text("caller_namespace")
        arguments = self._arguments(fields)
        memo, labels = fields.mapping("memo"), fields.mapping("labels")
        attributes = fields.mapping("search_attributes")
        business_key = fields.text("business_key")
        for name in ("target_workflow_instance_id", "target_workflow_run_id"):
            if fields.text(name) is not None:
                fields.wrong(name, f"The {name} field has no meaning here: every operation starts a workflow of its own.")
        for name in ("caller_workflow_instance_id", "caller_workflow_run_id", "connection", "queue"):
            # Said by clients for the record; which queue serves an operation is the config's to say.
            fields.text(name)
        fields.check()
        reply = await self._connection.dispatch(
            ExecuteOperation(
                namespace=call.namespace,
                endpoint=call.params["endpoint"],
                service=call.params["service"],
                operation=call.params["operation"],
                arguments=arguments,
                idempotency_key=_key_of(call.namespace, caller, key),
                memo=memo | ({"labels": labels} if labels else {}),
                search_attributes=attributes,
                business_key=business_key,
                wait_s=min(DEFAULT_WAIT_S if timeout is None else timeout, MOST_WAIT_S) if wait_for == "completed" else 0.0,
            )
        )
        return _answer(call, reply, mode, wait_for, policy)

    def _arguments(self, fields: Fields) -> Any:
        """A blob with its codec beside it, an envelope, or plain JSON, as an envelope."""
        given, codec = fields.body.get("arguments"), fields.text("payload_codec") or "avro"
        if isinstance(given, str):
            given = {"codec": codec, "blob": given}
        elif given is not None and not isinstance(given, list) and not (isinstance(given, dict) and "codec" in given):
            given = [given]
        carried = Fields({"arguments": given})
        arguments = payload_field(carried, "arguments", self._config.max_payload_bytes)
        fields.errors |= carried.errors
        return arguments


def _answer(call: Call, reply: dict[str, Any], mode: str, wait_for: str, policy: str | None) -> tuple[int, dict[str, Any]]:
    told: dict[str, Any] = {
        "service_call_id": reply["service_call_id"],
        "endpoint_name": call.params["endpoint"],
        "service_name": call.params["service"],
        "operation_name": call.params["operation"],
        "operation_mode": mode,
        "wait_for": wait_for,
        "linked_workflow_instance_id": reply["workflow_id"],
        "linked_workflow_run_id": reply["run_id"],
    }
    repeated = reply["outcome"] == "existing"
    status, accepted = 200, True
    if repeated and policy == "reject_duplicate":
        status, accepted = 409, False
        told |= {"status": "failed", "outcome": "rejected_duplicate", "reason": "duplicate_start",
                 "message": "a call with this idempotency key was made before"}  # fmt: skip
    elif not reply["closed"]:
        told |= {"status": "accepted", "outcome": "accepted", "wait_timed_out": wait_for == "completed"}
    elif reply["status"] == "completed":
        told |= {"status": "completed", "outcome": "completed", **_result(reply.get("output"))}
    else:
        status, accepted = 409, False
        ended = "timed_out" if reply.get("reason") == "timed_out" else _ENDED[reply["status"]]
        told |= {"status": ended, "outcome": ended, "reason": reply.get("reason") or reply["status"]}
        message = reply.get("message") or f"the operation's workflow was {reply['status']}"
        told |= {"message": message, "typed_error_message": message}
        told["service_error_type"] = reply.get("exception_type") or reply.get("exception_class") or ended
    body = {"service_call": told, "accepted": accepted, "idempotent_replay": repeated}
    body |= {key: told[key] for key in ("service_call_id", "status", "outcome", "reason", "message") if key in told}
    return status, body


def _result(output: Any) -> dict[str, Any]:
    """A result decoded for callers, and as the payload that it is."""
    told: dict[str, Any] = {"result": plain(output)}
    if is_envelope(output):
        told |= {"response_payload": output["blob"], "payload_codec": output["codec"]}
    return told


def _choice(fields: Fields, name: str, allowed: tuple[str, ...]) -> str | None:
    value = fields.text(name)
    if value is not None and value not in allowed:
        fields.wrong(name, f"The {name} field must be one of {', '.join(allowed)}.")
    return value


def _key_of(namespace: str, caller: str | None, key: str | None) -> str | None:
    """Keys of different callers are different keys."""
    if key == "":
        raise InvalidFields({"idempotency_key": ["The idempotency_key field must not be empty."]})
    if key is None or caller is None or caller.lower() == namespace:
        return key
    return hashlib.sha256(f"{caller.lower()}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
