"""Schedules: making and steering what starts runs by the clock."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from triplane.commands.base import WORKFLOW_ID_PATTERN, Access, Command, Json, Scope, ShortName
from triplane.schedules.entities import Overlap

ScheduleId = Annotated[str, Field(pattern=WORKFLOW_ID_PATTERN)]
Note = Annotated[str, Field(max_length=1_000)]
Jitter = Annotated[int, Field(ge=0, le=3_600)]
MaxRuns = Annotated[int, Field(ge=1, le=1_000_000_000)]
Moment = Annotated[float, Field(ge=0, le=7_258_118_400)]


class ScheduleAction(BaseModel):
    """What a schedule starts: the fields of `StartRun` that a schedule may choose.

    Attributes:
        task_queue: empty for the default one.
        timeouts: in seconds; None for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: ShortName
    workflow_type: ShortName
    task_queue: str = Field(default="", max_length=256)
    input: Json = None
    source: dict[str, Any] | None = None
    execution_timeout_s: float | None = Field(default=None, gt=0, le=3_162_240_000)
    run_timeout_s: float | None = Field(default=None, gt=0, le=3_162_240_000)


class CreateSchedule(Command):
    """Make a schedule; the id of a deleted one may be used again.

    Attributes:
        schedule_id: made up by the core if absent.
        spec: `{cron_expressions?, intervals?, calendars?, timezone?}` (contract durable 3 and 2.8).
        jitter_s: at most so many seconds are added to each firing, by chance.
        max_runs: how many runs it starts at most.
        memo, search_attributes: given to each of them.
    """

    name: ClassVar[str] = "create_schedule"
    access: ClassVar[Access] = Access.WRITE
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = "{schedule_id, outcome: created}"

    schedule_id: ScheduleId | None = None
    spec: dict[str, Any]
    action: ScheduleAction
    overlap: Overlap = Overlap.SKIP
    jitter_s: Jitter = 0
    max_runs: MaxRuns | None = None
    memo: dict[str, Any] = Field(default_factory=dict)
    search_attributes: dict[str, Any] = Field(default_factory=dict)
    paused: bool = False
    note: Note | None = None


class ScheduleCommand(Command):
    """Root of commands to one schedule."""

    access: ClassVar[Access] = Access.WRITE
    scope: ClassVar[Scope] = Scope.NAMESPACE

    schedule_id: ScheduleId


class UpdateSchedule(ScheduleCommand):
    """Change what is given; None leaves a field as it is.

    Attributes:
        action: fields of `ScheduleAction` to replace.
        max_runs: starts left become this less those that were.
    """

    name: ClassVar[str] = "update_schedule"
    reply: ClassVar[str] = "{schedule_id, outcome: updated}"

    spec: dict[str, Any] | None = None
    action: dict[str, Any] | None = None
    overlap: Overlap | None = None
    jitter_s: Jitter | None = None
    max_runs: MaxRuns | None = None
    memo: dict[str, Any] | None = None
    search_attributes: dict[str, Any] | None = None
    note: Note | None = None


class PauseSchedule(ScheduleCommand):
    """Fire no more until resumed; runs go on. Pausing a paused schedule changes at most its note."""

    name: ClassVar[str] = "pause_schedule"
    reply: ClassVar[str] = "{schedule_id, outcome: paused}"

    note: Note | None = None


class ResumeSchedule(ScheduleCommand):
    """Fire again, from now on: what was missed is not caught up. Resuming an active schedule changes at most its note."""

    name: ClassVar[str] = "resume_schedule"
    reply: ClassVar[str] = "{schedule_id, outcome: resumed}"

    note: Note | None = None


class TriggerSchedule(ScheduleCommand):
    """Fire once, now.

    Attributes:
        overlap: for this firing only.
    """

    name: ClassVar[str] = "trigger_schedule"
    access: ClassVar[Access] = Access.END  # a policy may end the run before
    reply: ClassVar[str] = (
        "{schedule_id, outcome: triggered|buffered|buffer_full|skipped|failed, workflow_id?, run_id?, reason?, buffer_depth?}"
    )

    overlap: Overlap | None = None


class BackfillSchedule(ScheduleCommand):
    """Fire for every moment of the spec in [start_time, end_time), wall-clock seconds, now.

    Attributes:
        overlap: for these firings only; the two that buffer let all of them run.
    """

    name: ClassVar[str] = "backfill_schedule"
    access: ClassVar[Access] = Access.END
    reply: ClassVar[str] = (
        "{schedule_id, outcome: backfill_started, fires_attempted,"
        " results: [{fire_time, outcome: started|skipped|failed, workflow_id?, run_id?, reason?}]}"
    )

    start_time: Moment
    end_time: Moment
    overlap: Overlap | None = None


class DeleteSchedule(ScheduleCommand):
    """Fire never again; runs go on, and the history stays."""

    name: ClassVar[str] = "delete_schedule"
    access: ClassVar[Access] = Access.END
    reply: ClassVar[str] = "{schedule_id, outcome: deleted}"


SCHEDULE_COMMANDS: tuple[type[Command], ...] = (
    CreateSchedule, UpdateSchedule, PauseSchedule, ResumeSchedule, TriggerSchedule, BackfillSchedule, DeleteSchedule,
)  # fmt: skip
