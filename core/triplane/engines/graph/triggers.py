"""What a definition says of one task beside the graph: settings, run modes, retries, and triggers from outside."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from metomi.isodatetime.parsers import DurationParser

from triplane.engines.graph.definition.model import Definition, TaskDefinition, XTrigger
from triplane.engines.graph.definition.task_settings import TaskSettings

WALL_CLOCK = "wall_clock"
LIVE, SKIP, SIMULATION, DUMMY = "live", "skip", "simulation", "dummy"
RUN_MODES = (LIVE, SKIP, SIMULATION, DUMMY)

_ORDER = {"expired": 0, "submitted": 1, "submit-failed": 2, "started": 3, "succeeded": 5, "failed": 6}
_CUSTOM = 4


@dataclass(frozen=True, slots=True)
class Imagined:
    """How an imagined job goes: how long it takes, and whether it fails at its first try or at every one."""

    length_s: float
    fails_first: bool
    fails_always: bool

    def fails(self, attempt: int) -> bool:
        """Whether the job's n-th try (from 1) fails."""
        return self.fails_always or (self.fails_first and attempt == 1)


class Triggers:
    """Answers about the settings of tasks of one definition."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        events = definition.events
        self.timeouts: dict[str, float | None] = {
            "stall": events.stall_timeout_s,
            "inactivity": events.inactivity_timeout_s,
            "workflow": events.workflow_timeout_s,
        }

    def settings(self, name: str) -> TaskSettings:
        """What `[runtime]` says of a task."""
        return self.definition.tasks[name].settings

    def aborts_on(self, kind: str) -> bool:
        """Whether the run ends when this timeout (`stall`, `inactivity`, `workflow`) has passed."""
        return f"{kind} timeout" in self.definition.events.aborts_on

    def run_mode(self, name: str) -> str:
        """How a task's jobs are run in a live run."""
        return self.settings(name).run_mode or LIVE

    def retry_delays(self, name: str, kind: str) -> tuple[float, ...]:
        """Seconds before each further try after a failure of this kind (`execution` or `submission`)."""
        settings = self.settings(name)
        return settings.execution_retry_delays_s if kind == "execution" else settings.submission_retry_delays_s

    # ---- outputs ---------------------------------------------------------------------------------------------------

    def in_order(self, name: str, labels: Iterable[str]) -> list[str]:
        """Output labels of a task in the order in which they can happen; a task's own come after its start."""
        outputs = self.definition.tasks[name].outputs
        return sorted((one for one in dict.fromkeys(labels) if one in outputs), key=lambda one: _ORDER.get(one, _CUSTOM))

    def own_outputs(self, name: str) -> list[str]:
        """Labels of outputs that are the task's own."""
        return [label for label in self.definition.tasks[name].outputs if label not in _ORDER]

    def default_outputs(self, name: str) -> tuple[str, ...]:
        """What `set` completes where it names nothing: what is required, else what skip mode gives."""
        return self.definition.tasks[name].required or tuple(self.skip_outputs(name))

    def skip_outputs(self, name: str, chosen: tuple[str, ...] | None = None) -> list[str]:
        """What a task gives in skip mode, in order. Source: cylc-flow 8.5.4, skip mode.

        Args:
            chosen: instead of its own `[skip]outputs`.
        """
        task = self.definition.tasks[name]
        chosen = task.settings.skip.outputs if chosen is None else chosen
        wanted = {"submitted", "started", *chosen}
        wanted.update(
            one for one in task.required if one not in ("succeeded", "failed") and (not chosen or one in chosen)
        )
        if not wanted & {"succeeded", "failed"}:
            wanted.add("succeeded")
        return self.in_order(name, wanted)

    def simulation(self, name: str, point: int) -> Imagined:
        """How a task's imagined job goes at a point."""
        settings = self.settings(name)
        one = settings.simulation
        length = one.default_run_length_s
        if one.speedup_factor and settings.execution_time_limit_s:
            length = settings.execution_time_limit_s / one.speedup_factor
        is_bad = one.fails_everywhere or point in one.fail_cycle_points
        return Imagined(length, is_bad, is_bad and not one.fail_try_1_only)

    # ---- triggers from outside -------------------------------------------------------------------------------------

    def _xtriggers_at(self, task: TaskDefinition, point: int) -> list[tuple[str, XTrigger]]:
        sequences = self.definition.sequences
        labels = dict.fromkeys(label for index, label in task.xtriggers if point in sequences[index])
        return [(label, self.definition.xtriggers[label]) for label in labels]

    def spawns_next_on_trigger(self, name: str, point: int) -> bool:
        """Whether the next instance of a task is made only when this one's xtriggers hold."""
        task = self.definition.tasks[name]
        return bool(task.xtriggers) and any(one.is_sequential for _, one in self._xtriggers_at(task, point))

    def public_triggers(self, task: TaskDefinition, point: int) -> dict[str, Any]:
        """The parts of a new task's `detail` that tell of triggers from outside."""
        found: dict[str, Any] = {}
        if task.xtriggers:
            triggers = self._xtriggers_at(task, point)
            if triggers:
                found["xtriggers"] = [
                    {"label": label, "id": self.signature(label, task.name, point), "message": label, "satisfied": False}
                    for label, _ in triggers
                ]
                found["is_xtriggered"] = True
                found["is_wallclock"] = any(one.function == WALL_CLOCK for _, one in triggers)
        if task.external_triggers:
            found["external_triggers"] = [
                {"label": one, "id": one, "message": one, "satisfied": False} for one in task.external_triggers
            ]
        return found

    def dates(self, name: str, point: int) -> dict[str, float]:
        """What the clock will do to a new task: let a wall-clock trigger hold, or expire it."""
        task = self.definition.tasks[name]
        found: dict[str, float] = {}
        if task.xtriggers:
            for label, one in self._xtriggers_at(task, point):
                if one.function == WALL_CLOCK:
                    found[f"xtrigger:{label}"] = point + offset_s(_offset(one))
        if task.settings.events.late_offset_s is not None and not self.definition.calendar.is_integer:
            found["late"] = point + task.settings.events.late_offset_s
        if task.expire is not None:
            found["expire"] = float(self.definition.calendar.shift(point, task.expire))
        return found

    def signature(self, label: str, name: str, point: int) -> str:
        """Names a call: the same for all tasks whose calls are the same."""
        call = self.call(label, name, point)
        named = [f"{key}={_shown(one)}" for key, one in call["named"].items()]
        return f"{call['function']}({', '.join([*map(_shown, call['arguments']), *named])})"

    def call(self, label: str, name: str, point: int) -> dict[str, Any]:
        """What to call: `{"function", "arguments", "named", "interval_s"}`, templates of the task filled in."""
        one = self.definition.xtriggers[label]
        values = {"point": self.definition.calendar.text(point), "name": name}
        values["id"] = f"{values['point']}/{name}"
        return {
            "function": one.function,
            "arguments": [_filled(each, values) for each in one.arguments],
            "named": {key: _filled(each, values) for key, each in one.named_arguments.items()},
            "interval_s": one.interval_s,
        }


def _filled(value: Any, values: dict[str, str]) -> Any:
    if not isinstance(value, str) or "%(" not in value:
        return value
    for key, text in values.items():
        value = value.replace(f"%({key})s", text)
    return value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _offset(one: XTrigger) -> str:
    offset = one.named_arguments.get("offset", one.arguments[0] if one.arguments else "PT0S")
    return str(offset)


@lru_cache(maxsize=1_024)
def offset_s(text: str) -> float:
    """Seconds of an ISO 8601 duration, which may have a sign.

    Raises:
        ValueError: it is none.
    """
    sign = -1 if text.startswith("-") else 1
    return sign * float(DurationParser().parse(text.lstrip("+-")).get_seconds())  # type: ignore[no-untyped-call]
