"""A long script of slices that touches every table, as engines would make them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from triplane.entities import (
    BuildRollout,
    CommandContract,
    Job,
    Namespace,
    Rows,
    Run,
    RunDetail,
    Task,
    Timer,
    Worker,
    WorkerSession,
    evolve,
)
from triplane.events import Event
from triplane.schedules.entities import Schedule, ScheduledStart, ScheduleEvent
from triplane.store.interface import AuditRecord, RequestRecord, Slice

COLUMNS = (("step", "int"), ("name", "str"))
START = 1_800_000_000.0


@dataclass
class Script:
    """Makes slices for a few runs, in order; the same every time."""

    runs: int = 4
    _runs: dict[str, Run] = field(default_factory=dict)
    _cursor: int = 0

    def slices(self, count: int) -> Iterator[Slice]:
        """`count` slices; runs are opened first, then stepped in turn, the last ones closed and continued."""
        for number in range(count):
            workflow_id = f"flow-{number % self.runs}"
            run = self._runs.get(workflow_id)
            self._cursor += 1
            if run is None or run.closed is not None:
                yield self._open(workflow_id, number, run)
            elif number % 17 == 16:
                yield self._close(run, number)
            else:
                yield self._step(run, number)

    def _open(self, workflow_id: str, number: int, previous: Run | None) -> Slice:
        run = Run(
            "default", workflow_id, f"{number:032x}", previous.run_number + 1 if previous else 1, "durable", "Order", "main",
            "running", START + number, START + number, data={"step": 0},
        )  # fmt: skip
        worker = Worker("default", f"worker-{number}", "main", START, START + number, {"slots": number})
        change = self._slice(run, number, ["RunStarted"])
        change.opened, change.detail, change.workers = True, RunDetail(input=["é" * 300, number]), [worker]
        change.rollouts = [BuildRollout("default", "main", f"build-{number % 3}", START + number, None, number % 2 == 0)]
        change.sessions = [WorkerSession("default", f"session-{number}", "main", f"worker-{number}", START, 60.0, START + 60, START + 600)]
        change.contracts = [CommandContract("default", "main", f"type-{number % 2}", ("go",), None, (f"update-{number}",))]
        change.removed_sessions = [("default", f"session-{number - 3}")]
        change.schedules, change.schedule_events = [self._schedule(number)], self._schedule_events(number)
        change.forgotten_schedule_events = [("default", f"schedule-{number % 2}", number - 8)]
        change.tasks = [Task("1", "first", 1, "waiting", START + number)]
        change.timers = {"due": Timer("due", START + 60, {"of": number})}
        return change

    def _schedule(self, number: int) -> Schedule:
        start = ScheduledStart(number, f"flow-{number}", START, "timer", START + number)
        action = {"engine": "durable", "workflow_type": "Order"}
        spec = {"intervals": [{"every": "PT1H"}]}
        return Schedule("default", f"schedule-{number % 2}", spec, action, fires=number, pending=(start,), recent=({"fill": "f" * 200},))

    def _schedule_events(self, number: int) -> list[ScheduleEvent]:
        data = {"fire_time": START, "fill": "f" * 200}
        return [ScheduleEvent("default", f"schedule-{number % 2}", number + 1, START + number, "ScheduleTriggered", data, "flow", "run")]

    def _step(self, run: Run, number: int) -> Slice:
        name = f"task-{number % 3}"
        change = self._slice(run, number, ["TaskReady", "JobSubmitted"])
        change.tasks = [Task("1", name, 10 + number, "running", START + number, submit_num=1, detail={"title": "x" * 900})]
        change.jobs = [Job("1", name, 1, 10 + number, "running", "queue:main", f"job-{number}", START, None, None, ("said",))]
        change.timers = {"due": None, f"t-{number % 2}": Timer(f"t-{number % 2}", START + number)}
        if number % 5 == 4:
            change.pruned = [("1", f"task-{(number + 1) % 3}")]
        first = run.history_length
        change.rows = [Rows("Values", COLUMNS, first, tuple((first + i, "v") for i in range(2)))]
        if number % 7 == 6:
            change.checkpoint = bytes([number]) * 5_000
            change.namespaces = [Namespace(f"ns-{number}", created=START, updated=START)]
        return change

    def _close(self, run: Run, number: int) -> Slice:
        run = evolve(run, status="completed", closed=START + number)
        change = self._slice(run, number, ["WorkflowCompleted"])
        change.closed, change.detail = True, RunDetail(output={"done": number})
        return change

    def _slice(self, run: Run, number: int, names: list[str]) -> Slice:
        length = run.history_length
        data = {"n": number, "fill": "f" * 200}
        events = [Event(length + i, START + number, name, "durable", "local", data) for i, name in enumerate(names, 1)]
        run = evolve(run, history_length=length + len(events), updated=START + number, cursor=self._cursor)
        self._runs[run.workflow_id] = run
        audit = AuditRecord(
            START + number, "durable", "127.0.0.1", "local", run.namespace, "step", run.workflow_id, run.run_id, f"r-{number}",
            "accepted", {"number": number},
        )  # fmt: skip
        request = RequestRecord("local", "default", f"r-{number}", b"d" * 16, "step", b"reply", START + number)
        return Slice(cursor=self._cursor, run=run, events=events, audit=[audit], request=request)
