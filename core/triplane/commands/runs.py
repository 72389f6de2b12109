"""Start, stop, pause: what can be done to a run as a whole."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from triplane.commands.base import Access, Command, Json, RunCommand, RunId, Scope, ShortName, WorkflowId


class DuplicatePolicy(StrEnum):
    """What a start does where the workflow id is taken."""

    FAIL = "fail"
    """Conflict, whether the existing run is open or closed."""
    USE_EXISTING = "use-existing"
    """An open run is returned; a closed one is a conflict."""
    ALLOW = "allow"
    """A closed workflow gets a next run; an open one is a conflict."""
    TERMINATE_EXISTING = "terminate_existing"
    """An open run is terminated in the commit that records the new one; a closed workflow gets a next run."""


class StopMode(StrEnum):
    """How a run ends, gently to hard."""

    GRACEFUL = "graceful"
    """No new work, running jobs finish, status `cancelled`."""
    KILL = "kill"
    """Jobs or child killed, status `terminated`."""
    LEAVE = "leave"
    """A graph leaves its jobs running (`cancelled`, reason `stopped`); elsewhere as kill."""


class StartRun(Command):
    """Begin a run.

    Attributes:
        workflow_id: made up by the core if absent.
        engine: `durable`, `graph`, `simulation`, or a plug-in's.
        workflow_type: the worker's type name, or the name of a graph or model.
        source: for graphs and simulations, where the definition comes from: `{"definition": NAME}` looks it up in
            `[definitions] directories`; `{"archive": bytes}` is a packed source directory (only the control wire).
        settings: `--set NAME=VALUE` pairs for templated definitions.
        mode: run mode: live, skip, simulation, dummy.
        options: engine options: `execution_timeout_s`, `run_timeout_s`, `business_key`, `priority`, `fairness_key`, …
        parent: the run that starts this one, as `RunDetail.parent`.
    """

    name: ClassVar[str] = "start_run"
    access: ClassVar[Access] = Access.WRITE
    scope: ClassVar[Scope] = Scope.START
    reply: ClassVar[str] = "{workflow_id, run_id, run_number, workflow_type, outcome: started|existing}"

    workflow_id: WorkflowId | None = None
    engine: ShortName
    workflow_type: ShortName
    task_queue: str = Field(default="", max_length=256)
    input: Json = None
    source: dict[str, Any] | None = None
    settings: dict[str, str] = Field(default_factory=dict, max_length=1_000)
    mode: str = Field(default="live", pattern="^(live|skip|simulation|dummy)$")
    memo: dict[str, Any] = Field(default_factory=dict)
    search_attributes: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    duplicate_policy: DuplicatePolicy = DuplicatePolicy.FAIL
    parent: dict[str, Any] | None = None


class StartChildRun(StartRun):
    """Begin a run that another run started; its parent chose the run's id, so that beginning it twice is once."""

    name: ClassVar[str] = "start_child_run"
    access: ClassVar[Access] = Access.SYSTEM

    run_id: RunId


class PlayRun(RunCommand):
    """Continue a stopped graph as the next run of its chain, keeping its tasks and finding its jobs.

    On an open run: resumes it.
    """

    name: ClassVar[str] = "play_run"
    access: ClassVar[Access] = Access.WRITE
    scope: ClassVar[Scope] = Scope.START
    reply: ClassVar[str] = "{workflow_id, run_id, run_number, workflow_type, outcome: started|existing}"


class StopRun(RunCommand):
    """End a run, in one of three ways."""

    name: ClassVar[str] = "stop_run"
    access: ClassVar[Access] = Access.END
    reply: ClassVar[str] = "{workflow_id, run_id, status}"

    mode: StopMode = StopMode.GRACEFUL
    reason: str | None = Field(default=None, max_length=1_000)


class PauseRun(RunCommand):
    """Start no new work until resumed. Pausing a paused run changes nothing."""

    name: ClassVar[str] = "pause_run"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{workflow_id, run_id, paused: true}"


class ResumeRun(RunCommand):
    """Go on after a pause. Resuming a running run changes nothing."""

    name: ClassVar[str] = "resume_run"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{workflow_id, run_id, paused: false}"


class SetRepeatingActions(RunCommand):
    """Replace a simulation's repeating actions: what is announced to all its watchers after every time step.

    Attributes:
        actions: (event name, params) pairs in order; meaning is the watching wire's.
    """

    name: ClassVar[str] = "set_repeating_actions"
    access: ClassVar[Access] = Access.WRITE

    actions: tuple[tuple[str, dict[str, Any]], ...] = Field(default=(), max_length=100)


class RegisterTables(RunCommand):
    """Store only these tables (and those registered before) from now on."""

    name: ClassVar[str] = "register_tables"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "list[str]: the registry, sorted"

    tables: tuple[Annotated[str, Field(max_length=1_000)], ...] = Field(max_length=1_000)


class DeregisterTables(RunCommand):
    """Take tables out of the registry; unknown names are ignored."""

    name: ClassVar[str] = "deregister_tables"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "list[str]: the registry, sorted"

    tables: tuple[Annotated[str, Field(max_length=1_000)], ...] = Field(max_length=1_000)


__all__ = [
    "DeregisterTables", "DuplicatePolicy", "PauseRun", "PlayRun", "RegisterTables", "ResumeRun", "RunId",
    "SetRepeatingActions", "StartChildRun", "StartRun", "StopMode", "StopRun",
]  # fmt: skip
