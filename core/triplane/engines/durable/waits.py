"""What an open run waits for, in a word and a sentence, from what is committed of it."""

from triplane.entities import FINAL_TASK_STATES, Run, Task, TaskKey

_CALLED = {"child": "child workflow", "operation": "service operation"}


def waiting_for(run: Run, tasks: dict[TaskKey, Task]) -> tuple[str | None, str | None]:
    """Kind and reason: `worker condition activity timer child operation signal paused task`; (None, None) of a closed run.

    Source: contract durable 2.1 names the fields `wait_kind` and `wait_reason`; their words are ours.

    Args:
        tasks: of the run, in creation order; those made last are looked at first.
    """
    if not run.is_open:
        return None, None
    if run.paused:
        return "paused", "the run is paused until somebody resumes it"
    if run.engine != "durable":
        return _of_other(run, tasks)
    task = run.data.get("task")
    if task is not None:
        return "worker", _of_workflow_task(run, str(task[2]), str(task[3]))
    condition = run.data.get("condition")
    if condition is not None:
        return "condition", f"a condition{_named(condition[1])}{' with a timeout' if condition[4] is not None else ''}"
    for open_task in reversed(tasks.values()):
        if open_task.state not in FINAL_TASK_STATES:
            return _of_task(run, open_task)
    selected = run.data.get("selected")
    if selected:
        return "condition", f"a condition{_named(selected[0][1])}"
    return "signal", "a signal, an update or a message"


def _named(key: object) -> str:
    return f" {key!r}" if key else ""


def _of_workflow_task(run: Run, phase: str, owner: str) -> str:
    if phase == "leased":
        return f"worker {owner!r} to say how the workflow goes on"
    if phase == "backoff":
        return run.status_message or "the next try of a workflow task that failed"
    return f"a worker of task queue {run.task_queue!r} that knows {run.workflow_type!r}"


def _of_task(run: Run, task: Task) -> tuple[str, str]:
    kind = str(task.detail.get("kind", "activity"))
    if kind == "timer":
        return "timer", f"timer {task.name}"
    title = task.detail.get("title", task.name)
    if kind in _CALLED:
        return kind, f"{_CALLED[kind]} {title} ({task.name})"
    state = {"preparing": "queued", "submitted": "queued", "waiting": "queued"}.get(task.state, task.state)
    return "activity", f"activity {title} ({task.name}), attempt {max(task.submit_num, 1)}, {state}"


def _of_other(run: Run, tasks: dict[TaskKey, Task]) -> tuple[str | None, str | None]:
    for task in reversed(tasks.values()):
        if task.state in ("running", "submitted", "preparing"):
            return "task", f"task {task.cycle}/{task.name}, {task.state}"
    return ("task", run.status_message) if run.status_message else (None, None)
