"""Steering single tasks of a run, chosen by globs `cycle/name[:state]` as the Cylc contract section 6 has them."""

from typing import ClassVar

from pydantic import Field

from triplane.commands.base import Access, RunCommand, TaskGlob


class TaskCommand(RunCommand):
    """A command to the tasks that match any of the globs.

    Matching nothing is refused (`nothing_matched`), except where an exact `cycle/name` names a task still to come.
    """

    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "list[str]: cycle/name of each task it applied to"

    task_globs: tuple[TaskGlob, ...] = Field(min_length=1, max_length=1_000)


class HoldTasks(TaskCommand):
    """Keep matching tasks from being submitted until they are released."""

    name: ClassVar[str] = "hold_tasks"


class ReleaseTasks(TaskCommand):
    """Let held tasks go on."""

    name: ClassVar[str] = "release_tasks"


class TriggerTasks(TaskCommand):
    """Run matching tasks now, whatever they wait for."""

    name: ClassVar[str] = "trigger_tasks"


class KillTasks(TaskCommand):
    """Kill the running jobs of matching tasks."""

    name: ClassVar[str] = "kill_tasks"
    access: ClassVar[Access] = Access.END


class PollTasks(TaskCommand):
    """Find out how the jobs of matching tasks stand."""

    name: ClassVar[str] = "poll_tasks"
