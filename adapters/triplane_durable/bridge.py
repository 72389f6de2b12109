"""The webhook bridge: an event of another system becomes a start, a signal or an update (contract section 2.6).

Outcomes and reasons that the contract leaves open follow the published description of the bridge-adapter outcome contract,
version 1. An event goes the same way as the request that it stands for, so validators, reserved names and limits hold.
"""

import hashlib
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from triplane.commands.base import Access
from triplane.connection import Connection
from triplane.errors import CannotNow, GatewayError, NotAllowed, RequestIdReused, Unauthenticated, WorkflowExists
from triplane.queries import BridgeTargets, DescribeRun
from triplane_durable.bridge_contract import SCHEMA, SHOWN, SIGNATURE_HEADER
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.control import ControlPlane
from triplane_durable.frames import Fields
from triplane_durable.refusals import refusal
from triplane_durable.views import type_name

_ROUTES: RouteTable = (("POST", "bridge-adapters/webhook/{adapter}", Route("webhook", "control", Access.WRITE)),)
_ADAPTER = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_WORKFLOW_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_POLICIES = {
    "use_existing": "use-existing", "use-existing": "use-existing", "reject_duplicate": "fail", "fail": "fail",
}  # fmt: skip
_REASONS = {
    "instance_not_found": "unknown_target",
    "definition_not_found": "unknown_target",
    "validation_failed": "malformed_payload",
    "not_supported": "malformed_payload",
    "duplicate_not_allowed": "instance_already_started",
}
"""The control plane's reason → the bridge's, where it has another word for it."""


class _Event:
    """An event that has passed the checks of its envelope."""

    def __init__(self, call: Call, fields: Fields) -> None:
        self.namespace, self.adapter = call.namespace, call.params["adapter"]
        self.action = fields.text("action", required=True) or ""
        self.key = fields.text("idempotency_key", required=True) or ""
        self.target = fields.mapping("target")
        if not self.target:
            fields.wrong("target", "The target field is required and must be an object.")
        self.correlation = fields.mapping("correlation") or None
        given = fields.body.get("input")
        if given is not None and not isinstance(given, dict | list):
            fields.wrong("input", "The input field must be an object or a list.")
        # An object is one argument, unless it is a payload envelope.
        self.input = [given] if isinstance(given, dict) and "codec" not in given else given

    def request_id(self, *parts: str) -> str:
        """The same for every delivery of this event to the same target."""
        text = "\0".join((self.adapter, self.action, self.key, *parts))
        return f"bridge-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"

    def outcome(self, status: int, outcome: str, **said: Any) -> tuple[int, dict[str, Any]]:
        """The answer; it never repeats the event's payload."""
        shown = {key: value for key, value in self.target.items() if key in SHOWN and isinstance(value, str) and len(value) <= 256}
        return status, {
            "schema": SCHEMA, "version": 1, "adapter": self.adapter, "action": self.action, "accepted": outcome == "accepted",
            "outcome": outcome, "reason": None, "idempotency_key": self.key, "target": shown, "correlation": self.correlation,
            "workflow_id": shown.get("workflow_id"), "run_id": None, "workflow_type": shown.get("workflow_type"),
            "control_plane_outcome": None, **said,
        }  # fmt: skip

    def rejected(self, reason: str, message: str, **said: Any) -> tuple[int, dict[str, Any]]:
        """422 with the outcome, which clients read as an answer and not as an error."""
        return self.outcome(422, "rejected", reason=reason, message=message, **said)


