"""What `[runtime]` says of a task, as the engine and the job runners use it. Times are seconds."""

from dataclasses import dataclass, field

SCRIPTS = ("init-script", "env-script", "pre-script", "script", "post-script", "err-script", "exit-script")
"""The parts of a job's script, by setting name."""

EVENTS = (
    "submitted", "started", "succeeded", "failed", "expired", "submission failed", "submission retry", "retry", "late",
    "warning", "critical", "custom", "execution timeout", "submission timeout",
)  # fmt: skip
"""Task events that `[events]… handlers` may name, by their setting's name without ` handlers`."""


@dataclass(frozen=True, slots=True)
class TaskEvents:
    """`[runtime][…][events]`.

    Attributes:
        handlers: event → commands of its own (`failed handlers = …`).
        general_handlers: commands for every one of `handler_events`.
        execution_timeout_s, submission_timeout_s, late_offset_s: None for none.
    """

    handlers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    general_handlers: tuple[str, ...] = ()
    handler_events: tuple[str, ...] = ()
    handler_retry_delays_s: tuple[float, ...] = ()
    execution_timeout_s: float | None = None
    submission_timeout_s: float | None = None
    late_offset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Simulation:
    """`[runtime][…][simulation]`.

    Attributes:
        fail_cycle_points: points as integers; `fails_everywhere` for `all`.
        speedup_factor: the execution time limit divided by this is the run length; None for none.
    """

    default_run_length_s: float = 10.0
    speedup_factor: float | None = None
    time_limit_buffer_s: float = 30.0
    fail_cycle_points: tuple[int, ...] = ()
    fails_everywhere: bool = False
    fail_try_1_only: bool = True
    disable_task_event_handlers: bool = True


@dataclass(frozen=True, slots=True)
class Skip:
    """`[runtime][…][skip]`; `outputs` are labels, none for what the graph requires."""

    outputs: tuple[str, ...] = ()
    disable_task_event_handlers: bool = True


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """Settings of one task after inheritance.

    Attributes:
        scripts: script parts by setting name (`script`, `pre-script`, …).
        environment: in the order of definition, as written; parameter templates come first.
        environment_include: only these variables, where not None; environment_exclude: never these.
        execution_polling_s, submission_polling_s: None where the platform's are to be used. Source: contract 5.7.
        directives: in the order of definition.
        run_mode: `live`, `skip`, `simulation`, `dummy`; empty for the workflow's.
    """

    scripts: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    environment_include: tuple[str, ...] | None = None
    environment_exclude: tuple[str, ...] = ()
    platform: str = "localhost"
    work_sub_directory: str = ""
    execution_time_limit_s: float | None = None
    execution_retry_delays_s: tuple[float, ...] = ()
    submission_retry_delays_s: tuple[float, ...] = ()
    execution_polling_s: tuple[float, ...] | None = None
    submission_polling_s: tuple[float, ...] | None = None
    directives: dict[str, str] = field(default_factory=dict)
    run_mode: str = ""
    meta: dict[str, str] = field(default_factory=dict)
    events: TaskEvents = TaskEvents()
    simulation: Simulation = Simulation()
    skip: Skip = Skip()

    @property
    def title(self) -> str:
        """`[meta]title`."""
        return self.meta.get("title", "")
