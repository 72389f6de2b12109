"""Waiting for a run to end, with its progress shown meanwhile."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from triplane_control.client import ControlClient, ControlError
from triplane_control.presenting import summary

View = dict[str, Any]


def wait_until_closed(client: ControlClient, namespace: str, workflow_id: str, run_id: str, quiet: bool) -> View:
    """Follow a run until it is closed; its last view.

    Progress goes to standard error: one line that changes on a terminal, a line for each change elsewhere.
    """
    console = Console(stderr=True)
    status = console.status("") if console.is_terminal and not quiet else None
    shown = ""

    def show(line: str) -> None:
        nonlocal shown
        if status:
            status.update(line)
        elif not quiet and line != shown:
            console.print(line, markup=False)
        shown = line

    if status:
        status.start()
    try:
        while True:
            view = _follow(client, {"namespace": namespace, "workflow_id": workflow_id, "run_id": run_id}, show)
            if view["run"]["closed"] is not None:
                return view
    finally:
        if status:
            status.stop()


def _follow(client: ControlClient, named: dict[str, str], show: Callable[[str], None]) -> View:
    """The view of a run, kept up to date until it is closed or something was missed; then it must be read anew."""
    # Subscribed before the state is read, so that nothing happens unseen in between.
    stream = client.follow(namespace=named["namespace"], run_id=named["run_id"])
    view: View = client.ask("describe_run", **named)
    tasks = {(task["cycle"], task["name"]): task for task in view["tasks"]}
    show(summary(view["run"], tasks.values()))
    try:
        while view["run"]["closed"] is None:
            message = next(stream, None)
            if message is None or "gap" in message:
                break
            delta = message["delta"]
            if delta["cursor"] <= view["cursor"]:
                continue
            tasks.update({(task["cycle"], task["name"]): task for task in delta["tasks"]})
            for key in delta["pruned"]:
                tasks.pop(tuple(key), None)
            view = {**view, "run": delta["run"], "detail": delta["detail"] or view["detail"], "cursor": delta["cursor"]}
            show(summary(view["run"], tasks.values()))
    except ControlError as error:
        if error.code != "slow_consumer":
            raise
    return {**view, "tasks": list(tasks.values())}
