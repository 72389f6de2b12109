"""Whatever an engine may keep comes back as it was."""

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crash.contents import rows_of
from triplane.entities import Job, Namespace, Rows, Run, RunDetail, Task, Timer, Worker
from triplane.events import Event
from triplane.store.filters import AuditFilter
from triplane.store.interface import AuditRecord, RequestRecord, Slice
from triplane.store.sqlite import open_store
from triplane.store.sqlite.codec import pack, unpack

TEXT = st.text(max_size=20)
TIMES = st.floats(0, 4e9)
MAYBE_TIME = st.none() | TIMES
NUMBERS = st.integers() | st.integers(-(2**70), 2**70)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False) | TEXT | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXT, PLAIN, max_size=4)
SMALL = st.integers(0, 1000)

RUNS = st.builds(
    Run,
    namespace=st.just("default"), workflow_id=TEXT.filter(bool), run_id=st.uuids().map(lambda u: u.hex), run_number=st.just(1),
    engine=TEXT, workflow_type=TEXT, task_queue=TEXT, status=TEXT, created=TIMES, updated=TIMES, status_message=TEXT,
    closed_reason=st.none() | TEXT, paused=st.booleans(), stopping=st.none() | TEXT, started=MAYBE_TIME, closed=st.none(),
    history_length=st.just(0), cursor=st.just(0), data=OBJECTS,
)  # fmt: skip
DETAILS = st.builds(
    RunDetail, input=PLAIN, output=PLAIN, memo=OBJECTS, search_attributes=OBJECTS, options=OBJECTS, definition=OBJECTS,
    parent=st.none() | OBJECTS,
)  # fmt: skip
TASKS = st.builds(
    Task, cycle=TEXT, name=TEXT, seq=SMALL, state=TEXT, updated=TIMES, is_held=st.booleans(), is_queued=st.booleans(),
    is_runahead=st.booleans(), submit_num=SMALL, flow_nums=TEXT, detail=OBJECTS, data=OBJECTS,
)  # fmt: skip
JOBS = st.builds(
    Job, cycle=TEXT, name=TEXT, submit_num=SMALL, seq=SMALL, state=TEXT, platform=TEXT, job_id=TEXT, submitted=MAYBE_TIME,
    started=MAYBE_TIME, finished=MAYBE_TIME, messages=st.lists(TEXT, max_size=3).map(tuple), data=OBJECTS,
)  # fmt: skip
TIMERS = st.builds(Timer, timer_id=TEXT, fire_at=TIMES, data=OBJECTS)
EVENTS = st.builds(Event, seq=st.just(0), time=TIMES, name=TEXT, wire=TEXT, principal=TEXT, data=OBJECTS)
WORKERS = st.builds(Worker, namespace=TEXT, worker_id=TEXT, task_queue=TEXT, registered=TIMES, heartbeat=TIMES, info=OBJECTS)
NAMESPACES = st.builds(Namespace, name=TEXT, description=TEXT, retention_days=SMALL, created=TIMES, updated=TIMES)
AUDITS = st.builds(
    AuditRecord, time=TIMES, wire=TEXT, peer=TEXT, principal=TEXT, namespace=TEXT, command=TEXT, workflow_id=TEXT, run_id=TEXT,
    request_id=TEXT, outcome=TEXT, summary=OBJECTS,
)  # fmt: skip
REQUESTS = st.builds(
    RequestRecord, principal=TEXT, namespace=TEXT, request_id=TEXT, digest=st.binary(min_size=16, max_size=16), command=TEXT,
    reply=st.binary(max_size=50), time=TIMES,
)  # fmt: skip
CELLS = PLAIN | st.uuids()


@given(value=PLAIN | st.dictionaries(st.integers(-5, 5) | TEXT, PLAIN) | st.text(st.characters(codec=None), max_size=5))
def test_any_plain_value_survives_packing(value: Any):
    assert unpack(pack(value)) == value


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_every_entity_comes_back_equal_also_after_a_restart(data: st.DataObject):
    run, detail = data.draw(RUNS), data.draw(DETAILS)
    tasks = data.draw(st.lists(TASKS, max_size=4, unique_by=(lambda t: t.key, lambda t: t.seq)))
    jobs = data.draw(st.lists(JOBS, max_size=4, unique_by=(lambda j: j.key, lambda j: j.seq))) if tasks else []
    timers = {timer.timer_id: timer for timer in data.draw(st.lists(TIMERS, max_size=3))}
    events = [Event(seq, e.time, e.name, e.wire, e.principal, e.data) for seq, e in enumerate(data.draw(st.lists(EVENTS, max_size=4)), 1)]
    columns = tuple(data.draw(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3)))
    cells = data.draw(st.lists(st.tuples(*[CELLS] * len(columns)), max_size=4))
    workers = data.draw(st.lists(WORKERS, max_size=3, unique_by=lambda w: (w.namespace, w.worker_id)))
    namespaces = data.draw(st.lists(NAMESPACES, max_size=3, unique_by=lambda n: n.name))
    audit, request, checkpoint = data.draw(st.lists(AUDITS, max_size=3)), data.draw(REQUESTS), data.draw(st.binary(max_size=30))
    run = Run(**{**run.__dict__, "history_length": len(events), "cursor": 7})
    change = Slice(
        cursor=7, run=run, opened=True, detail=detail, events=events, tasks=tasks, jobs=jobs, timers=timers,
        rows=[Rows("t", columns, 0, tuple(cells))], checkpoint=checkpoint, workers=workers, namespaces=namespaces, request=request,
        audit=audit,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        with closing(open_store(directory)) as store:
            store.writer.commit([change])
        with closing(open_store(Path(directory))) as store:
            stored = store.runs.load(run.run_id)
            assert stored is not None
            assert (stored.run, stored.detail) == (run, detail)
            assert stored.tasks == sorted(tasks, key=lambda t: t.seq)
            assert stored.jobs == sorted(jobs, key=lambda j: j.seq)
            assert {timer.timer_id: timer for timer in stored.timers} == timers
            assert stored.tables == [("t", columns, len(cells))]
            assert rows_of(store, run.run_id, "t", 0, 100) == list(enumerate(cells))
            assert store.histories.read(run.run_id, 0, 100) == events
            assert store.runs.checkpoint(run.run_id) == checkpoint
            assert {(w.namespace, w.worker_id): w for w in store.workers.all()} == {(w.namespace, w.worker_id): w for w in workers}
            assert {n.name for n in store.namespaces.all()} == {"default"} | {n.name for n in namespaces}
            assert {n.name: n for n in store.namespaces.all()}.items() >= {n.name: n for n in namespaces}.items()
            assert store.requests.find(request.principal, request.namespace, request.request_id) == request
            expected = [{name: getattr(line, name) for name in AuditRecord.__dataclass_fields__} for line in reversed(audit)]
            found = store.audit.read(AuditFilter(), 100)
            assert [{key: value for key, value in record.items() if key != "id"} for record in found] == expected
            assert store.runs.page(
                "default", engine=None, workflow_type=None, statuses=(), open=True, text=run.workflow_id[:1].lower(), limit=1, after=None
            ).runs in (((run, detail),), ())
