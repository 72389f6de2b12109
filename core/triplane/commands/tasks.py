"""Steering single tasks of a run, chosen by globs `cycle/name[:state]` as the Cylc contract section 6 has them."""

from typing import Annotated, ClassVar

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
    """Let held tasks go on.

    Attributes:
        forget_hold_point: release every task of a graph, and hold none after a point any more.
    """

    name: ClassVar[str] = "release_tasks"

    forget_hold_point: bool = False


FlowValue = Annotated[str, Field(pattern=r"^([0-9]{1,7}|new|none|all)$")]
Flows = Annotated[tuple[FlowValue, ...], Field(max_length=100)]


class FlowCommand(TaskCommand):
    """A task command that says which flows are meant.

    Attributes:
        flow: numbers, or `new`, `none` or `all` alone; nothing means all active flows.
        flow_wait: what waits for the tasks is spawned only when the flow catches up with them.
        flow_description: of a new flow.
    """

    flow: Flows = ()
    flow_wait: bool = False
    flow_description: str = Field(default="", max_length=200)


class TriggerTasks(FlowCommand):
    """Run matching tasks now, whatever they wait for outside the group that matches.

    Attributes:
        on_resume: in a pause, when the run goes on.
    """

    name: ClassVar[str] = "trigger_tasks"

    on_resume: bool = False


class SetTasks(FlowCommand):
    """Let outputs of matching tasks count as given, or their prerequisites as met.

    Attributes:
        outputs: labels; neither outputs nor prerequisites means what the graph requires of the task.
        prerequisites: `cycle/task[:output]`, `xtrigger/label`, or `all` alone.
    """

    name: ClassVar[str] = "set_tasks"

    outputs: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field(default=(), max_length=1_000)
    prerequisites: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(default=(), max_length=1_000)


class RemoveTasks(TaskCommand):
    """Forget that matching tasks ran, or are to run, in these flows; jobs that run are killed.

    Attributes:
        flow: numbers; nothing means every flow.
    """

    name: ClassVar[str] = "remove_tasks"
    access: ClassVar[Access] = Access.END

    flow: Flows = ()


class KillTasks(TaskCommand):
    """Kill the running jobs of matching tasks."""

    name: ClassVar[str] = "kill_tasks"
    access: ClassVar[Access] = Access.END


class PollTasks(TaskCommand):
    """Find out how the jobs of matching tasks stand."""

    name: ClassVar[str] = "poll_tasks"


TASK_COMMANDS = (HoldTasks, ReleaseTasks, TriggerTasks, SetTasks, RemoveTasks, KillTasks, PollTasks)
