"""Committed states and histories of runs, open or closed, as matching shows them to workers and waiters."""

from triplane.commands.base import RunCommand
from triplane.entities import Run
from triplane.errors import RunNotFound, WorkflowNotFound
from triplane.events import Event
from triplane.queries import RunView
from triplane.service import BusPort

HISTORY_PAGE = 10_000


def view_of(bus: BusPort, command: RunCommand) -> RunView:
    """The committed state of the run a command names.

    Raises:
        WorkflowNotFound, RunNotFound.
    """
    current = bus.current_run_id(command.namespace, command.workflow_id)
    if current is None:
        raise WorkflowNotFound(command.workflow_id, command.namespace)
    view = bus.view(command.run_id or current)
    run: Run | None = view.run if view is not None else None
    if view is None or run is None or (run.namespace, run.workflow_id) != (command.namespace, command.workflow_id):
        raise RunNotFound(command.workflow_id, command.run_id or current)
    return view


def history_of(bus: BusPort, view: RunView) -> list[Event]:
    """The committed history of a run."""
    live = bus.live(view.run.run_id)
    total = view.run.history_length
    if live is not None and len(live.history) >= total:
        return live.history[:total]
    events: list[Event] = []
    while len(events) < total:
        page = bus.store.histories.read(view.run.run_id, len(events), HISTORY_PAGE)
        if not page:
            break
        events.extend(page)
    return events[:total]
