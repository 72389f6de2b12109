"""Commands that a definition wants run when something happens to its tasks or to the whole run.

They are told once, when the step is on disk; a gateway that is killed in that moment does not tell again.
Source: cylc-flow 8.5 documentation, "Task event handling" (templates, and what follows a command without any).
"""

import shlex
from collections.abc import Iterable, Mapping

from triplane.effects import RunHandler
from triplane.engines.graph import flows
from triplane.engines.graph.submission import run_mode
from triplane.engines.graph.triggers import SIMULATION, SKIP
from triplane.engines.graph.work import Work, task_id
from triplane.entities import Task

MAX_VALUE = 2_000


def task_event(work: Work, task: Task, event: str, message: str = "") -> None:
    """Something that `[events]` knows has happened to a task."""
    settings = work.plan.settings(task.name)
    events = settings.events
    commands = [*events.handlers.get(event, ()), *(events.general_handlers if event in events.handler_events else ())]
    if not commands:
        return
    mode = run_mode(work, task)
    is_quiet = {SKIP: settings.skip.disable_task_event_handlers, SIMULATION: settings.simulation.disable_task_event_handlers}
    if is_quiet.get(mode, False):
        return
    job = work.state.jobs.get((*task.key, task.submit_num))
    values = {
        **_run_values(work),
        "event": event,
        "point": task.cycle,
        "name": task.name,
        "id": task_id(task),
        "submit_num": str(task.submit_num),
        "try_num": str(task.data.get("tries", {}).get("execution", 0) + 1),
        "flow_nums": flows.named(flows.flows_of(task)),
        "job_id": job.job_id if job is not None else "",
        "platform_name": job.platform if job is not None else settings.platform,
        "message": message or f"job {event}",
    }
    _tell(work, commands, values, "%(event)s %(workflow)s %(id)s %(message)s", events.handler_retry_delays_s)


def run_event(work: Work, event: str, message: str = "") -> None:
    """Something that `[scheduler][events]` knows has happened to the run."""
    events = work.plan.definition.events
    commands = [*events.handlers.get(event, ()), *(events.general_handlers if event in events.handler_events else ())]
    if commands:
        values = {**_run_values(work), "event": event, "message": message or f"workflow {event}"}
        _tell(work, commands, values, "%(event)s %(workflow)s %(message)s", ())


def _run_values(work: Work) -> dict[str, str]:
    run = work.state.run
    return {"workflow": run.workflow_id, "suite": run.workflow_id, "workflow_uuid": run.run_id, "uuid": run.run_id}


def _tell(
    work: Work, commands: Iterable[str], values: Mapping[str, str], default: str, retry_delays_s: tuple[float, ...]
) -> None:
    directory = str(work.state.detail.definition.get("source", {}).get("directory", ""))
    for command in commands:
        text = command if "%(" in command else f"{command} {default}"
        for key, value in values.items():
            # What a job or client said is one word for the shell, whatever it contains.
            text = text.replace(f"%({key})s", shlex.quote(value[:MAX_VALUE]))
        work.step.effect(RunHandler(work.state.run.run_id, text, directory, retry_delays_s))
