"""Streams against a model that is just a list: any order of appends, resends, reads, ends and crashes."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from triplane.commands import AppendMessage
from triplane.entities import Run, RunDetail, Stream
from triplane.errors import LimitReached, StreamClosed
from triplane.payloads import decode
from triplane.store.interface import Slice
from triplane.store.sqlite import open_store
from triplane.streams.log import Append, Change, Consume, End, Expire, StreamLog, decide, take
from unit.durable_engine.harness import DurableRun, activity

RUN, MOST, PENDING = "r1", 12, 6
NAMES = ("a", "b")


@st.composite
def changes(draw: st.DrawFn) -> Change:
    kind = draw(st.sampled_from(["append"] * 6 + ["consume", "consume", "end", "expire"]))
    if kind == "append":
        keys = draw(st.lists(st.sampled_from([None, "k1", "k2", "k3", "k4"]), min_size=1, max_size=4))
        items = [{"payload": number, **({"idempotency_key": key} if key else {})} for number, key in enumerate(keys)]
        return Append(items, draw(st.sampled_from([None, PENDING])), "client", "somebody")
    if kind == "consume":
        return Consume(draw(st.integers(0, 20)))
    if kind == "end":
        return End(draw(st.sampled_from([None, "why"])), draw(st.sampled_from([None, 5])))
    return Expire()


class Model:
    """One stream, as anybody would write it down."""

    def __init__(self) -> None:
        self.status, self.keys, self.first, self.consumed = "open", [], 0, 0
        self.expires: float | None = None

    def does(self, change: Change, now: float) -> Any:
        """What must come of a change: an error's type, or the offsets answered."""
        match change:
            case Append():
                offsets: list[int] = []
                keys = list(self.keys)
                for item in change.items:
                    key = item.get("idempotency_key")
                    known = [at for at, each in enumerate(keys) if key is not None and each == key and at >= self.first]
                    offsets.append(known[0] if known else len(keys))
                    if not known:
                        keys.append(key)
                new = len(keys) - len(self.keys)
                if new and self.status != "open":
                    return StreamClosed
                if new and change.max_pending is not None and len(keys) - self.consumed > change.max_pending:
                    return LimitReached
                if new and len(keys) - self.first > MOST:
                    return LimitReached
                self.keys = keys
                return offsets
            case Consume():
                self.consumed = max(self.consumed, min(change.through, len(self.keys)))
            case End():
                wanted = "errored" if change.error_reason else "closed"
                if self.status not in ("open", wanted):
                    return StreamClosed
                if self.status == "open":
                    self.status = wanted
                    self.expires = now + change.retention_s if change.retention_s else None
            case Expire():
                if self.expires is not None and self.expires <= now:
                    self.first = self.consumed = len(self.keys)
                    self.expires = None
        return None


@given(st.lists(st.tuples(st.sampled_from(NAMES), changes(), st.booleans()), max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_stream_on_disk_is_what_its_changes_add_up_to(steps: list[tuple[str, Change, bool]]) -> None:
    with TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        run = Run("default", "w", RUN, 1, "durable", "flow", "q", "running", 1.0, 1.0)
        store.writer.commit([Slice(cursor=1, run=run, opened=True, detail=RunDetail())])
        models = {name: Model() for name in NAMES}
        logs: dict[str, StreamLog] = {}
        group: list[Slice] = []
        for now, (name, change, is_crash) in enumerate(steps):
            if isinstance(change, (Consume, Expire)) and name not in logs:
                continue
            expected = models[name].does(change, float(now))
            try:
                outcome = decide(logs.get(name), RUN, name, change, float(now), MOST)
            except (StreamClosed, LimitReached) as error:
                assert type(error) is expected
                continue
            if isinstance(change, Append):
                assert outcome.reply["accepted_offsets"] == expected
            take(logs, outcome)
            group.append(Slice(streams=(outcome,)))
            if is_crash:
                # What was committed is all that is left, and enough to go on from.
                store.writer.commit(group)
                group = []
                logs = {s.name: StreamLog(s, store.streams.keys(RUN, s.name)) for s in store.streams.of_run(RUN)}
        if group:
            store.writer.commit(group)
        for stream in store.streams.of_run(RUN):
            agrees(models[stream.name], stream, [item.key for item in store.streams.read(RUN, stream.name, 0, 1_000)])
        store.close()


def agrees(model: Model, stream: Stream, stored: list[str | None]) -> None:
    assert (stream.status, stream.total, stream.first, stream.consumed) == (
        model.status, len(model.keys), model.first, model.consumed,
    )  # fmt: skip
    assert stored == model.keys[model.first :]


@given(st.lists(st.sampled_from(["append", "append", "append", "again", "lease", "complete", "crash"]), max_size=40))
@settings(max_examples=200, deadline=None)
def test_messages_are_told_once_and_in_order_whatever_happens_between_them(steps: list[str]) -> None:
    run = DurableRun()
    sent: dict[str, int] = {}
    task: dict[str, Any] | None = None

    def append(message_id: str) -> Any:
        return run.send(AppendMessage(workflow_id="w", stream_name="in", message_id=message_id, arguments=[message_id]))

    for step in steps:
        if step == "append":
            message_id = f"m-{len(sent)}"
            reply = append(message_id)
            assert (reply["position"], reply["outcome"]) == (len(sent) + 1, "accepted")
            sent[message_id] = reply["position"]
        elif step == "again" and sent:
            message_id = f"m-{len(sent) // 2}"
            reply = append(message_id)
            assert (reply["position"], reply["outcome"]) == (sent[message_id], "duplicate")
        elif step == "lease" and task is None:
            task = run.lease()
        elif step == "complete" and task is not None:
            run.complete(task, activity())
            task = None
        elif step == "crash":
            run.restart()
    if task is not None:
        run.complete(task, activity())
    while run.offered("workflow"):
        run.do(activity())
    told = [decode(e.data["arguments"]["blob"])[0] for e in run.state.history if e.data.get("stream_name") == "in"]
    assert {message["message_id"]: message["position"] for message in told} == sent
    assert [message["position"] for message in told] == sorted(sent.values())
