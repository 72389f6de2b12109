"""Message streams in the engine: each message once, in order, bounded, and carried over to the next run."""

from typing import Any

import pytest

from triplane.commands import AppendMessage, SignalRun
from triplane.engines.base import RunState, Step
from triplane.engines.durable.messages import SIGNAL
from triplane.entities import RunDetail, evolve
from triplane.errors import InvalidFields, LimitReached
from triplane.payloads import decode, envelope
from unit.durable_engine.harness import RUN, DurableRun, activity, condition


def append(run: DurableRun, message_id: str, *arguments: Any, stream: str = "in") -> Any:
    return run.send(AppendMessage(workflow_id="w", stream_name=stream, message_id=message_id, arguments=list(arguments)))


def told(run: DurableRun) -> list[dict[str, Any]]:
    """What the worker reads of the streams, in history order."""
    return [decode(e.data["arguments"]["blob"])[0] for e in run.state.history if e.data.get("signal_name") == SIGNAL]


def test_a_message_is_the_signal_that_the_sdk_reads():
    run = DurableRun()
    run.do(condition())
    reply = append(run, "m-1", "a", 2)
    assert (reply["position"], reply["outcome"]) == (1, "accepted")
    assert told(run) == [
        {
            "schema": "durable-workflow.v2.message-stream.message", "stream_name": "in", "message_id": "m-1", "position": 1,
            "payload_envelope": envelope(["a", 2]),
        }
    ]  # fmt: skip


def test_the_same_id_is_appended_once_whether_recorded_waiting_or_read_back_after_a_crash():
    run = DurableRun()
    assert append(run, "m-1")["position"] == 1
    task = run.lease()
    assert append(run, "m-2")["position"] == 2
    again = append(run, "m-2")
    assert (again["position"], again["outcome"]) == (2, "duplicate")
    assert append(run, "m-1", stream="other")["position"] == 1
    run.restart()
    assert append(run, "m-2")["outcome"] == append(run, "m-1")["outcome"] == "duplicate"
    assert append(run, "m-3")["position"] == 3
    run.complete(task, condition())
    assert [(m["stream_name"], m["position"]) for m in told(run)] == [("in", 1), ("in", 2), ("other", 1), ("in", 3)]


def test_unread_messages_are_bounded_and_reading_makes_room():
    run = DurableRun(settings={"max_pending_messages": 2, "max_message_streams": 2})
    append(run, "1")
    append(run, "2")
    with pytest.raises(LimitReached, match="max_pending_messages"):
        append(run, "3")
    task = run.lease()
    run.complete(task, condition(), cursors={"in": 2})
    assert append(run, "3")["position"] == 3
    append(run, "1", stream="other")
    run.restart()
    with pytest.raises(LimitReached):
        append(run, "4")
    run.complete(run.lease(), condition("again"), cursors={"in": 3, "other": 1})
    with pytest.raises(LimitReached, match="max_message_streams"):
        append(run, "1", stream="third")


def test_a_reader_at_work_is_left_alone_until_it_waits_again():
    # The SDK cannot say "nothing new" for a workflow that has read a stream: it would sit on the task until its lease ends.
    run = DurableRun()
    append(run, "1")
    run.complete(run.lease(), activity(), cursors={"in": 1})
    append(run, "2")
    run.signal()
    assert run.offered("workflow") == []
    update_id = run.update()
    run.complete(run.lease(), {"type": "complete_update", "update_id": update_id, "result": envelope(1)}, cursors={"in": 1})
    assert run.offered("workflow") == []
    run.finish(run.lease("activity"))
    run.complete(run.lease(), condition(), cursors={"in": 2})
    append(run, "3")
    assert len(run.offered("workflow")) == 1


@pytest.mark.parametrize("cursors", [{"in": 2}, {"elsewhere": 0}])
def test_a_cursor_beyond_what_was_sent_changes_nothing(cursors):
    run = DurableRun()
    append(run, "1")
    task = run.lease()
    with pytest.raises(InvalidFields):
        run.complete(task, activity(), cursors=cursors)
    assert run.complete(task, activity())["run_status"] == "waiting"


def test_nobody_may_forge_a_message_by_the_reserved_signal():
    run = DurableRun()
    with pytest.raises(InvalidFields):
        run.send(SignalRun(workflow_id="w", signal_name=SIGNAL, arguments=[{}]))


def following(run: DurableRun, **report: Any) -> DurableRun:
    """The run that continues this one, as the core would begin it."""
    task = run.lease()
    late = report.pop("late", ())
    for message_id in late:
        append(run, message_id)
    ended: list[Step] = []
    engine_handle = run.engine.handle

    def handle(state: RunState, command: Any, step: Step) -> Any:
        ended.append(step)
        return engine_handle(state, command, step)

    run.engine.handle = handle  # type: ignore[method-assign]
    run.complete(task, {"type": "continue_as_new", "queue": "q"}, **report)
    start = ended[-1].changes.successor
    assert start is not None
    state = RunState(
        evolve(run.state.run, run_id="0190-next", run_number=2, closed=None, status="pending", history_length=0, data={}),
        RunDetail(options=start.options, memo=start.memo),
    )
    following = DurableRun()
    following.state = state
    step = Step(state, run.clock.now(), "test", "somebody")
    following.engine.start(state, start, {}, step)
    following._after(step)
    return following


def test_the_next_run_is_told_how_far_was_read_and_then_all_that_was_not():
    run = DurableRun()
    run.do(condition())
    for number in range(1, 5):
        append(run, f"m-{number}", number)
    new = following(run, cursors={"in": 2}, late=["m-5"])
    assert len(told(new)) == 1, "messages come after the first step, where the SDK finds them again on replay"
    new.do(condition())
    cursor, *messages = told(new)
    assert cursor == {"schema": "durable-workflow.v2.message-stream.cursor", "stream_name": "in", "through_position": 2}
    assert [(m["message_id"], m["position"]) for m in messages] == [("m-3", 3), ("m-4", 4), ("m-5", 5)]
    assert append(new, "m-1")["position"] == 1 and append(new, "m-4")["outcome"] == "duplicate"
    assert append(new, "m-6")["position"] == 6
    new.restart()
    assert append(new, "m-2")["position"] == 2 and append(new, "m-7")["position"] == 7
    assert RUN == run.state.run.run_id and run.state.run.closed_reason == "continued"
