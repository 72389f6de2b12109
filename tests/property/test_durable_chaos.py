"""Workers that die, repeat themselves and answer late, clients and restarts at any moment: every workflow still ends right.

A small replaying worker runs a random script of activities, timers, side effects, parallel groups and waits for signals.
It decides from the history alone, as the real one does, and checks that the history it is shown never contradicts the
script. Whatever happens around it, each step is scheduled once, each activity ends once, each signal is recorded once.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from triplane.commands import PauseRun, ResumeRun
from triplane.errors import GatewayError
from triplane.payloads import envelope
from unit.durable_engine.harness import DurableRun, activity, complete, condition, in_group, timer

STEPS = st.one_of(
    st.just(("activity", 1)),
    st.tuples(st.just("timer"), st.integers(0, 90)),
    st.just(("effect", 1)),
    st.tuples(st.just("group"), st.integers(2, 3)),
    st.tuples(st.just("signals"), st.integers(1, 3)),
)
SCHEDULED = {
    "activity": "ActivityScheduled", "group": "ActivityScheduled", "timer": "TimerScheduled", "effect": "SideEffectRecorded",
}  # fmt: skip
RETRY = {"max_attempts": None, "backoff_seconds": [1, 3]}


def decide(script: list[tuple[str, int]], history: list[Any]) -> list[dict[str, Any]]:
    """The commands of a workflow task, from the history it shows; empty where there is nothing new to say."""
    opened: dict[int, Any] = {}
    ended: set[int] = set()
    signals = 0
    for event in history:
        if event.name in ("ActivityScheduled", "TimerScheduled", "SideEffectRecorded", "ConditionWaitOpened"):
            assert event.data["sequence"] not in opened, "a step was recorded twice"
            opened[event.data["sequence"]] = event
        elif event.name in ("ActivityCompleted", "TimerFired"):
            assert event.data["sequence"] not in ended, "a step ended twice"
            ended.add(event.data["sequence"])
        signals += event.name == "SignalReceived"
    assert sorted(opened) == list(range(1, len(opened) + 1)), "steps are not dense"
    out: list[dict[str, Any]] = []
    sequence, needed = 1, 0
    for index, (kind, size) in enumerate(script):
        if kind == "signals":
            needed += size
            event = opened.get(sequence)
            if event is not None and event.name == "ConditionWaitOpened" and event.data["condition_key"] == str(index):
                sequence += 1
            if signals < needed:
                return [*out, condition(str(index))]
            continue
        span = size if kind == "group" else 1
        expected = SCHEDULED[kind]
        mine = [opened.get(number) for number in range(sequence, sequence + span)]
        assert all(event is None or event.name == expected for event in mine), (index, kind, mine)
        if kind == "effect":
            if mine[0] is None:
                out.append({"type": "record_side_effect", "result": envelope(index)["blob"]})
        elif not all(number in ended for number in range(sequence, sequence + span)):
            if kind == "group":
                return out + in_group([activity(f"a{index}", retry_policy=RETRY) for _ in range(span)], sequence)
            if mine[0] is None:
                out.append(activity(f"a{index}", retry_policy=RETRY) if kind == "activity" else timer(size))
            return out
        sequence += span
    return [*out, complete(len(script))]


class DurableChaos(RuleBasedStateMachine):
    """One run, three workers, and everything that can go wrong between them."""

    @initialize(script=st.lists(STEPS, min_size=1, max_size=6))
    def begin(self, script):
        self.script = script
        self.run = DurableRun()
        self.held: list[dict[str, Any]] = []
        self.said: list[Any] = []
        self.signals = 0

    def _try(self, call: Any) -> None:
        """Say something to the run now, and keep it to be said again; refusals are part of the game, anything else is not."""
        self.said.append(call)
        try:
            call()
        except GatewayError:
            return

    def _work(self, task: dict[str, Any]) -> None:
        if task.get("task_kind") == "workflow":
            commands = decide(self.script, task["history_events"])
            self._try(lambda: self.run.complete(task, *commands) if commands else self.run.fail(task))
        else:
            self._try(lambda: self.run.finish(task, task["activity_type"]))

    @property
    def open(self) -> bool:
        return self.run.state.run.is_open

    @precondition(lambda self: self.open)
    @rule(kind=st.sampled_from(["workflow", "activity"]), worker=st.sampled_from(["w1", "w2", "w3"]))
    def lease(self, kind, worker):
        task = self.run.lease(kind, worker)
        if task is not None:
            if kind == "workflow":
                task["history_events"] = list(task["history_events"])
            self.held.append(task)

    @precondition(lambda self: self.open and self.held)
    @rule(data=st.data(), keep=st.booleans())
    def work(self, data, keep):
        """Some worker finishes something it was given at some time, perhaps not for the last time."""
        index = data.draw(st.integers(0, len(self.held) - 1))
        task = self.held[index] if keep else self.held.pop(index)
        self._work(task)

    @precondition(lambda self: self.open and self.said)
    @rule(data=st.data())
    def repeat(self, data):
        self._try(self.said[data.draw(st.integers(0, len(self.said) - 1))])

    @precondition(lambda self: self.open and self.held)
    @rule(data=st.data(), fatal=st.booleans())
    def fail(self, data, fatal):
        task = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        if task.get("task_kind") == "workflow":
            self._try(lambda: self.run.fail(task, "Crashed"))
        else:
            self._try(lambda: self.run.break_(task))

    @precondition(lambda self: self.open and self.held)
    @rule(data=st.data())
    def leave(self, data):
        task = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self._try(lambda: self.run.release(task["task_id"], task["lease_owner"]))

    @precondition(lambda self: self.open)
    @rule()
    def signal(self):
        self.run.signal()
        self.signals += 1

    @rule(seconds=st.sampled_from([0.5, 2, 30, 61, 301]))
    def time_passes(self, seconds):
        self.run.advance(seconds)

    @precondition(lambda self: self.open)
    @rule()
    def restart(self):
        self.run.restart()

    @precondition(lambda self: self.open)
    @rule(pause=st.booleans())
    def pause(self, pause):
        self.run.send(PauseRun(workflow_id="w") if pause else ResumeRun(workflow_id="w"))

    @invariant()
    def what_was_accepted_is_there_once(self):
        if not hasattr(self, "run"):
            return
        waiting = sum(1 for happening in self.run.state.private.buffer if happening.name == "SignalReceived")
        assert self.run.events.count("SignalReceived") + waiting == self.signals
        assert [event.seq for event in self.run.state.history] == list(range(1, len(self.run.state.history) + 1))
        ends = [event.name for event in self.run.state.history if event.name.startswith("Workflow")]
        assert len(ends) == (1 if self.open else 2)

    def teardown(self):
        """Left to honest workers, the run ends: nothing is stuck past a lease."""
        if not hasattr(self, "run"):
            return
        if self.open:
            self.run.send(ResumeRun(workflow_id="w"))
        for _ in range(200):
            if not self.open:
                break
            task = self.run.lease("workflow") or self.run.lease("activity")
            if task is not None:
                self._work(task)
            elif self.run.state.private.condition is not None and not self.run.state.private.buffer:
                self.signal()
                self.run.advance(1)
            else:
                self.run.advance(305)
        assert self.run.state.run.status == "completed", (self.script, self.run.events)
        decide(self.script, self.run.state.history)
        activities = [event for event in self.run.state.history if event.name == "ActivityCompleted"]
        wanted = sum(size for kind, size in self.script if kind in ("activity", "group"))
        assert len(activities) == wanted


TestDurableChaos = DurableChaos.TestCase
TestDurableChaos.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
