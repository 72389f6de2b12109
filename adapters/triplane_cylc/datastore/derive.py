"""What a task or a job of the core looks like on this wire: pure functions from entities to field values.

`detail` is public but every key in it is optional and engines differ, so each value is taken only if it has the type
that the wire needs; anything else counts as absent.

Source: cylc.md sections 3.3, 4.1, 4.5 and 7.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from triplane.entities import Job, Run, Task
from triplane_cylc.datastore.elements import Condition, NodeMeta, Output, Prerequisite, Runtime, RuntimeSetting, Trigger
from triplane_cylc.datastore.encode import RUNTIME_TEXTS

STANDARD_OUTPUTS = ("expired", "submitted", "submit-failed", "started", "succeeded", "failed")
_RUNTIME_NAMES = frozenset({*RUNTIME_TEXTS, "directives", "environment", "outputs"})
STATE_WORST_FIRST = ("submit-failed", "failed", "expired", "running", "submitted", "preparing", "waiting", "succeeded")
"""A family is in the first of these states that one of its tasks is in."""

REACHED = {
    "expired": {"expired"},
    "submit-failed": {"submit-failed"},
    "submitted": {"submitted"},
    "running": {"submitted", "started"},
    "succeeded": {"submitted", "started", "succeeded"},
    "failed": {"submitted", "started", "failed"},
}
"""The standard outputs that a state implies, for engines that do not list outputs."""

STOPPING_MESSAGES = {
    "graceful": "stopping: waiting for active jobs to complete",
    "kill": "stopping: killing active jobs",
    "leave": "stopping: shutting down",
}


def text(value: Any) -> str:
    """`value` if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def names(value: Any) -> tuple[str, ...]:
    """The texts in a list, else nothing."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The mappings in a list, else nothing."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def seconds(value: Any) -> float:
    """A time in Unix seconds; 0 where there is none."""
    return float(value) if isinstance(value, int | float) else 0.0


def iso(time: float | None) -> str:
    """Unix seconds as `2026-11-20T11:11:23Z`; empty for None."""
    return "" if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def workflow_status(run: Run) -> tuple[str, str]:
    """The status word and the phrase of a run.

    Source: cylc.md section 7; pause comes before stopping there.
    """
    if not run.is_open:
        return "stopped", "stopped"
    if run.paused:
        return "paused", "stalled and paused" if run.status_message == "stalled" else "paused"
    if run.stopping is not None:
        return "stopping", STOPPING_MESSAGES.get(run.stopping, "stopping: shutting down")
    return "running", run.status_message or "running"


def meta(source: Mapping[str, Any]) -> NodeMeta:
    """Title, description, URL and the user's own keys of a definition entry."""
    own = source.get("user_defined")
    return NodeMeta(
        title=text(source.get("title")),
        description=text(source.get("description")),
        URL=text(source.get("URL")),
        user_defined=dict(own) if isinstance(own, Mapping) else {},
    )


def outputs(task: Task) -> dict[str, Output]:
    """Outputs by label, in the wire's order: the standard ones, then the task's own.

    An engine that lists outputs is believed for those; for the standard ones it leaves out, the task's state decides.
    """
    listed = {text(item.get("label")): item for item in mappings(task.detail.get("outputs")) if item.get("label")}
    reached = REACHED.get(task.state, set())
    result = {}
    for label in (*STANDARD_OUTPUTS, *(label for label in listed if label not in STANDARD_OUTPUTS)):
        item = listed.get(label, {})
        satisfied = bool(item.get("satisfied", label in reached))
        result[label] = Output(label, text(item.get("message")) or label, satisfied, seconds(item.get("time")))
    return result


def triggers(value: Any) -> dict[str, Trigger]:
    """Xtriggers or external triggers by `label=id`, as the engine lists them."""
    result = {}
    for item in mappings(value):
        label, trigger_id = text(item.get("label")), text(item.get("id"))
        result[f"{label}={trigger_id}"] = Trigger(
            trigger_id, label, text(item.get("message")), bool(item.get("satisfied")), seconds(item.get("time"))
        )
    return result


def prerequisites(task: Task) -> tuple[Prerequisite, ...]:
    """All that a task waits for, as one prerequisite whose conditions must all hold."""
    conditions = tuple(
        Condition(
            task_proxy=text(item.get("task")),
            expr_alias=str(number),
            req_state=text(item.get("output")) or "succeeded",
            satisfied=bool(item.get("satisfied")),
            message="satisfied naturally" if item.get("satisfied") else "unsatisfied",
        )
        for number, item in enumerate(mappings(task.detail.get("prerequisites")))
    )
    if not conditions:
        return ()
    cycles = dict.fromkeys(condition.task_proxy.partition("/")[0] for condition in conditions)
    return (
        Prerequisite(
            expression=" & ".join(condition.expr_alias for condition in conditions),
            conditions=conditions,
            cycle_points=tuple(cycles),
            satisfied=all(condition.satisfied for condition in conditions),
        ),
    )


def runtime(source: Mapping[str, Any], run_mode: str) -> Runtime:
    """Runtime settings as far as an engine tells them (same names as on the wire), completion where it does not."""
    texts = {name: value for name in RUNTIME_TEXTS if (value := text(source.get(name)))}
    texts["run_mode"] = run_mode
    texts.setdefault("completion", "succeeded")
    settings = {name: _settings(source.get(name)) for name in ("directives", "environment")}
    own = (item for item in mappings(source.get("outputs")) if item.get("label") not in STANDARD_OUTPUTS)
    settings["outputs"] = tuple(RuntimeSetting(text(item.get("label")), text(item.get("message"))) for item in own)
    return Runtime(**texts, **settings)  # type: ignore[arg-type]


def has_runtime(source: Mapping[str, Any]) -> bool:
    """Whether `runtime` would find anything there."""
    return not _RUNTIME_NAMES.isdisjoint(source)


def _settings(value: Any) -> tuple[RuntimeSetting, ...]:
    if not isinstance(value, Mapping):
        return ()
    return tuple(RuntimeSetting(str(key), str(item)) for key, item in value.items())


def job_runner(task: Task, job: Job) -> str:
    """What runs a job: the engine's word for it, `worker` for a leased task queue, else the default runner's name."""
    return text(task.detail.get("job_runner")) or ("worker" if job.platform.startswith("queue:") else "background")


def worst_state(totals: Mapping[str, int]) -> str:
    """The state of a family whose tasks are counted by state."""
    return next((state for state in STATE_WORST_FIRST if totals.get(state)), "waiting")
