"""Requests of the durable wire and their answers, status by status."""

import asyncio

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triplane.payloads import decode, encode, envelope
from triplane.queries import ReadAudit
from triplane_durable.config import DurableConfig
from triplane_durable.contract import cluster_info, control_plane
from triplane_durable.routes import ROUTES, find_route


async def started(wire, workflow_id="w", **fields):
    response = await wire.send("POST", "workflows", {"workflow_id": workflow_id, "workflow_type": "t", "task_queue": "q", **fields})
    assert response.status == 201, response.body
    return response.body


async def registered(wire, worker_id="worker", **fields):
    body = {"worker_id": worker_id, "task_queue": "q", "runtime": "python", **fields}
    response = await wire.send("POST", "worker/register", body)
    assert response.status == 201, response.body


async def poll(wire, kind="workflow", timeout=5, worker_id="worker", **fields):
    body = {"worker_id": worker_id, "task_queue": "q", "timeout_seconds": timeout, **fields}
    response = await wire.send("POST", f"worker/{kind}-tasks/poll", body)
    assert response.status == 200, response.body
    return response.body["task"]


async def complete(wire, task, *commands):
    lease = {"lease_owner": task["lease_owner"], "workflow_task_attempt": task["workflow_task_attempt"]}
    return await wire.send("POST", f"worker/workflow-tasks/{task['task_id']}/complete", {**lease, "commands": list(commands)})


ACTIVITY = {"type": "schedule_activity", "activity_type": "a", "arguments": envelope([1]), "queue": "q"}
DONE = {"type": "complete_workflow", "result": envelope({"n": 1})}


async def test_a_workflow_with_one_activity_goes_from_start_to_end(wire):
    begun = await started(wire, input=envelope(["x"]))
    assert begun["outcome"] == "started_new" and begun["control_plane"]["outcome"] == "started_new"
    await registered(wire)
    task = await poll(wire)
    assert task["task_kind"] == "workflow" and task["payload_codec"] == "avro" and decode(task["arguments"]["blob"]) == ["x"]
    assert task["history_events"][0]["event_type"] == "StartAccepted"
    assert task["lease_expires_at"].endswith("Z") and task["next_history_page_token"] is None
    assert (await complete(wire, task, ACTIVITY)).body["outcome"] == "completed"
    activity = await poll(wire, "activity")
    assert activity["activity_type"] == "a" and decode(activity["arguments"]["blob"]) == [1]
    attempt = {"activity_attempt_id": activity["activity_attempt_id"], "lease_owner": "worker"}
    beat = await wire.send("POST", f"worker/activity-tasks/{activity['task_id']}/heartbeat", attempt)
    assert beat.body["can_continue"] is True and beat.body["cancel_requested"] is False
    ended = await wire.send("POST", f"worker/activity-tasks/{activity['task_id']}/complete", {**attempt, "result": envelope(5)})
    assert ended.status == 200 and ended.body["recorded"] is True
    again = await wire.send("POST", f"worker/activity-tasks/{activity['task_id']}/complete", {**attempt, "result": envelope(5)})
    assert again.status == 409 and again.body["reason"] in ("stale_attempt", "task_not_leased")
    task = await poll(wire)
    assert (await complete(wire, task, DONE)).body["run_status"] == "completed"
    described = (await wire.send("GET", "workflows/w")).body
    assert described["status"] == "completed" and described["output"] == {"n": 1} and described["input"] == ["x"]
    history = (await wire.send("GET", f"workflows/w/runs/{begun['run_id']}/history?page_size=2")).body
    assert len(history["events"]) == 2 and history["next_page_token"] == "2"
    names = [e["event_type"] for e in (await wire.send("GET", f"workflows/w/runs/{begun['run_id']}/history?page_size=1000")).body["events"]]
    assert names[-1] == "WorkflowCompleted" and "ActivityCompleted" in names
    assert [e["sequence"] for e in history["events"]] == [1, 2]
    late = await complete(wire, task, DONE)
    assert late.status == 409 and late.body["reason"] in ("run_closed", "task_not_leased", "run_already_closed")


async def test_a_poll_waits_for_work_and_a_repeat_gets_the_same_lease(wire):
    await registered(wire)
    waiting = asyncio.ensure_future(poll(wire, poll_request_id="p"))
    await asyncio.sleep(0)
    await started(wire)
    task = await asyncio.wait_for(waiting, 5)
    assert (await poll(wire, poll_request_id="p"))["task_id"] == task["task_id"]
    assert await poll(wire, timeout=0, poll_request_id="other") is None


