"""The signals, queries and updates that every run answers through the SDK's ordinary methods.

On graphs and simulations they go by their bare names; a durable workflow may own any bare name itself, so there they
are spelled `triplane.<name>` and never reach a worker.
"""

from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from triplane.commands import (
    HoldTasks,
    KillTasks,
    PauseRun,
    PollTasks,
    ReleaseTasks,
    RemoveTasks,
    ResumeRun,
    SetTasks,
    StopMode,
    StopRun,
    TriggerTasks,
)
from triplane.commands.base import Command
from triplane.commands.tasks import TaskCommand
from triplane.connection import Connection
from triplane.errors import InvalidFields, NotFound, RunClosed
from triplane.queries import RunView
from triplane_durable.tables import read_rows, table_arguments

PREFIX = "triplane."
_TASK_UPDATES: dict[str, type[TaskCommand]] = {
    "hold": HoldTasks, "release": ReleaseTasks, "trigger": TriggerTasks, "set": SetTasks, "remove": RemoveTasks,
    "kill": KillTasks, "poll": PollTasks,
}  # fmt: skip
_OPTIONS = {
    TriggerTasks: frozenset({"flow", "flow_wait", "on_resume"}),
    SetTasks: frozenset({"outputs", "prerequisites", "flow", "flow_wait"}),
    RemoveTasks: frozenset({"flow"}),
}
"""What the object behind an update's globs may say."""
_TABLE_QUERIES = {"tasks": "triplane.Tasks", "jobs": "triplane.Jobs"}


class Reserved:
    """Carries reserved names out over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _name(self, view: RunView, name: str) -> str | None:
        if view.run.engine != "durable":
            return name.removeprefix(PREFIX)
        return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None

    async def signal(self, view: RunView, name: str, request_id: str | None) -> dict[str, Any] | None:
        """Answer `pause` and `resume`; None where the name is the workflow's own."""
        bare = self._name(view, name)
        if bare is None:
            return None
        kinds: dict[str, type[PauseRun] | type[ResumeRun]] = {"pause": PauseRun, "resume": ResumeRun}
        if bare not in kinds:
            raise UnknownSignal(f"a {view.run.engine} run has the signals pause and resume, not {name!r}")
        self._must_be_open(view)
        run = view.run
        reply = await self._connection.dispatch(
            kinds[bare](namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id, request_id=request_id)
        )
        return {"run_id": run.run_id, "signal_id": str(uuid4()), **(reply if isinstance(reply, dict) else {})}

    async def query(self, view: RunView, name: str, arguments: Any) -> tuple[bool, Any]:
        """(True, result) for `tasks`, `jobs`, `table`; (False, None) where the name is the workflow's own."""
        bare = self._name(view, name)
        if bare is None:
            return False, None
        options: dict[str, Any] = {}
        if bare in _TABLE_QUERIES:
            table = _TABLE_QUERIES[bare]
        elif bare == "table":
            table, options = table_arguments(arguments)
        else:
            raise UnknownQuery(f"a {view.run.engine} run has the queries tasks, jobs and table, not {name!r}")
        rows = await read_rows(self._connection, view, table, options)
        if rows is None:
            raise UnknownQuery(f"the run has no table {table!r}")
        return True, rows

    async def update(
        self, view: RunView, name: str, arguments: Any, request_id: str | None
    ) -> tuple[str, Any] | None:
        """(update id, result) of `stop`, `hold`, `release`, `trigger`, …; None where the name is the workflow's own."""
        bare = self._name(view, name)
        if bare is None:
            return None
        self._must_be_open(view)
        run = view.run
        common: dict[str, Any] = {
            "namespace": run.namespace, "workflow_id": run.workflow_id, "run_id": run.run_id, "request_id": request_id,
        }  # fmt: skip
        command: Command
        if bare == "stop":
            mode = _first(arguments) or "leave"
            if mode not in tuple(StopMode):
                raise InvalidFields({"input": [f"The argument of stop is one of {', '.join(StopMode)}."]})
            command = StopRun(**common, mode=StopMode(mode))
        elif bare in _TASK_UPDATES:
            command = _task_command(_TASK_UPDATES[bare], common, arguments)
        else:
            raise UnknownUpdate(f"a {view.run.engine} run has the updates stop, {', '.join(_TASK_UPDATES)}, not {name!r}")
        return str(uuid4()), await self._connection.dispatch(command)

    @staticmethod
    def _must_be_open(view: RunView) -> None:
        if not view.run.is_open:
            raise RunClosed(view.run.workflow_id, view.run.run_id, view.run.status)


class UnknownSignal(NotFound):
    """No such signal on that run (contract section 1.3)."""

    code = "unknown_signal"


class UnknownQuery(NotFound):
    """No such query on that run."""

    code = "rejected_unknown_query"


class UnknownUpdate(NotFound):
    """No such update on that run."""

    code = "rejected_unknown_update"


def _first(arguments: Any) -> Any:
    return arguments[0] if isinstance(arguments, list) and arguments else None


def _task_command(kind: type[TaskCommand], common: dict[str, Any], arguments: Any) -> TaskCommand:
    """The command of globs, behind which an object may hold its options: `["1/a", {"outputs": ["succeeded"]}]`."""
    options: dict[str, Any] = {}
    if isinstance(arguments, list) and len(arguments) > 1 and isinstance(arguments[-1], dict):
        *arguments, options = arguments
    wrong = sorted(options.keys() - _OPTIONS.get(kind, frozenset()))
    if wrong:
        raise InvalidFields({"input": [f"The update has no option {wrong[0]!r:.100}."]})
    try:
        return kind(**common, task_globs=_globs(arguments), **options)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        raise InvalidFields({"input": [f"{'.'.join(map(str, first['loc']))}: {first['msg']}"]}) from exc


def _globs(arguments: Any) -> tuple[str, ...]:
    """Task globs from positional arguments: `["1/a", "1/b"]` or `[["1/a", "1/b"]]`."""
    flat = arguments[0] if isinstance(arguments, list) and len(arguments) == 1 and isinstance(arguments[0], list) else arguments
    if not isinstance(flat, list) or not flat or not all(isinstance(item, str) for item in flat):
        raise InvalidFields({"input": ["The arguments are task globs such as 1/model."]})
    return tuple(flat)
