"""Waiting for a run to end, with its progress shown meanwhile."""

from typing import Any

from rich.console import Console

from triplane_control.client import ControlClient
from triplane_control.presenting import summary


def wait_until_closed(client: ControlClient, namespace: str, workflow_id: str, run_id: str, quiet: bool) -> dict[str, Any]:
    """Follow a run until it is closed; its last view.

    Progress goes to standard error: one line that changes on a terminal, a line for each change elsewhere.
    """
    console = Console(stderr=True)
    # Subscribed before the state is read, so that nothing happens unseen in between.
    stream = client.follow(namespace=namespace, run_id=run_id)
    view = client.ask("describe_run", namespace=namespace, workflow_id=workflow_id, run_id=run_id)
    run = view["run"]
    tasks = {(task["cycle"], task["name"]): task for task in view["tasks"]}
    shown = ""
    status = console.status(summary(run, tasks.values())) if console.is_terminal and not quiet else None
    if status:
        status.start()
    try:
        while run["closed"] is None:
            message = next(stream, None)
            if message is None or "gap" in message:
                break
            delta = message["delta"]
            if delta["cursor"] <= view["cursor"]:
                continue
            run = delta["run"]
            tasks.update({(task["cycle"], task["name"]): task for task in delta["tasks"]})
            for key in delta["pruned"]:
                tasks.pop(tuple(key), None)
            line = summary(run, tasks.values())
            if status:
                status.update(line)
            elif not quiet and line != shown:
                console.print(line)
            shown = line
    finally:
        if status:
            status.stop()
    with_end: dict[str, Any] = {**view, "run": run, "tasks": list(tasks.values())}
    return with_end
