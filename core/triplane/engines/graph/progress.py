"""How a run moves on: outputs spawn tasks, cycles are let in, ready tasks are submitted, the end is noticed.

Everything that can touch many tasks goes through `Pool.pending`, in portions of at most 500 tasks a step. What is left
is taken up by `ContinueStep`, which is sent once the step is on disk; after a crash, `recover` finds it in the run's data.
"""

from itertools import islice
from typing import Any

from triplane.effects import SubmitJob
from triplane.engines.graph import forcing, xtriggers
from triplane.engines.graph.clock import strike, wind
from triplane.engines.graph.handlers import run_event
from triplane.engines.graph.lives import imagined
from triplane.engines.graph.spawning import let_in, queue_if_ready, spawn, tell_children
from triplane.engines.graph.standing import settle
from triplane.engines.graph.submission import submission, submit_queued
from triplane.engines.graph.work import Work
from triplane.entities import Task, TaskKey

RETAINED_TASKS = 1_000
"""Complete tasks of past cycles that stay in the present view of a run; histories keep all."""

MAX_MISSES = 20
"""Complete tasks of cycles still open that are looked at to find one that may go."""


class Progress(Work):
    """One step's work on one run's tasks, and how it goes on from there."""

    def submission(self, task: Task) -> SubmitJob:
        """The effect that submits a task's current job; the same again after a restart."""
        return submission(self, task)

    def advance(self) -> None:
        """Do all that follows from what has changed, as far as this step may go, then look whether that is the end."""
        is_done = self.state.run.is_open and self._work_off()
        if is_done and self.state.run.is_open:
            self._prune()
            is_done = not self.is_full
        if not self.state.run.is_open:
            self._ended()
            return
        if is_done:
            settle(self)
        else:
            self.go_on_later()
        xtriggers.ask(self)
        wind(self)
        if not self.state.run.is_open:
            self._ended()

    def _ended(self) -> None:
        """Say that the run has ended, to whom the definition names and to who makes calls for it."""
        run_event(self, "shutdown", self.state.run.closed_reason or self.state.run.status)
        xtriggers.ask(self)

    def _work_off(self) -> bool:
        """Whether all that can be done now is done; False where the step is full."""
        pool = self.pool
        while True:
            if not strike(self) or not self._spawn() or self.is_full:
                return False
            if pool.due and pool.due[0][0] <= self.now:
                # What has just been made may be too late already, which is not to be run first.
                continue
            submit_queued(self)
            if not pool.pending:
                return not self.is_full

    def _spawn(self) -> bool:
        """Whether all spawning is done; False where the step is full."""
        pool = self.pool
        while True:
            while pool.pending:
                if self.is_full:
                    return False
                rest = self._portion(pool.pending.popleft())
                if rest is not None:
                    pool.pending.appendleft(rest)
            if not pool.runahead or pool.runahead.peekitem(0)[0] > pool.limit_point():
                return True
            for key in list(islice(pool.runahead.peekitem(0)[1], 100)):
                if self.is_full:
                    return False
                task = self.find(key)
                assert task is not None
                let_in(self, task)

    def _portion(self, item: list[Any]) -> list[Any] | None:
        """Do one piece of pending work; what is left of it, or None."""
        match item:
            case ["first", index, flows]:
                return self._first(index, flows)
            case ["next", name, point, flows]:
                return self._next(name, point, flows)
            case ["output", *_]:
                return tell_children(self, item)
            case ["hold", is_held, keys]:
                self._hold(keys.pop(), is_held)
                return item if keys else None
            case ["imagined", cycle, name, submit_num]:
                task = self.find((cycle, name))
                if task is not None and task.state == "preparing" and task.submit_num == submit_num:
                    imagined(self, task)
                return None
            case ["greet", cycle, name]:
                xtriggers.greet(self, self.find((cycle, name)))
                return None
            case ["met", signature]:
                return item if xtriggers.meet_next(self, signature) else None
        return forcing.portion(self, item)

    def _first(self, index: int, flows: list[int]) -> list[Any] | None:
        names = self.plan.names
        if index >= len(names):
            return None
        point = self.plan.next_parentless(names[index], None)
        if point is not None:
            spawn(self, names[index], point, frozenset(flows))
        return ["first", index + 1, flows] if index + 1 < len(names) else None

    def _next(self, name: str, point: int, flows: list[int]) -> list[Any] | None:
        following = self.plan.next_parentless(name, point)
        stop = self.pool.facts.stop_point
        if following is None:
            return None
        task = spawn(self, name, following, frozenset(flows))
        if (task is None or not task.is_runahead) and (stop is None or following <= stop):
            # One that was triggered early, or has run, is in already; the sequence goes on behind it.
            return ["next", name, following, flows]
        return None

    def hold(self, keys: list[TaskKey], is_held: bool) -> None:
        """Hold or release tasks that exist, over as many steps as it takes."""
        if keys:
            self.pool.pending.append(["hold", is_held, [list(key) for key in reversed(keys)]])

    def _hold(self, key: list[str], is_held: bool) -> None:
        task = self.find((key[0], key[1]))
        if task is None or task.is_held == is_held:
            return
        if is_held:
            self.put(task, is_held=True, is_queued=False)
        else:
            queue_if_ready(self, self.put(task, is_held=False))

    def _prune(self) -> None:
        """Let the oldest complete tasks of cycles that are over go: nothing could spawn them a second time."""
        pool, facts = self.pool, self.pool.facts
        excess = len(pool.finished) - RETAINED_TASKS
        if excess <= 0:
            return
        base = pool.base_point
        if base is not None:
            over = self.plan.before_all_spawned_by(base)
            if facts.closed_before is None or over > facts.closed_before:
                facts.closed_before, facts.flows_closed = over, facts.last_flow
        misses = 0
        for key in list(islice(pool.finished, min(excess, 500))):
            if self.is_full or misses > MAX_MISSES:
                return
            task = self.find(key)
            assert task is not None
            misses += 1
            if facts.closed_before is None or self.plan.point(task.cycle) < facts.closed_before:
                misses -= 1
                del pool.finished[key]
                self.step.prune_task(key)
                facts.lost_submits = max(facts.lost_submits, task.submit_num)
