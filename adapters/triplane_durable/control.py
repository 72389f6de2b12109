"""The control plane: starting and steering runs (contract section 2)."""

from typing import Any

from triplane.commands import QueryRun, SignalRun, StartRun, StopMode, StopRun, UpdateRun
from triplane.commands.base import Access
from triplane.commands.messages import AwaitUpdate
from triplane.connection import Connection
from triplane.errors import Conflict, NotSupported
from triplane.payloads import envelope
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.cancelling import ask_to_cancel, cancels_cooperatively
from triplane_durable.config import DurableConfig
from triplane_durable.contract import DUPLICATE_POLICIES
from triplane_durable.frames import Fields
from triplane_durable.payload_fields import payload_field
from triplane_durable.reading import run_of
from triplane_durable.reserved import Reserved
from triplane_durable.views import plain, type_name

DEFAULT_TIMEOUTS = (3600, 600)
"""What the SDK sends unasked; on graphs and simulations exactly this pair means none."""

ENGINE_PREFIXES = ("graph", "simulation")


_R, _W, _E = Access.READ, Access.WRITE, Access.END

_ROUTES: RouteTable = (
    ("POST", "workflows", Route("start", "control", _W, "start")),
    ("POST", "workflows/{workflow_id}/signal/{name}", Route("signal", "control", _W, "signal")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/signal/{name}", Route("signal", "control", _W, "signal")),
    ("POST", "workflows/{workflow_id}/query/{name}", Route("query", "control", _R, "query")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/query/{name}", Route("query", "control", _R, "query")),
    ("POST", "workflows/{workflow_id}/update/{name}", Route("update", "control", _W, "update")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/update/{name}", Route("update", "control", _W, "update")),
    ("POST", "workflows/{workflow_id}/cancel", Route("cancel", "control", _E, "cancel")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/cancel", Route("cancel", "control", _E, "cancel")),
    ("POST", "workflows/{workflow_id}/terminate", Route("terminate", "control", _E, "terminate")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/terminate", Route("terminate", "control", _E, "terminate")),
)


class ControlPlane:
    """Handlers of the control plane's routes, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config
        self._reserved = Reserved(connection)

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "start": self.start,
            "signal": self.signal,
            "query": self.query,
            "update": self.update,
            "cancel": self.cancel,
            "terminate": self.terminate,
        }

    # ---- starting --------------------------------------------------------------------------------------------------

    async def start(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        workflow_type = fields.text("workflow_type", required=True)
        workflow_id = fields.text("workflow_id", longest=128)
        task_queue = fields.text("task_queue") or ""
        policy = fields.text("duplicate_policy") or "fail"
        if policy not in DUPLICATE_POLICIES:
            fields.wrong("duplicate_policy", f"The duplicate_policy field must be one of {', '.join(DUPLICATE_POLICIES)}.")
        execution = fields.number("execution_timeout_seconds", least=1, most=10 * 365 * 86400)
        run = fields.number("run_timeout_seconds", least=1, most=10 * 365 * 86400)
        options = {
            "execution_timeout_s": execution,
            "run_timeout_s": run,
            "business_key": fields.text("business_key"),
            "priority": fields.number("priority", least=0, most=9),
            "fairness_key": fields.text("fairness_key"),
            "fairness_weight": fields.number("fairness_weight", least=1, most=1000),
            "build_id": fields.text("build_id"),
            "compatibility": fields.text("compatibility"),
        }
        memo, attributes = fields.mapping("memo"), fields.mapping("search_attributes")
        payload = self._payload(fields, "input")
        fields.check()
        assert workflow_type is not None
        engine, _, name = workflow_type.partition(":")
        source = None
        if engine in ENGINE_PREFIXES and name:
            source = {"definition": name}
            payload = plain(payload)
            if (execution, run) == DEFAULT_TIMEOUTS:
                options["execution_timeout_s"] = options["run_timeout_s"] = None
        else:
            engine, name = "durable", workflow_type
        reply = await self._connection.dispatch(
            StartRun(
                namespace=call.namespace,
                request_id=call.body.get("request_id"),
                workflow_id=workflow_id,
                engine=engine,
                workflow_type=name,
                task_queue=task_queue or ("default" if engine == "durable" else ""),
                input=payload,
                source=source,
                memo=memo,
                search_attributes=attributes,
                options={key: value for key, value in options.items() if value is not None},
                duplicate_policy="fail" if policy == "reject" else policy,
            )
        )
        started, retained = reply["outcome"] == "started", {"retained": True} if reply.get("retained") else {}
        return 201 if started else 200, {
            "workflow_id": reply["workflow_id"],
            "run_id": reply["run_id"],
            "workflow_type": workflow_type,
            "namespace": call.namespace,
            "status": "pending",
            "business_key": options["business_key"],
            "payload_codec": "avro",
            "outcome": "started_new" if started else "returned_existing_active",
            **retained,
        }

    def _payload(self, fields: Fields, name: str) -> Any:
        return payload_field(fields, name, self._config.max_payload_bytes)

    # ---- reading ---------------------------------------------------------------------------------------------------

    # ---- steering --------------------------------------------------------------------------------------------------

    async def signal(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        arguments = self._payload(fields, "input")
        request_id = fields.text("request_id")
        fields.check()
        name, workflow_id = call.params["name"], call.params["workflow_id"]
        view = run_of(self._connection, call)
        reply = await self._reserved.signal(view, name, request_id)
        if reply is None:
            reply = await self._connection.dispatch(
                SignalRun(
                    namespace=call.namespace, workflow_id=workflow_id, run_id=call.params.get("run_id"),
                    request_id=request_id, signal_name=name, arguments=arguments,
                )
            )  # fmt: skip
        return 202, {
            "workflow_id": workflow_id,
            "run_id": reply.get("run_id", view.run.run_id),
            "signal_name": name,
            "outcome": "signal_received",
            "command_status": "accepted",
            "command_id": reply.get("signal_id"),
            "request_id": request_id,
            "retained": bool(reply.get("retained", False)),
            "intent_verified": True,
        }

    async def query(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        arguments = self._payload(fields, "input")
        fields.check()
        name, workflow_id = call.params["name"], call.params["workflow_id"]
        view = run_of(self._connection, call)
        found, result = await self._reserved.query(view, name, plain(arguments))
        body = {"workflow_id": workflow_id, "run_id": view.run.run_id, "query_name": name}
        if found:
            return 200, body | {"result": result, "result_envelope": envelope(result)}
        reply = await self._connection.dispatch(
            QueryRun(
                namespace=call.namespace, workflow_id=workflow_id, run_id=call.params.get("run_id"),
                query_name=name, arguments=arguments,
            )
        )  # fmt: skip
        result = reply.get("result")
        if result is None:
            result = plain(reply.get("result_envelope"))
        return 200, body | {"result": result, "result_envelope": reply.get("result_envelope")}

    async def update(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        arguments = self._payload(fields, "input")
        request_id = fields.text("request_id")
        wait_for = fields.text("wait_for") or "accepted"
        if wait_for not in ("accepted", "completed"):
            fields.wrong("wait_for", "The wait_for field must be accepted or completed.")
        wait_s = fields.number("wait_timeout_seconds", least=0, most=60, whole=False)
        fields.check()
        name, workflow_id = call.params["name"], call.params["workflow_id"]
        view = run_of(self._connection, call)
        body: dict[str, Any] = {
            "workflow_id": workflow_id, "run_id": view.run.run_id, "update_name": name, "wait_for": wait_for,
            "wait_timed_out": False, "command_status": "accepted", "request_id": request_id,
        }  # fmt: skip
        reserved = await self._reserved.update(view, name, plain(arguments), request_id)
        if reserved is not None:
            update_id, result = reserved
            return 200, body | {
                "update_id": update_id, "outcome": "update_completed", "update_status": "completed",
                "result": result, "result_envelope": envelope(result),
            }  # fmt: skip
        reply = await self._connection.dispatch(
            UpdateRun(
                namespace=call.namespace, workflow_id=workflow_id, run_id=call.params.get("run_id"),
                request_id=request_id, update_name=name, arguments=arguments,
            )
        )  # fmt: skip
        body |= {"update_id": reply["update_id"], "retained": bool(reply.get("retained", False))}
        if wait_for == "accepted":
            return 202, body | {"update_status": "accepted", "outcome": None}
        outcome = await self._connection.dispatch(
            AwaitUpdate(
                namespace=call.namespace, workflow_id=workflow_id, run_id=reply.get("run_id"),
                update_id=reply["update_id"], timeout_s=10.0 if wait_s is None else wait_s,
            )
        )  # fmt: skip
        if outcome["status"] == "completed":
            return 200, body | {
                "outcome": "update_completed", "update_status": "completed",
                "result": plain(outcome.get("result")), "result_envelope": outcome.get("result"),
            }  # fmt: skip
        if outcome["status"] == "failed":
            failure = outcome.get("failure") or {}
            message = failure.get("message") or "the update failed"
            return 422, body | {
                "outcome": "update_failed", "update_status": "failed", "failure_message": message,
                "failure_id": reply["update_id"], "message": message, "reason": "update_failed",
            }  # fmt: skip
        return 202, body | {"update_status": "accepted", "outcome": None, "wait_timed_out": True}

    async def cancel(self, call: Call) -> tuple[int, dict[str, Any]]:
        if cancels_cooperatively(self._connection, call.namespace):
            fields = Fields(call.body)
            reason = fields.text("reason", longest=1_000)
            fields.check()
            run_of(self._connection, call)
            try:
                return await ask_to_cancel(self._connection, call, reason)
            except (Conflict, NotSupported) as error:
                # Nobody could tell the workflow, or it has no code to be told: it is cancelled as anywhere else.
                if isinstance(error, Conflict) and error.details.get("reason") != "cooperative_cancellation_unavailable":
                    raise
        return await self._stop(call, StopMode.GRACEFUL, "cancelled")

    async def terminate(self, call: Call) -> tuple[int, dict[str, Any]]:
        return await self._stop(call, StopMode.KILL, "terminated")

    async def _stop(self, call: Call, mode: StopMode, outcome: str) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        reason, request_id = fields.text("reason", longest=1_000), fields.text("request_id")
        fields.check()
        view = run_of(self._connection, call)
        command = StopRun(
            namespace=call.namespace, workflow_id=view.run.workflow_id, run_id=call.params.get("run_id"),
            request_id=request_id, mode=mode, reason=reason,
        )  # fmt: skip
        reply = await self._connection.dispatch(command)
        return 200, {
            "workflow_id": view.run.workflow_id,
            "run_id": view.run.run_id,
            "workflow_type": type_name(view.run),
            "outcome": outcome,
            "command_status": "accepted",
            "command_id": (reply or {}).get("command_id"),
        }

