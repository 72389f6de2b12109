"""What the page may ask of the core, by name: a short list, so that the page's wire is no wider than the page. No I/O."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic import ValidationError

from triplane import commands
from triplane.commands import Command, Request
from triplane.commands.fleet import SetBuildRollout, ShowBuilds, ShowTaskQueue, ShowTaskQueues, ShowWorkers
from triplane.commands.jobs import ReadJobLog
from triplane.commands.keys import ListKeys, RevokeKey, RotateKeys
from triplane.errors import InvalidFields, RefusedInput, UnknownCommand
from triplane.queries import (
    CountRuns,
    DescribeSchedule,
    FindRuns,
    ListChain,
    ListNamespaces,
    ListRuns,
    ListSchedules,
    ListSearchAttributes,
    ReadAudit,
    ReadHistory,
    ReadScheduleHistory,
    ReadTable,
    TableNames,
)

READS: Final[Mapping[str, type[Request]]] = {
    kind.name: kind
    for kind in (
        FindRuns, ListRuns, CountRuns, ListChain, ReadHistory, TableNames, ReadTable, ListSchedules, DescribeSchedule,
        ReadScheduleHistory, ListNamespaces, ListSearchAttributes, ReadAudit,
        ShowWorkers, ShowTaskQueues, ShowTaskQueue, ShowBuilds, ReadJobLog, ListKeys,
    )
}  # fmt: skip
"""Read by GET; `ReadJobLog`, `ListKeys` and `Show…` among them are commands of the core that change nothing."""

ACTIONS: Final[Mapping[str, type[Command]]] = {
    kind.name: kind
    for kind in (
        commands.PauseRun, commands.ResumeRun, commands.StopRun, commands.PlayRun,
        commands.HoldTasks, commands.ReleaseTasks, commands.TriggerTasks, commands.KillTasks, commands.PollTasks,
        commands.RemoveTasks, commands.SetTasks,
        commands.PauseSchedule, commands.ResumeSchedule, commands.TriggerSchedule, commands.DeleteSchedule,
        SetBuildRollout, commands.ReloadRun, RotateKeys, RevokeKey,
    )
}  # fmt: skip
"""Carried out when a page's websocket asks."""


def read_of(name: str, fields: str) -> Request:
    """The query or reading command of a GET, with its fields as JSON text.

    Raises:
        UnknownCommand, InvalidFields, RefusedInput
    """
    kind = READS.get(name)
    if kind is None:
        raise UnknownCommand(f"nothing is read by the name {name!r:.80}")
    try:
        given = orjson.loads(fields) if fields else {}
    except orjson.JSONDecodeError as error:
        raise RefusedInput("fields: not JSON") from error
    read: Request = validated(kind, given)
    return read


def action_of(name: Any, fields: Any) -> Command:
    """The command that a page asks for.

    Raises:
        UnknownCommand, InvalidFields, RefusedInput
    """
    kind = ACTIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise UnknownCommand(f"the page has no action {str(name)[:80]!r}")
    command: Command = validated(kind, {} if fields is None else fields)
    return command


def validated(kind: type[Any], fields: Any) -> Any:
    """An instance of a request's or message's model.

    Raises:
        InvalidFields, RefusedInput
    """
    if not isinstance(fields, dict):
        raise RefusedInput("fields must be an object")
    try:
        return kind.model_validate(fields)
    except ValidationError as invalid:
        errors: dict[str, list[str]] = {}
        for error in invalid.errors(include_url=False, include_input=False)[:20]:
            errors.setdefault(".".join(str(part) for part in error["loc"])[:200], []).append(error["msg"][:300])
        raise InvalidFields(errors) from invalid
    except RecursionError as error:
        raise RefusedInput("fields are nested too deep") from error
