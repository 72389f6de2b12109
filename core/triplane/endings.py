"""What came of a closed run, in plain values, for whoever started it."""

from typing import Any

from triplane.queries import RunView
from triplane.store.interface import Store

CONTINUED = "continued"
"""`Run.closed_reason` of a run that goes on as the next of its chain: its closing is not the end of anything."""

FAILURE_KEYS = ("message", "exception_type", "exception_class", "exception", "non_retryable", "timeout_kind")


def ending_of(view: RunView, store: Store) -> dict[str, Any]:
    """How a closed run ended.

    Returns:
        `status` and, where there is one, `reason` (`Run.closed_reason`); `output` of a completed run as its engine left it;
        of any other whatever of `FAILURE_KEYS` the last event of its history tells.
    """
    run = view.run
    ending: dict[str, Any] = {"status": run.status}
    if run.closed_reason is not None:
        ending["reason"] = run.closed_reason
    if run.status == "completed":
        if view.detail.output is not None:
            ending["output"] = view.detail.output
        return ending
    for event in store.histories.read(run.run_id, run.history_length - 1, 1):
        ending |= {key: event.data[key] for key in FAILURE_KEYS if event.data.get(key) is not None}
        if "message" not in ending and isinstance(event.data.get("reason"), str):
            ending["message"] = event.data["reason"]
    return ending
