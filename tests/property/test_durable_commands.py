"""Whatever JSON a worker sends as commands or failures: it is refused as what it is, or applied, and never breaks the run."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from triplane.engines.durable.reading import READERS
from triplane.errors import GatewayError
from triplane.payloads import envelope
from unit.durable_engine.harness import DurableRun, activity, call, child, complete, condition, timer

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=True), st.text(max_size=8),
        st.sampled_from([envelope(1), envelope({"a": 1}), {"codec": "avro", "blob": "AAAA"}, {"codec": "avro", "external_storage": {}}]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
FIELDS = (
    "activity_type", "arguments", "queue", "retry_policy", "start_to_close_timeout", "schedule_to_start_timeout",
    "schedule_to_close_timeout", "heartbeat_timeout", "worker_session", "delay_seconds", "result", "workflow_stream",
    "change_id", "version", "min_supported", "max_supported", "attributes", "entries", "condition_key",
    "condition_definition_fingerprint", "timeout_seconds", "outcome", "attempts", "update_id", "message", "exception",
    "exception_type", "exception_class", "non_retryable", "workflow_type", "selection_group_id", "member_key",
    "member_index", "member_base_sequence", "member_size", "parallel_group_id", "parallel_group_path",
    "parallel_group_base_sequence", "parallel_group_size", "parallel_group_index", "parallel_group_mode",
    "selection_member_key", "selection_member_index", "selection_member_base_sequence", "selection_member_size",
    "selection_member_kind", "parent_close_policy", "cancellation_policy", "execution_timeout_seconds", "run_timeout_seconds",
    "endpoint_name", "service_name", "operation_name", "request_payload", "payload_codec", "mode_override", "wait_for",
    "wait_timeout_seconds", "idempotency_key", "namespace",
)  # fmt: skip
SANE: dict[str, dict[str, Any]] = {
    "schedule_activity": activity(),
    "start_timer": timer(1),
    "record_side_effect": {"type": "record_side_effect", "result": "x"},
    "record_version_marker": {"type": "record_version_marker", "change_id": "c", "version": 1, "min_supported": 1, "max_supported": 1},
    "upsert_search_attributes": {"type": "upsert_search_attributes", "attributes": {}},
    "upsert_memo": {"type": "upsert_memo", "entries": envelope({})},
    "open_condition_wait": condition(),
    "record_local_activity": {"type": "record_local_activity", "activity_type": "a", "outcome": "completed", "result": None},
    "cancel_selection_operation": {
        "type": "cancel_selection_operation", "selection_group_id": "g", "member_index": 0, "member_base_sequence": 1, "member_size": 1,
    },
    "start_child_workflow": child(),
    "start_service_operation": call(),
    "complete_update": {"type": "complete_update", "update_id": "u", "result": None},
    "fail_update": {"type": "fail_update", "update_id": "u", "message": "m"},
    "complete_workflow": complete(),
    "fail_workflow": {"type": "fail_workflow", "message": "m"},
    "continue_as_new": {"type": "continue_as_new", "arguments": envelope([])},
}  # fmt: skip


def test_every_command_that_is_carried_out_is_tried_here():
    assert SANE.keys() == READERS.keys()


@st.composite
def commands(draw):
    kind = draw(st.sampled_from(sorted(SANE)))
    command = dict(SANE[kind])
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=4)):
        command[field] = draw(JSON)
    if draw(st.booleans()):
        command.pop(draw(st.sampled_from(sorted(command))), None)
    return command


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(batch=[{"type": "record_side_effect", "result": "x", "outcome": None}], update=False)
@given(batch=st.lists(commands(), min_size=1, max_size=3), update=st.booleans())
def test_any_commands_are_refused_or_applied_whole(batch, update):
    run = DurableRun()
    run.do(activity(), timer(900))
    if update:
        run.update()
    else:
        run.signal()
    task = run.lease()
    before = len(run.events)
    try:
        run.complete(task, *batch)
    except GatewayError:
        assert len(run.events) == before and run.state.private.task.phase == "leased"
        run.fail(task)
    if run.state.run.is_open:
        run.restart()
        run.advance(1_000)
        assert [event.seq for event in run.state.history] == list(range(1, len(run.events) + 1))


@settings(max_examples=100, deadline=None)
@given(failure=st.dictionaries(st.sampled_from(["type", "message", "class", "code", "non_retryable", "details", "reason"]), JSON))
def test_any_failure_report_is_taken(failure):
    run = DurableRun()
    run.do(activity(retry_policy={"max_attempts": 2}), activity())
    for _ in range(2):
        task = run.lease("activity")
        message = failure.get("message", "m")
        run.break_(task, message, **{key: value for key, value in failure.items() if key != "message"})
    run.fail(run.lease(), failure.get("type", "Boom"))
    assert run.state.run.is_open


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, {1: 2}, object()])
def test_results_that_have_no_payload_form_are_refused(value):
    run = DurableRun()
    task = run.lease()
    with pytest.raises(GatewayError):
        run.complete(task, {"type": "complete_workflow", "result": value})
    run.complete(task, complete())