class Bridge:
    """The handler of the bridge's route, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._control = connection, ControlPlane(connection, config)

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {"webhook": self.webhook}

    async def webhook(self, call: Call) -> tuple[int, dict[str, Any]]:
        """202 accepted, 200 a duplicate, 422 rejected; 401 where the adapter has a secret and the signature is not made with it."""
        fields = Fields(call.body)
        event = _Event(call, fields)
        if not _ADAPTER.fullmatch(event.adapter):
            return event.rejected("unsupported_routing", "An adapter is named by letters, digits, '.', '_', ':' and '-'.")
        signature = call.headers.get(SIGNATURE_HEADER.lower())
        asked = BridgeTargets(namespace=call.namespace, adapter=event.adapter, body=call.raw, signature=(signature or "")[:256] or None)
        globs = self._connection.query(asked)
        if fields.errors:
            return event.rejected("malformed_payload", "The event is malformed.", errors=fields.errors)
        try:
            match event.action:
                case "start_workflow":
                    return await self._start(event, globs)
                case "signal_workflow":
                    return await self._send(event, globs, "signal_name")
                case "update_workflow":
                    return await self._send(event, globs, "update_name")
        except (CannotNow, NotAllowed, Unauthenticated):
            raise
        except GatewayError as error:
            _, body = refusal(error, "control")
            said = {"errors": body["errors"]} if "errors" in body else {}
            return event.rejected(_REASONS.get(body["reason"], body["reason"]), error.message, **said)
        return event.rejected("unsupported_action", "The action is start_workflow, signal_workflow or update_workflow.")

    async def _start(self, event: _Event, globs: Iterable[str]) -> tuple[int, dict[str, Any]]:
        target = Fields(event.target)
        workflow_type = target.text("workflow_type", required=True) or ""
        given_id = _id(target, required=False)
        queue, business_key = target.text("task_queue"), target.text("business_key")
        policy = target.text("duplicate_policy") or "use_existing"
        if policy not in _POLICIES:
            target.wrong("duplicate_policy", "The duplicate_policy field must be use_existing or reject_duplicate.")
        if target.errors:
            return event.rejected("malformed_payload", "The target is malformed.", errors=target.errors)
        if not _allowed(globs, workflow_type):
            return event.rejected("unsupported_routing", f"Events of {event.adapter!r} may not start that workflow type.")
        workflow_id = given_id or f"bridge-{event.adapter[:80]}-{event.request_id()[7:31]}"
        named = {"workflow_id": workflow_id, "workflow_type": workflow_type}
        body = {
            **named, "task_queue": queue, "business_key": business_key, "input": event.input,
            "duplicate_policy": _POLICIES[policy], "request_id": event.request_id(workflow_id),
        }  # fmt: skip
        try:
            _, started = await self._control.start(Call({}, event.namespace, {}, body))
        except (WorkflowExists, RequestIdReused) as error:
            # Under an id made from the event's key only the same event can have been before.
            if given_id and isinstance(error, WorkflowExists):
                raise
            run_id = error.details.get("run_id")
            return event.outcome(200, "duplicate", reason="duplicate_start", run_id=run_id, **named)
        told = {**named, "run_id": started["run_id"], "control_plane_outcome": started["outcome"]}
        if started.get("retained") or started["outcome"] == "returned_existing_active":
            told["control_plane_outcome"] = "returned_existing_active"
            return event.outcome(200, "duplicate", reason="duplicate_start", **told)
        return event.outcome(202, "accepted", **told)

    async def _send(self, event: _Event, globs: Iterable[str], name_field: str) -> tuple[int, dict[str, Any]]:
        target = Fields(event.target)
        workflow_id = _id(target, required=True)
        name = target.text(name_field, required=True) or ""
        if target.errors:
            return event.rejected("malformed_payload", "The target is malformed.", errors=target.errors)
        view = self._connection.query(DescribeRun(namespace=event.namespace, workflow_id=workflow_id))
        if not _allowed(globs, workflow_id, type_name(view.run)):
            return event.rejected("unsupported_routing", f"Events of {event.adapter!r} may not reach that workflow.")
        told = {"workflow_id": workflow_id, "run_id": view.run.run_id, "workflow_type": type_name(view.run)}
        body = {"input": event.input, "request_id": event.request_id(workflow_id, name)}
        call = Call({"workflow_id": workflow_id, "name": name}, event.namespace, {}, body)
        try:
            if name_field == "signal_name":
                _, sent = await self._control.signal(call)
            else:
                body |= {key: event.target[key] for key in ("wait_for", "wait_timeout_seconds") if key in event.target}
                _, sent = await self._control.update(call)
        except RequestIdReused:
            # The same event with another payload: what came first counts.
            sent = {"retained": True}
        if sent.get("retained"):
            return event.outcome(200, "duplicate", **told, control_plane_outcome="deduped_existing_command")
        done = sent.get("outcome") or f"update_{sent.get('update_status', 'accepted')}"
        extra = {"update_id": sent["update_id"]} if "update_id" in sent else {}
        return event.outcome(202, "accepted", **told, control_plane_outcome=done, **extra)


def _id(target: Fields, required: bool) -> str:
    workflow_id = target.text("workflow_id", required=required)
    if workflow_id is not None and not _WORKFLOW_ID.fullmatch(workflow_id):
        target.wrong("workflow_id", "The workflow_id field may hold 1 to 128 letters, digits, '.', '_', ':' and '-'.")
    return workflow_id or ""


def _allowed(globs: Iterable[str], *names: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs for name in names)
