"""A run of the graph engine without a gateway: effects are noted, time stands still, jobs do what the test says."""

from collections import Counter, deque
from typing import Any

import msgpack

from triplane.commands import JobSubmitted, ReportJob, StartRun
from triplane.commands.base import RunCommand
from triplane.commands.system import ContinueStep, FireTimer, XtriggerAnswered
from triplane.effects import CallXtrigger, Dispatch, Effect, SubmitJob
from triplane.engines.base import MAX_TASKS_PER_STEP, RunState, Step
from triplane.engines.graph import GraphEngine
from triplane.engines.graph.definition.build import build_definition
from triplane.engines.graph.definition.plain import to_plain
from triplane.engines.graph.reading import make_ready
from triplane.entities import Run, RunDetail, evolve
from triplane.events import Event
from triplane.graphs.calls import echo

HEAD = """
[scheduler]
    allow implicit tasks = True
[scheduling]
    cycling mode = integer
    initial cycle point = 1
"""


def cycling(graph: str, final: int | None = 3, runahead: str = "P4", recurrence: str = "P1") -> str:
    """A definition with one recurrence."""
    end = f"    final cycle point = {final}\n" if final is not None else ""
    return f'{HEAD}{end}    runahead limit = {runahead}\n    [[graph]]\n        {recurrence} = """\n{graph}\n"""\n'


def once(graph: str) -> str:
    """A definition that runs once, in cycle 1."""
    return cycling(graph, final=1, recurrence="R1")


class SimulatedRun:
    """Drives one run through the engine's own interface.

    Attributes:
        effects: all that were asked for, oldest first.
        submissions: the job submissions among them that no job has taken up yet.
        submitted: how often each (cycle, name, submit number) was asked for.
    """

    def __init__(self, source: str, options: dict[str, Any] | None = None, mode: str = "live", now: float = 1_000.0) -> None:
        self.engine = GraphEngine()
        self.now = now
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.submissions: deque[SubmitJob] = deque()
        self.submitted: Counter[tuple[str, str, int]] = Counter()
        self.largest_step = 0
        run = Run("default", "demo", "run-1", 1, "graph", "demo", "", "pending", self.now, self.now)
        self.state = RunState(run, RunDetail(options=options or {}))
        start = StartRun(engine="graph", workflow_type="demo", options=options or {}, mode=mode)
        prepared = {"definition": make_ready(to_plain(build_definition(source))), "source": {"text": source}}
        step = self._step()
        self.engine.start(self.state, start, prepared, step)
        self._finish(step)

    def _step(self) -> Step:
        return Step(self.state, self.now, "test", "tester")

    def _finish(self, step: Step) -> None:
        self.state.run = evolve(self.state.run, data=self.engine.dump(self.state))
        self.largest_step = max(self.largest_step, len(step.changes.tasks))
        assert self.largest_step <= MAX_TASKS_PER_STEP
        self.events.extend(step.changes.events)
        for effect in step.changes.effects:
            self.effects.append(effect)
            if isinstance(effect, SubmitJob):
                self.submissions.append(effect)
                self.submitted[(effect.cycle, effect.name, effect.submit_num)] += 1
            elif isinstance(effect, Dispatch) and isinstance(effect.command, ContinueStep):
                self.send(effect.command)

    def send(self, command: RunCommand) -> Any:
        """Apply a command as the bus would."""
        step = self._step()
        reply = self.engine.handle(self.state, command, step)
        self._finish(step)
        return reply

    def do(self, command: type[RunCommand], **fields: Any) -> Any:
        """Apply a command to this run."""
        return self.send(command(workflow_id="demo", **fields))

    def report(self, task: str, *messages: str, submit_num: int | None = None, polled: bool = False) -> None:
        """A message from a task's current job, or from another one."""
        cycle, name = task.split("/")
        number = self.state.tasks[(cycle, name)].submit_num if submit_num is None else submit_num
        self.do(
            ReportJob, cycle=cycle, task=name, submit_num=number, messages=tuple(("INFO", one) for one in messages), polled=polled
        )

    def run_job(self, submission: SubmitJob, *messages: str) -> None:
        """A job that was submitted, and says these things."""
        fields = {"cycle": submission.cycle, "task": submission.name, "submit_num": submission.submit_num}
        self.do(JobSubmitted, job_id="7", **fields)
        for message in messages:
            self.do(ReportJob, messages=(("INFO", message),), **fields)

    def succeed_all(self, limit: int = 100_000) -> list[str]:
        """Let every job that is submitted succeed, first come first served, until there are none. Returns the order."""
        order = []
        while self.submissions and self.state.run.is_open:
            submission = self.submissions.popleft()
            order.append(f"{submission.cycle}/{submission.name}")
            self.run_job(submission, "started", "succeeded")
            limit -= 1
            assert limit, "the run does not end"
        return order

    def pass_time(self, limit: int = 100_000) -> None:
        """Let jobs that run in the world succeed, and the clock go from one alarm to the next, until nothing more happens."""
        while self.state.run.is_open and limit:
            limit -= 1
            if self.submissions:
                self.succeed_all()
            elif not self.wait():
                return
        assert limit, "the run does not end"

    def wait(self) -> bool:
        """Let the clock go on to the run's next alarm; whether there is one."""
        timer = min(self.state.timers.values(), key=lambda one: one.fire_at, default=None)
        if timer is None:
            return False
        self.now = max(self.now, timer.fire_at)
        self.do(FireTimer, timer_id=timer.timer_id)
        return True

    def answer(self) -> None:
        """Let every call of `echo` have its answer."""
        for effect in [one for one in self.effects if isinstance(one, CallXtrigger)]:
            answer = echo(effect.call["arguments"], effect.call["named"])
            if answer["satisfied"] and effect.signature not in self.state.private.facts.xtriggers:
                self.do(XtriggerAnswered, signature=effect.signature, results=answer["results"])

    def restart(self) -> None:
        """Forget everything that is not stored, as a gateway does that was killed; then recover."""
        old = self.state
        data = msgpack.unpackb(msgpack.packb(dict(old.run.data)))
        detail = msgpack.unpackb(msgpack.packb(dict(old.detail.definition)))
        self.state = RunState(
            evolve(old.run, data=data),
            evolve(old.detail, definition=detail),
            dict(old.tasks),
            dict(old.jobs),
            dict(old.timers),
            next_task_seq=old.next_task_seq,
            next_job_seq=old.next_job_seq,
        )
        self.engine.load(self.state)
        self.submissions.clear()
        step = self._step()
        self.engine.recover(self.state, step)
        self._finish(step)

    def play(self) -> None:
        """Continue the closed run as the next of its chain."""
        previous = self.state
        run = Run("default", "demo", "run-2", 2, "graph", "demo", "", "pending", self.now, self.now)
        self.state = RunState(run, RunDetail(definition=previous.detail.definition))
        self.submissions.clear()
        step = self._step()
        self.engine.play(previous, self.state, step)
        self._finish(step)

    def states(self) -> dict[str, str]:
        """State of each task that is shown."""
        return {f"{task.cycle}/{task.name}": task.state for task in self.state.tasks.values()}

    def names(self) -> list[str]:
        """Names of the events so far."""
        return [event.name for event in self.events]


def start_all(run: SimulatedRun) -> None:
    """Every job that is submitted now begins to run."""
    while run.submissions:
        run.run_job(run.submissions.popleft(), "started")