async def test_unregistered_and_misplaced_workers_are_told_how(wire):
    response = await wire.send("POST", "worker/workflow-tasks/poll", {"worker_id": "ghost", "task_queue": "q"})
    assert (response.status, response.body["reason"]) == (412, "worker_not_registered")
    await registered(wire)
    response = await wire.send("POST", "worker/workflow-tasks/poll", {"worker_id": "worker", "task_queue": "elsewhere"})
    assert (response.status, response.body["reason"]) == (409, "task_queue_mismatch")
    response = await wire.send("DELETE", "worker/registrations/worker")
    assert response.body["recovered_workflow_task_count"] == 0 and response.body["outcome"] == "deregistered"
    response = await wire.send("DELETE", "worker/registrations/worker")
    assert (response.status, response.body["reason"]) == (404, "worker_not_found")


@pytest.mark.parametrize("report", ["complete", "fail", "heartbeat"])
async def test_forged_leases_are_refused_with_a_fencing_reason(wire, report):
    await started(wire)
    await registered(wire)
    task = await poll(wire)
    body = {"commands": [DONE], "failure": {"message": "x"}}
    for owner, attempt, reason in (("thief", 1, "lease_owner_mismatch"), ("worker", 7, "workflow_task_attempt_mismatch")):
        response = await wire.send(
            "POST", f"worker/workflow-tasks/{task['task_id']}/{report}", {**body, "lease_owner": owner, "workflow_task_attempt": attempt}
        )
        assert (response.status, response.body["reason"]) == (409, reason)
    response = await wire.send(
        "POST", f"worker/workflow-tasks/wt-nobody-1/{report}", {**body, "lease_owner": "worker", "workflow_task_attempt": 1}
    )
    assert (response.status, response.body["reason"]) == (404, "task_not_found")
    assert (await complete(wire, task, DONE)).status == 200


async def test_a_signal_is_received_once_for_one_request_id(wire):
    await started(wire)
    first = await wire.send("POST", "workflows/w/signal/go", {"input": [1], "request_id": "r"})
    assert first.status == 202 and first.body["outcome"] == "signal_received" and first.body["retained"] is False
    again = await wire.send("POST", "workflows/w/signal/go", {"input": [1], "request_id": "r"})
    assert again.status == 202 and again.body["retained"] is True and again.body["command_id"] == first.body["command_id"]
    other = await wire.send("POST", "workflows/w/signal/go", {"input": [2], "request_id": "r"})
    assert (other.status, other.body["reason"], other.body["retained_command_type"]) == (409, "request_id_conflict", "signal")
    plane = first.body["control_plane"]
    assert plane["operation_name"] == "go" and plane["operation_name_field"] == "signal_name" and plane["workflow_id"] == "w"


async def test_an_update_is_accepted_then_completed_by_a_worker(wire):
    await started(wire)
    await registered(wire)
    task = await poll(wire)
    await complete(wire, task, {"type": "open_condition_wait", "condition_key": "k"})
    waiting = asyncio.ensure_future(
        wire.send("POST", "workflows/w/update/rename", {"input": envelope(["n"]), "wait_for": "completed", "request_id": "u"})
    )
    task = await poll(wire)
    assert task["workflow_update_id"]
    await complete(wire, task, {"type": "complete_update", "update_id": task["workflow_update_id"], "result": envelope("ok")})
    response = await asyncio.wait_for(waiting, 5)
    assert response.status == 200 and response.body["result"] == "ok" and response.body["update_status"] == "completed"


async def test_a_query_goes_to_a_worker_and_back(wire):
    await started(wire)
    nobody = await wire.send("POST", "workflows/w/query/how", {})
    assert (nobody.status, nobody.body["reason"]) == (409, "query_worker_unavailable")
    await registered(wire, supported_workflow_types=["t"])
    asking = asyncio.ensure_future(wire.send("POST", "workflows/w/query/how", {"input": envelope([])}))
    task = await poll(wire, "query")
    assert task["lease_owner"] == "worker" and task["query_task_attempt"] == 1 and task["task_queue"] == "q"
    lease = {"lease_owner": "worker", "query_task_attempt": 1}
    answer = {**lease, "result": None, "result_envelope": envelope("well")}
    await wire.send("POST", f"worker/query-tasks/{task['query_task_id']}/complete", answer)
    response = await asyncio.wait_for(asking, 5)
    assert response.status == 200 and response.body["result"] == "well" and response.body["query_name"] == "how"


async def test_reserved_names_steer_a_durable_run_without_a_worker(wire):
    await started(wire)
    assert (await wire.send("POST", "workflows/w/signal/triplane.pause", {})).status == 202
    assert (await wire.send("GET", "workflows/w")).body["wait_kind"] == "paused"
    tasks = await wire.send("POST", "workflows/w/query/triplane.tasks", {})
    assert tasks.status == 200 and tasks.body["result"] == []
    unknown = await wire.send("POST", "workflows/w/query/triplane.nosuch", {})
    assert (unknown.status, unknown.body["reason"]) == (404, "rejected_unknown_query")
    stopped = await wire.send("POST", "workflows/w/update/triplane.stop", {"input": ["kill"]})
    assert stopped.status == 200 and stopped.body["update_status"] == "completed"
    assert (await wire.send("GET", "workflows/w")).body["status"] == "terminated"


