"""The store against a dictionary: any order of commits, refusals, crashes and restarts."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crash.contents import contents
from crash.vfs import FaultyVFS, FullAfter, Trace, write_image
from triplane.entities import Job, Rows, Run, RunDetail, Task, TaskKey, Timer, evolve
from triplane.errors import StorageFull
from triplane.events import Event
from triplane.store.interface import Slice
from triplane.store.sqlite import SqliteStore, open_store

COLUMNS = (("n", "int"),)
NAMES = st.sampled_from("abcd")
WORKFLOWS = ("left", "right", "third")
PICKS = st.integers(0, 2)


@dataclass
class ModelRun:
    """What a run should be."""

    run: Run
    detail: RunDetail = field(default_factory=RunDetail)
    history: list[Event] = field(default_factory=list)
    tasks: dict[TaskKey, Task] = field(default_factory=dict)
    jobs: dict[tuple[str, str, int], Job] = field(default_factory=dict)
    timers: dict[str, Timer] = field(default_factory=dict)
    rows: int = 0
    seq: int = 0


class StoreModel(RuleBasedStateMachine):
    """Slices gather in a group; what the dictionary says must be in the store once the group is committed."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.incarnation = 0
        self.space = FullAfter(10**9)
        self.trace = Trace()
        self.vfs = FaultyVFS(self.trace, self.space)
        self.store: SqliteStore = open_store(self.directory / "0", vfs=self.vfs.name)
        self.runs: dict[str, ModelRun] = {}
        self.newest: dict[str, str] = {}
        self.group: list[Slice] = []
        self.cursor = self.committed_cursor = self.made = 0

    # ---- changes -----------------------------------------------------------------------------------------------------

    @initialize()
    def first_run(self) -> None:
        self.start_run(0)

    def add(self, model: ModelRun, change: Slice) -> None:
        self.cursor += 1
        model.run = evolve(model.run, cursor=self.cursor, history_length=len(model.history))
        change.run, change.cursor = model.run, self.cursor
        self.group.append(change)

    def event(self, model: ModelRun, name: str) -> list[Event]:
        event = Event(len(model.history) + 1, float(self.made), name, "durable", "ann", {"text": name * 40})
        model.history.append(event)
        return [event]

    def open_models(self) -> list[ModelRun]:
        return [model for model in self.runs.values() if model.run.is_open]

    def any_open(self) -> bool:
        return bool(self.open_models())

    def chosen(self, pick: int) -> ModelRun:
        models = self.open_models()
        return models[pick % len(models)]

    @precondition(lambda self: len(self.open_models()) < len(WORKFLOWS))
    @rule(pick=PICKS)
    def start_run(self, pick: int) -> None:
        busy = {model.run.workflow_id for model in self.open_models()}
        free = [workflow_id for workflow_id in WORKFLOWS if workflow_id not in busy]
        workflow_id = free[pick % len(free)]
        previous = self.runs.get(self.newest.get(workflow_id, ""))
        self.made += 1
        run_id = f"{self.made:08x}"
        number = previous.run.run_number + 1 if previous is not None else 1
        model = ModelRun(Run("default", workflow_id, run_id, number, "durable", "T", "q", "running", 1.0, 1.0))
        self.runs[run_id], self.newest[workflow_id] = model, run_id
        model.detail = RunDetail(input={"made": self.made})
        self.add(model, Slice(opened=True, detail=model.detail, events=self.event(model, "RunStarted")))

    @precondition(any_open)
    @rule(pick=PICKS, name=NAMES, state=st.sampled_from(["waiting", "running"]), submit=st.integers(0, 2))
    def step(self, pick: int, name: str, state: str, submit: int) -> None:
        model = self.chosen(pick)
        old = model.tasks.get(("1", name))
        model.seq += 1
        task = Task("1", name, old.seq if old else model.seq, state, float(self.made), submit_num=submit, data={"x": state * 90})
        model.tasks[task.key] = task
        change = Slice(tasks=[task], events=self.event(model, "TaskReady"))
        if submit:
            old_job = model.jobs.get(("1", name, submit))
            model.seq += 1
            job = Job("1", name, submit, old_job.seq if old_job else model.seq, state, messages=("m",) * submit)
            model.jobs[job.key] = job
            change.jobs = [job]
        self.add(model, change)

    @precondition(any_open)
    @rule(pick=PICKS, name=NAMES)
    def prune(self, pick: int, name: str) -> None:
        model = self.chosen(pick)
        if ("1", name) not in model.tasks:
            return
        del model.tasks["1", name]
        model.jobs = {key: job for key, job in model.jobs.items() if key[:2] != ("1", name)}
        self.add(model, Slice(pruned=[("1", name)]))

    @precondition(any_open)
    @rule(pick=PICKS, name=NAMES, fire_at=st.none() | st.floats(0, 100))
    def set_timer(self, pick: int, name: str, fire_at: float | None) -> None:
        model = self.chosen(pick)
        timer = None if fire_at is None else Timer(name, fire_at, {"n": self.made})
        model.timers.pop(name, None)
        if timer is not None:
            model.timers[name] = timer
        self.add(model, Slice(timers={name: timer}))

    @precondition(any_open)
    @rule(pick=PICKS, count=st.sampled_from([0, 1, 3, 401]))
    def append_rows(self, pick: int, count: int) -> None:
        model = self.chosen(pick)
        rows = Rows("Values", COLUMNS, model.rows, tuple((model.rows + i,) for i in range(count)))
        model.rows += count
        self.add(model, Slice(rows=[rows]))

    @precondition(any_open)
    @rule(pick=PICKS)
    def close_run(self, pick: int) -> None:
        model = self.chosen(pick)
        model.run = evolve(model.run, status="completed", closed=5.0)
        model.timers.clear()
        model.detail = evolve(model.detail, output="done")
        self.add(model, Slice(closed=True, detail=model.detail, events=self.event(model, "WorkflowCompleted")))

    # ---- what happens to groups and disks ----------------------------------------------------------------------------

    @rule()
    def commit(self) -> None:
        self.store.writer.commit(self.group)
        self.group, self.committed_cursor = [], self.cursor

    @precondition(lambda self: self.group)
    @rule(writes=st.integers(0, 3))
    def the_disk_is_full_for_a_while(self, writes: int) -> None:
        before = contents(self.store)
        self.space.writes = writes
        try:
            self.store.writer.commit(self.group)
        except StorageFull:
            self.space.writes = 10**9
            assert contents(self.store) == before
        else:
            self.group, self.committed_cursor = [], self.cursor
        self.space.writes = 10**9

    @rule()
    def restart(self) -> None:
        self.commit()
        self.store.close()
        self.store = open_store(self.directory / str(self.incarnation), vfs=self.vfs.name)

    @rule(variant=st.sampled_from(["whole", "lost", "torn"]))
    def lose_power(self, variant: str) -> None:
        self.commit()
        image = self.trace.image(len(self.trace.operations), variant)
        self.store.close()
        self.incarnation += 1
        directory = self.directory / str(self.incarnation)
        write_image(image, directory)
        self.trace = Trace()
        self.vfs.trace = self.trace
        for name, content in image.items():
            self.trace.record_file(name, content)
        self.store = open_store(directory, vfs=self.vfs.name)

    # ---- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def the_store_holds_what_the_dictionary_says(self) -> None:
        assert self.store.last_cursor() == self.committed_cursor
        if self.group:
            return
        found: dict[str, Any] = contents(self.store)
        assert found["runs"].keys() == self.runs.keys()
        assert found["open"] == [run_id for run_id, model in self.runs.items() if model.run.is_open]
        for run_id, model in self.runs.items():
            parts = found["runs"][run_id]
            stored = parts["stored"]
            assert (stored.run, stored.detail) == (model.run, model.detail)
            assert stored.tasks == sorted(model.tasks.values(), key=lambda task: task.seq)
            assert stored.jobs == sorted(model.jobs.values(), key=lambda job: job.seq)
            assert {timer.timer_id: timer for timer in stored.timers} == model.timers
            assert parts["history"] == model.history
            if "Values" in parts["tables"]:
                assert parts["tables"]["Values"] == (COLUMNS, [(n, (n,)) for n in range(model.rows)])
            else:
                assert model.rows == 0
        for workflow_id, run_id in self.newest.items():
            assert self.store.runs.current_run_id("default", workflow_id) == run_id

    def teardown(self) -> None:
        assert self.store.check() == []
        self.store.close()
        self.vfs.unregister()
        shutil.rmtree(self.directory)


TestStoreModel = StoreModel.TestCase
TestStoreModel.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
