"""Output streams that a workflow appends to: part of its task's completion, all of it or nothing."""

from typing import Any

import pytest

from triplane.commands.runs import StopMode, StopRun
from triplane.commands.streams import ChangeStream
from triplane.engines.durable.outputs import read_items
from triplane.errors import InvalidFields, LimitReached, StreamClosed
from triplane.payloads import envelope
from triplane.streams.log import Append, Consume, End
from unit.durable_engine.harness import DurableRun, complete


def stream(operation: str, name: str = "out", *values: Any, ordinal: int = 0, **fields: Any) -> dict[str, Any]:
    """A stream command as the SDK makes it."""
    directive = {"operation": operation, "stream_name": name, "command_identity": "wt-1", "command_ordinal": ordinal, **fields}
    if operation == "append":
        directive["items"] = [
            {"payload": envelope(each), "payload_codec": "avro", "idempotency_key": f"dw-stream:wt-1:{ordinal}:{index}"}
            for index, each in enumerate(values)
        ]
    return {"type": "record_side_effect", "result": envelope(None)["blob"], "workflow_stream": directive}


def items(run: DurableRun, name: str = "out") -> list[Any]:
    return [item.body["payload"] for item in run.appended if item.stream == name]


def change(run: DurableRun, wanted: Any, name: str = "out") -> Any:
    return run.send(ChangeStream(workflow_id="w", stream_name=name, change=wanted))


def client(*values: Any, key: str | None = None, most: int | None = None) -> Append:
    given = [{"payload": value, **({"idempotency_key": key} if key else {})} for value in values]
    return Append(read_items(given, 1_000), most, "client", "somebody")


def test_a_task_appends_and_closes_in_the_order_of_its_commands():
    run = DurableRun()
    run.do(stream("append", "out", 1, 2), stream("append", "out", 3, ordinal=1), stream("close", ordinal=2, retention_seconds=60))
    head = run.state.streams["out"].stream
    assert (head.status, head.total, head.retention_s) == ("closed", 3, 60)
    assert items(run) == [envelope(1), envelope(2), envelope(3)]
    effects = [e.data for e in run.state.history if e.name == "SideEffectRecorded"]
    assert [e["sequence"] for e in effects] == [1, 2, 3]
    assert effects[1]["workflow_stream"] == {"operation": "append", "stream_name": "out", "offsets": [2]}


def test_nothing_of_a_task_happens_where_one_of_its_commands_is_refused():
    run = DurableRun()
    task = run.lease()
    with pytest.raises(StreamClosed):
        run.complete(task, stream("append", "out", 1), stream("error", ordinal=1, error_reason="x"), stream("append", "out", 2, ordinal=2))
    assert run.state.streams == {} and run.events == ["StartAccepted", "WorkflowStarted"]
    run.complete(task, stream("append", "out", 1))
    assert run.state.streams["out"].stream.total == 1


@pytest.mark.parametrize(
    "directive",
    [
        {"operation": "grow"}, {"stream_name": ""}, {"stream_name": None}, {"items": []}, {"items": [5]},
        {"items": [{"payload_codec": "avro"}]},
        {"items": [{"payload": 1, "idempotency_key": 5}]}, {"max_pending_items": 0}, {"operation": "close", "retention_seconds": "long"},
        {"operation": "error"}, {"items": [{"payload": 1}] * 501},
    ],
)  # fmt: skip
def test_what_is_no_stream_command_is_refused_by_field(directive):
    run = DurableRun()
    command = stream("append", "out", 1)
    command["workflow_stream"] |= directive
    with pytest.raises(InvalidFields, match=r"commands\.0\.workflow_stream"):
        run.do(command)


def test_a_key_is_appended_once_whoever_comes_with_it():
    run = DurableRun()
    run.do(stream("append", "out", 1))
    again = change(run, client("other", key="dw-stream:wt-1:0:0"))
    assert (again["accepted_offsets"], again["accepted"], again["deduped"]) == ([0], 0, 1)
    new = change(run, client(1, 2, key="k"))
    assert (new["accepted_offsets"], new["accepted"], new["deduped"]) == ([1, 1], 1, 1)
    change(run, End())
    assert change(run, client("late", key="k"))["deduped"] == 1
    with pytest.raises(StreamClosed):
        change(run, client("late"))


def test_what_no_reader_took_is_bounded_and_reading_makes_room():
    run = DurableRun(settings={"max_stream_items": 4, "max_streams": 2})
    change(run, client(1, 2, most=2))
    with pytest.raises(LimitReached, match="wait for a reader"):
        change(run, client(3, most=2))
    change(run, Consume(1))
    assert change(run, client(3, most=2))["stream"].total == 3
    with pytest.raises(LimitReached, match="max_stream_items"):
        change(run, client(4, 5))
    change(run, End(), name="second")
    with pytest.raises(LimitReached, match="max_streams"):
        change(run, End(), name="third")


def test_a_run_that_ends_badly_takes_its_open_streams_along_and_one_that_completes_does_not():
    run = DurableRun()
    run.do(stream("append", "out", 1), stream("append", "done", 1, ordinal=1), stream("close", "done", ordinal=2))
    run.send(StopRun(workflow_id="w", mode=StopMode.KILL))
    heads = {name: log.stream for name, log in run.state.streams.items()}
    assert (heads["out"].status, heads["out"].error_reason) == ("errored", "the run was closed: terminated")
    assert heads["done"].status == "closed"
    other = DurableRun()
    other.do(stream("append", "out", 1), complete())
    assert other.state.streams["out"].stream.status == "open"


def test_ending_twice_is_once_and_ending_otherwise_is_a_conflict():
    run = DurableRun()
    first = change(run, End(retention_s=5))["stream"]
    assert change(run, End())["stream"] == first
    with pytest.raises(StreamClosed):
        change(run, End(error_reason="late"))