@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("terminate", "terminated")])
async def test_a_run_can_be_ended_once(wire, verb, status):
    await started(wire)
    response = await wire.send("POST", f"workflows/w/{verb}", {"reason": "enough"})
    assert response.status == 200 and response.body["outcome"] == status
    again = await wire.send("POST", f"workflows/w/{verb}", {})
    assert (again.status, again.body["reason"], again.body["control_plane"]["operation"]) == (409, "run_not_active", verb)
    view = (await wire.send("GET", "workflows/w")).body
    assert view["status"] == status and view["status_bucket"] == "failed"


async def test_lists_are_paged_by_bucket_newest_first(wire):
    for number in range(5):
        await started(wire, f"w{number}")
    await wire.send("POST", "workflows/w0/cancel", {})
    page = (await wire.send("GET", "workflows?status=running&page_size=3")).body
    assert [w["workflow_id"] for w in page["workflows"]] == ["w4", "w3", "w2"]
    rest = (await wire.send("GET", f"workflows?status=running&page_size=3&next_page_token={page['next_page_token']}")).body
    assert [w["workflow_id"] for w in rest["workflows"]] == ["w1"] and rest["next_page_token"] is None
    assert [w["workflow_id"] for w in (await wire.send("GET", "workflows?status=failed")).body["workflows"]] == ["w0"]
    assert (await wire.send("GET", "workflows?status=odd")).status == 422
    assert (await wire.send("GET", "workflows?page_size=201")).status == 422


async def test_a_start_may_take_the_place_of_an_open_run(wire):
    await started(wire)
    answer = await wire.send("POST", "workflows", {"workflow_id": "w", "workflow_type": "t", "duplicate_policy": "terminate_existing"})
    assert (answer.status, answer.body["outcome"]) == (201, "started_new")
    runs = (await wire.send("GET", "workflows/w/runs")).body["runs"]
    assert [run["status"] for run in runs] == ["terminated", "pending"] and runs[1]["run_id"] == answer.body["run_id"]


async def test_errors_have_the_contracts_reasons(wire):
    await started(wire)
    cases = [
        ("GET", "workflows/nobody", None, 404, "instance_not_found"),
        ("GET", "workflows/w/runs/none", None, 404, "run_not_found"),
        ("POST", "workflows/w/runs/none/signal/x", {}, 404, "run_not_found"),
        ("POST", "workflows", {"workflow_id": "w", "workflow_type": "t"}, 409, "duplicate_not_allowed"),
        ("POST", "workflows", {"workflow_id": "w", "workflow_type": "t", "duplicate_policy": "reject"}, 409, "duplicate_not_allowed"),
        ("POST", "workflows", {"workflow_id": "w", "workflow_type": "t", "duplicate_policy": "allow"}, 409, "duplicate_not_allowed"),
        ("POST", "workflows", {"workflow_id": "w", "workflow_type": "t", "duplicate_policy": "replace"}, 422, "validation_failed"),
        ("POST", "workflows", {}, 422, "validation_failed"),
        ("POST", "workflows", {"workflow_id": "a/b", "workflow_type": "t"}, 422, "validation_failed"),
        ("POST", "workflows", {"workflow_type": 5, "priority": "high", "memo": 3}, 422, "validation_failed"),
        ("POST", "workflows", b"{", 422, "validation_failed"),
        ("POST", "workflows", b"[" * 2000, 422, "validation_failed"),
        ("POST", "workflows", b'{"memo":' + b'{"a":' * 150 + b"1" + b"}" * 151, 413, "payload_too_large"),
        ("POST", "nonsense", {}, 404, "route_not_found"),
    ]  # fmt: skip
    for method, path, body, status, reason in cases:
        response = await wire.send(method, path, body)
        assert (response.status, response.body["reason"]) == (status, reason), (path, body, response.body)
        if status == 422:
            assert response.body["errors"] == response.body["validation_errors"]
    every = (await wire.send("POST", "workflows", {"workflow_type": 5, "priority": "high", "memo": 3})).body["errors"]
    assert set(every) == {"workflow_type", "priority", "memo"}


