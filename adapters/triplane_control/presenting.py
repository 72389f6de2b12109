"""Runs and tasks as tables for people."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {
    "running": "cyan", "completed": "green", "succeeded": "green", "failed": "red", "submit-failed": "red", "terminated": "red",
    "cancelled": "yellow", "expired": "yellow", "submitted": "blue", "preparing": "blue",
}  # fmt: skip


UNWRAPPED = 2_000
"""Columns where the reader is another program: every line whole, every id uncut."""


def standard_output() -> Console:
    """Where tables are printed: as wide as the terminal, and not wrapped into a pipe or a file."""
    return Console(width=None if sys.stdout.isatty() else UNWRAPPED)


def moment(seconds: float | None) -> str:
    """A wall-clock time in UTC, to the second; a dash for none."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds else "-"


def state_of(run: dict[str, Any]) -> str:
    """A run's status in one phrase."""
    notes = [note for note, on in (("paused", run["paused"]), (f"stopping: {run['stopping']}", run["stopping"])) if on]
    status: str = run["status"]
    return f"{status} ({', '.join(notes)})" if notes else status


def _message(run: dict[str, Any]) -> str:
    return "" if run["status_message"] == run["status"] else str(run["status_message"])


def visible(text: str) -> Text:
    """Text that clients made up, as it may be shown on a terminal: no markup, and no control character but as its escape."""
    return Text("".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text))


def print_runs(runs: Iterable[dict[str, Any]], namespace: str) -> None:
    """One line a run."""
    table = Table("workflow", "run", "engine", "type", "status", "started", "message", box=None, pad_edge=False)
    count = 0
    for run in runs:
        count += 1
        status = Text(state_of(run), style=COLOURS.get(run["status"], ""))
        table.add_row(
            run["workflow_id"], str(run["run_number"]), visible(run["engine"]), visible(run["workflow_type"]), status,
            moment(run["created"]), visible(_message(run)),
        )
    console = standard_output()
    if count:
        console.print(table)
    else:
        console.print(f"no workflows in namespace {namespace!r}; `triplane start` begins one", markup=False)


def print_view(view: dict[str, Any]) -> None:
    """One run: what it is, how it stands, its tasks."""
    run, detail = view["run"], view["detail"]
    console = standard_output()
    rows = {
        "workflow": run["workflow_id"], "namespace": run["namespace"], "run": f"{run['run_number']} ({run['run_id']})",
        "engine": run["engine"], "type": run["workflow_type"], "status": state_of(run), "message": _message(run),
        "reason": run["closed_reason"] or "", "started": moment(run["started"] or run["created"]), "closed": moment(run["closed"]),
        "events": str(run["history_length"]), "queue": run["task_queue"],
        "title": str(detail["definition"].get("title") or ""), "output": "" if detail["output"] is None else str(detail["output"])[:2_000],
    }  # fmt: skip
    for name, value in rows.items():
        if value and value != "-":
            console.print(Text(f"{name:10}", style="bold"), visible(value), sep="")
    if view["tasks"]:
        console.print()
        print_tasks(view["tasks"], console)


def print_tasks(tasks: list[dict[str, Any]], console: Console) -> None:
    """One line a task, the newest last, at most 200."""
    table = Table("task", "state", "flags", "submits", "updated", box=None, pad_edge=False)
    for task in tasks[-200:]:
        flags = " ".join(flag for flag in ("held", "queued", "runahead") if task[f"is_{flag}"])
        state = Text(task["state"], style=COLOURS.get(task["state"], ""))
        table.add_row(visible(f"{task['cycle']}/{task['name']}"), state, flags, str(task["submit_num"]), moment(task["updated"]))
    if len(tasks) > 200:
        console.print(f"(the newest 200 of {len(tasks)} tasks)")
    console.print(table)


def print_event(event: dict[str, Any]) -> None:
    """One event of a history in one line."""
    data = json.dumps(event["data"], default=str, ensure_ascii=False)
    line = f"{event['seq']:>6}  {moment(event['time'])}  {event['name']:30} {event['wire']:8} {event['principal']:12} {data}"
    print(visible(line).plain)


def print_submission(data: dict[str, Any]) -> None:
    """One submission of a graph's task, as the real scheduler's reference log has it."""
    flows = ",".join(map(str, data["flows"])) or "none"
    print(visible(f"{data['task']} -triggered off {data['triggered_off']} in flow {flows}").plain)


def summary(run: dict[str, Any], tasks: Iterable[dict[str, Any]]) -> str:
    """A run in one line: its status, and how many tasks are in which state."""
    counts = Counter(task["state"] for task in tasks)
    text = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"{run['workflow_id']}: {state_of(run)}" + (f" ({text})" if text else "")
