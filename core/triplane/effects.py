"""What an engine wants done in the world once its step is on disk.

Effects start after the commit, at least once: whoever carries one out must make a second time harmless. After a
restart `Engine.recover` returns them again for whatever is still open.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from triplane.values import value

if TYPE_CHECKING:
    from triplane.commands.base import Command
    from triplane.commands.runs import StartChildRun


@value()
class Effect:
    """Root of all effects; `run_id` is the run that asked."""

    run_id: str


@value()
class OfferTask(Effect):
    """Put a task in its queue, for a worker's poll to lease.

    Attributes:
        kind: `workflow` or `activity` (matching's own are `query` and `update_validation`).
        task_id: stable over redeliveries of a workflow task; new for each activity attempt.
        item_type: workflow or activity type, matched against what workers support.
        priority: 0 (first) to 9. Within a priority the fairness keys take turns, each as often as its weight, 1 to 1000.
        build: only for workers of that build (empty: for those that name none); None is for any.
        cooperative: only for workers that understand cooperative cancellation.
        session: the worker session an activity belongs to, as the workflow asked for it (contract durable 4.1).
    """

    namespace: str
    task_queue: str
    kind: str
    task_id: str
    item_type: str
    workflow_id: str
    priority: int = 5
    fairness_key: str = ""
    fairness_weight: int = 1
    build: str | None = None
    session: Mapping[str, Any] | None = None
    cooperative: bool = False


@value()
class WithdrawTask(Effect):
    """Take a task out of its queue, if it is still there."""

    task_id: str


@value()
class SubmitJob(Effect):
    """Submit one job of a graph task; submitting the same (cycle, name, submit_num) again must be harmless.

    Attributes:
        spec: script parts, environment, platform settings as the engine resolved them.
    """

    cycle: str
    name: str
    submit_num: int
    platform: str
    spec: Mapping[str, Any]


@value()
class KillJob(Effect):
    """Kill a job, wherever it is."""

    cycle: str
    name: str
    submit_num: int
    platform: str
    job_id: str


@value()
class PollJob(Effect):
    """Find out how a job stands and report it."""

    cycle: str
    name: str
    submit_num: int
    platform: str
    job_id: str


@value()
class CallXtrigger(Effect):
    """Call a graph's xtrigger again and again until it says yes; the run is told with `XtriggerAnswered`.

    Attributes:
        signature: names the call within its run.
        call: `{"function", "arguments", "named", "interval_s", "directory"}`; the function is looked up in `lib/python` of
            the directory unless it is one of our own (`echo`, `xrandom`, `workflow_state`).
    """

    signature: str
    call: Mapping[str, Any]


@value()
class ForgetXtrigger(Effect):
    """Nobody waits for a call any more."""

    signature: str


@value()
class RunHandler(Effect):
    """Run an event handler's command in a shell; tried again after each delay while it fails.

    Attributes:
        directory: the source directory, whose `bin` is on the path; empty where there is none.
    """

    command: str
    directory: str
    retry_delays_s: tuple[float, ...]


@value()
class ReadDefinition(Effect):
    """Read a graph's changed definition; the run is told with `DefinitionRead`.

    Attributes:
        source: where from, as `StartRun.source` has it.
        settings: `--set` pairs.
    """

    source: Mapping[str, Any]
    settings: Mapping[str, str]


@value()
class StartModel(Effect):
    """Start (or resume) a simulation's child process.

    Attributes:
        model: entry-point name of the model; source: what it loads.
        resume_step: last step already recorded (0: only the rows of the load); -1 for a start from nothing.
        code: where `model` is FILE.py:CLASS, the text of that file; else empty.
    """

    model: str
    source: Mapping[str, Any]
    resume_step: int
    code: str = ""


@value()
class StepModel(Effect):
    """Let the child compute one time step; it answers with `ModelStepped`.

    Attributes:
        flush: the step's rows are wanted with its answer; else a model for which that is costly may give them a little later.
        is_free: nothing is known that would keep back the steps that follow, so that they may be computed ahead.
    """

    step: int
    flush: bool = True
    is_free: bool = False


@value()
class StopModel(Effect):
    """End a simulation's child process."""


@value()
class Dispatch(Effect):
    """Send a command into another (or the same) run, as the system; give it a request id so that twice is once."""

    command: "Command"


@value()
class ChildRef:
    """A child run as its parent knows it.

    Attributes:
        namespace, workflow_id, run_id: of the parent run that started it.
        sequence: the parent's step; attempt: which run of the child's retry policy, from 1.
        child_namespace, child_workflow_id: the child.
        shared: whoever started that workflow, it is the one (a service operation, named by its idempotency key).
    """

    namespace: str
    workflow_id: str
    run_id: str
    sequence: int
    attempt: int
    child_namespace: str
    child_workflow_id: str
    shared: bool


@value()
class StartChild(Effect):
    """Start a child, or find the one that was started; its parent is sent `ChildClosed` when it closes, or is closed."""

    child: ChildRef
    start: "StartChildRun"


@value()
class EndChild(Effect):
    """End a child that is open; its parent is sent `ChildClosed`, if it is still there to hear it.

    Attributes:
        how: `request_cancel`, `terminate`, or `request_cancellation`: let it cancel itself, if it can be told.
    """

    child: ChildRef
    how: str
    reason: str


@value()
class VisitParent(Effect):
    """The run has a parent: if that has closed meanwhile, do with this run what its parent-close policy says."""


@value()
class StreamChanged(Effect):
    """One of the run's output streams has new items or has ended: whoever waits for that may look again."""

    stream: str


@value()
class Resolve(Effect):
    """Tell an in-memory waiter of the core (matching, updates) that something happened; lost on restart by design."""

    topic: str
    value: Any = None
