"""Steering a graph run as a whole: where it stops or holds, what its tasks are told, and a changed definition."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from triplane.commands.base import Access, RunCommand, ShortName

Cycle = Annotated[str, Field(min_length=1, max_length=64)]


class SetHoldPoint(RunCommand):
    """Hold every task after a cycle point; `release_tasks` with `forget_hold_point` ends that."""

    name: ClassVar[str] = "set_hold_point"
    access: ClassVar[Access] = Access.WRITE

    point: Cycle


class ScheduleStop(RunCommand):
    """Stop later, when exactly one of these has come.

    Attributes:
        point: no task after it is run.
        task: `cycle/name`; when it has finished, no more is started.
        at: wall-clock seconds.
        flow: this flow spawns nothing more, and tasks of it alone are removed; the run goes on where it has others.
    """

    name: ClassVar[str] = "schedule_stop"
    access: ClassVar[Access] = Access.END

    point: Cycle | None = None
    task: Annotated[str, Field(max_length=512)] | None = None
    at: float | None = None
    flow: int | None = Field(default=None, ge=1)


class Broadcast(RunCommand):
    """Change settings of tasks for some cycles and namespaces, take that back, or let it expire.

    Attributes:
        mode: `set`, `clear` or `expire`.
        cycles: points, or `*` for all; namespaces: tasks and families.
        settings: nested as in `[runtime]`; with `clear`, values do not matter, and none means all.
        cutoff: with `expire`, what was set for points before this one; none means the oldest active one.
    """

    name: ClassVar[str] = "broadcast"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{changed: [[cycle, namespace, setting]], bad: {point_strings|namespaces|settings|cancel|expire: [str]}}"

    mode: str = Field(default="set", pattern="^(set|clear|expire)$")
    cycles: tuple[Cycle, ...] = Field(default=(), max_length=1_000)
    namespaces: tuple[ShortName, ...] = Field(default=(), max_length=1_000)
    settings: tuple[dict[str, Any], ...] = Field(default=(), max_length=100)
    cutoff: Cycle | None = None


class SendExternalTrigger(RunCommand):
    """A message with an id: one task that waits for that message goes on.

    Attributes:
        message: as the definition has it; trigger_id: what jobs find in `CYLC_EXT_TRIGGER_ID`.
    """

    name: ClassVar[str] = "send_external_trigger"
    access: ClassVar[Access] = Access.WRITE

    message: Annotated[str, Field(min_length=1, max_length=1_000)]
    trigger_id: Annotated[str, Field(min_length=1, max_length=256)]


class ReloadRun(RunCommand):
    """Read the run's definition again and go on with it; what is waiting goes by the new one, what runs goes on as it is.

    The reply says that it will be tried; `RunReloaded` or `ReloadFailed` in the history says what came of it.

    Attributes:
        source: as with a start (`definition` or `archive`); nothing means from where it was read before.
    """

    name: ClassVar[str] = "reload_run"
    access: ClassVar[Access] = Access.WRITE

    source: dict[str, Any] | None = None


GRAPH_COMMANDS = (SetHoldPoint, ScheduleStop, Broadcast, SendExternalTrigger, ReloadRun)
