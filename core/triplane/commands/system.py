"""What only the core itself may send into a run: alarms, and what became of effects."""

from typing import Any, ClassVar

from pydantic import Field

from triplane.commands.base import Access, RunCommand


class SystemCommand(RunCommand):
    """Root of the core's own commands; never deduplicated by clients, harmless when repeated."""

    access: ClassVar[Access] = Access.SYSTEM


class FireTimer(SystemCommand):
    """A timer of the run is due; ignored by the engine if it was cleared meanwhile."""

    name: ClassVar[str] = "fire_timer"

    timer_id: str


class ChildClosed(SystemCommand):
    """A run that this workflow started has closed, or could not be started; told at least once.

    Attributes:
        parent_run_id: the run that started it, which may have continued as another since.
        sequence, attempt: as that run counts; an attempt it does not wait for any more is ignored.
        ending: as `triplane.endings.ending_of` gives it.
    """

    name: ClassVar[str] = "child_closed"

    parent_run_id: str
    sequence: int
    attempt: int
    child_workflow_id: str
    ending: dict[str, Any]


class ContinueStep(SystemCommand):
    """The next portion of a step that would have changed more than 500 tasks."""

    name: ClassVar[str] = "continue_step"

    token: dict[str, Any] = Field(default_factory=dict)


class JobSubmitted(SystemCommand):
    """A job was handed to its runner under `job_id`."""

    name: ClassVar[str] = "job_submitted"

    cycle: str
    task: str
    submit_num: int
    job_id: str


class JobSubmitFailed(SystemCommand):
    """A job could not be handed over."""

    name: ClassVar[str] = "job_submit_failed"

    cycle: str
    task: str
    submit_num: int
    reason: str


class XtriggerAnswered(SystemCommand):
    """A call of an xtrigger has said yes, with these results."""

    name: ClassVar[str] = "xtrigger_answered"

    signature: str
    results: dict[str, Any] = Field(default_factory=dict)


class DefinitionRead(SystemCommand):
    """A changed definition was read, or cannot be.

    Attributes:
        definition: plain data as the engine stores it; None where `problem` says why there is none.
        source: as the run keeps it beside the definition.
    """

    name: ClassVar[str] = "definition_read"

    definition: dict[str, Any] | None = None
    source: dict[str, Any] = Field(default_factory=dict)
    problem: str | None = None


class ModelStarted(SystemCommand):
    """A simulation's child process has loaded its input.

    Attributes:
        steps: how many time steps it will run; tables: rows written at load, as `ModelStepped.tables`.
    """

    name: ClassVar[str] = "model_started"

    steps: int = Field(ge=0)
    info: dict[str, Any] = Field(default_factory=dict)
    tables: tuple[dict[str, Any], ...] = ()


class ModelStepped(SystemCommand):
    """A simulation's child process has computed a time step.

    Attributes:
        tables: `{"table", "columns": [[name, type], …], "rows": [[…], …]}` each.
        checkpoint: opaque state to resume from, if the model offers one.
        finished: whether that was the last step; `summary` is the run's output then.
    """

    name: ClassVar[str] = "model_stepped"

    step: int = Field(ge=0)
    tables: tuple[dict[str, Any], ...] = ()
    checkpoint: bytes | None = None
    finished: bool = False
    summary: dict[str, Any] | None = None


class ModelRecorded(SystemCommand):
    """A simulation's child process gave rows of steps that it had told of before.

    Attributes:
        tables: as in `ModelStepped`.
    """

    name: ClassVar[str] = "model_recorded"

    tables: tuple[dict[str, Any], ...] = ()


class ModelFailed(SystemCommand):
    """A simulation's child process crashed, hung, flooded or refused its input.

    Attributes:
        lost: its process ended by itself, so that another one may get further.
    """

    name: ClassVar[str] = "model_failed"

    reason: str
    lost: bool = False