async def test_versions_and_namespaces_are_checked_in_the_contracts_order(wire):
    for headers, status, reason in (
        ({}, 400, "missing_control_plane_version"),
        ({"x-durable-workflow-control-plane-version": "3", "x-namespace": "nowhere"}, 400, "unsupported_control_plane_version"),
        ({"x-durable-workflow-control-plane-version": "2", "x-namespace": "nowhere"}, 404, "namespace_not_found"),
        ({"x-durable-workflow-control-plane-version": "2", "x-namespace": "DEFAULT"}, 200, None),
    ):
        response = await wire.send("GET", "workflows", headers=headers)
        assert (response.status, response.body.get("reason")) == (status, reason)
        assert response.headers["X-Durable-Workflow-Control-Plane-Version"] == "2"
    for version, status in (("1.0", 404), ("1.20", 404), ("1.21", 400), ("2.0", 400), ("1.x", 400), (None, 400)):
        headers = {} if version is None else {"x-durable-workflow-protocol-version": version}
        response = await wire.send("POST", "worker/heartbeat", {"worker_id": "w"}, headers)
        assert response.status == status and "error" in response.body


def test_every_response_of_a_workflow_route_says_what_the_cli_demands():
    for _, path, route in ROUTES:
        if not path.startswith("workflows") or path.endswith("/history/export"):
            continue
        assert route.operation is not None, path
        body = control_plane(route.operation, {"outcome": "x"}, "w", "n")
        assert body["contract"]["legacy_fields"] and body["operation"] == route.operation


def test_cluster_info_has_every_key_a_worker_needs():
    info = cluster_info(DurableConfig(), 0.0)
    assert info["worker_protocol"]["version"] == "1.20" and info["control_plane"]["version"] == "2"
    assert info["control_plane"]["request_contract"]["operations"]["update"]["fields"]["wait_for"]["canonical_values"]
    capabilities = info["worker_protocol"]["server_capabilities"]
    assert capabilities["query_tasks"] is True and capabilities["cooperative_cancellation"] is True
    assert not {"activity_lease_renewal", "query_task_authority", "sticky_execution", "observability_context"} & set(capabilities)


def test_every_route_is_found_by_its_own_path():
    for method, path, route in ROUTES:
        segments = tuple(p.strip("{}") for p in path.split("/"))
        assert find_route(method, segments)[0] == route
    assert find_route("PATCH", ("workflows",)) == (None, {"path": "workflows"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "workflow_id", "workflow_type", "task_queue", "input", "memo", "search_attributes", "priority", "request_id", "reason",
    "wait_for", "wait_timeout_seconds", "duplicate_policy", "worker_id", "runtime", "supported_workflow_types", "lease_owner",
    "workflow_task_attempt", "query_task_attempt", "activity_attempt_id", "commands", "failure", "result", "timeout_seconds",
    "poll_request_id", "next_history_page_token", "build_id", "details", "result_envelope",
]  # fmt: skip


@given(st.sampled_from(ROUTES), st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6) | json_values, st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_body_is_ever_answered_with_a_500(wire, entry, body, data):
    method, path, _ = entry
    names = {
        "workflow_id": ["w", "nobody"], "run_id": ["r"], "name": ["go", "triplane.tasks", "triplane.stop"],
        "task_id": ["t", "wt-x-1"], "worker_id": ["worker"],
    }  # fmt: skip
    other = ["default", "..", "é x"]
    segments = [data.draw(st.sampled_from(names.get(p.strip("{}"), other))) if p[0] == "{" else p for p in path.split("/")]
    if isinstance(body, dict) and "poll" in path:
        body["timeout_seconds"] = 0
    if isinstance(body, dict):
        body.pop("wait_timeout_seconds", None)
    response = await asyncio.wait_for(wire.send(method, "/".join(segments), body), 10)
    assert response.status < 500, response.body
    assert isinstance(response.body, dict) and orjson.loads(response.encode())


def test_the_encoder_is_the_one_the_workers_decode():
    assert decode(encode({"a": 1})) == {"a": 1}


async def test_what_workers_do_is_in_the_audit_log_under_their_own_commands(wire):
    await started(wire)
    await registered(wire)
    await complete(wire, await poll(wire), ACTIVITY)
    activity = await poll(wire, "activity")
    attempt = {"activity_attempt_id": activity["activity_attempt_id"], "lease_owner": "worker"}
    await wire.send("POST", f"worker/activity-tasks/{activity['task_id']}/heartbeat", attempt)
    await wire.send("POST", f"worker/activity-tasks/{activity['task_id']}/complete", {**attempt, "result": envelope(5)})
    await wire.send("DELETE", "worker/registrations/worker")
    lines = wire.connection.query(ReadAudit())
    assert [line["command"] for line in reversed(lines)] == [
        "start_run", "register_worker", "complete_workflow_task", "complete_activity", "deregister_worker",
    ]  # fmt: skip
    assert {line["principal"] for line in lines} == {"local"} and lines[1]["workflow_id"] == "w"
