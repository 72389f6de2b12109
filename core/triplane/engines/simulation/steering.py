"""Tasks of a simulation: which step is next, and holding, releasing and triggering it by globs."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from triplane.engines.base import RunState, Step
from triplane.engines.simulation.seen import DETAIL
from triplane.engines.simulation.state import KEPT_STEPS, STEP_NAME, key_of, name_of, progress_of
from triplane.entities import Job, evolve
from triplane.errors import LimitReached, NothingMatched, RefusedInput

MAX_HELD = 1_000


def matches(glob: str, number: int, word: str) -> bool:
    """Whether `cycle[/name][:state]` means the task of step `number` whose state is `word` (contract cylc section 6).

    Raises:
        RefusedInput: it goes down to a job, or is empty.
    """
    rest, _, selector = glob.strip().removeprefix("//").removesuffix("/").partition(":")
    cycle, slash, name = rest.partition("/")
    if not cycle or "/" in name or (slash and not name):
        raise RefusedInput(f"{glob!r:.80} is not a task: cycle/name is")
    if ":" in selector:
        raise RefusedInput(f"{glob!r:.80} has more than one selector")
    if selector and not fnmatchcase(word, selector):
        return False
    same = int(cycle) == number if cycle.isascii() and cycle.isdigit() and len(cycle) < 16 else fnmatchcase(str(number), cycle)
    return same and (not slash or name == "root" or fnmatchcase(STEP_NAME, name))


def hold(state: RunState, step: Step, globs: Sequence[str]) -> list[str]:
    """Hold steps: one that is computing cannot be stopped half-way, so its glob holds the one after it.

    An exact `N/step` may name a step still to come.
    """
    progress = progress_of(state)
    following = progress.next_step
    chosen: set[int] = set()
    for glob in globs:
        if matches(glob, following, "waiting") or (progress.computing and matches(glob, progress.computing, "running")):
            chosen.add(following)
        else:
            chosen.update(_exact(glob, following, progress.steps or None))
    if not chosen:
        raise _nothing(state, globs)
    if len(progress.held | chosen) > MAX_HELD:
        raise LimitReached(f"more than {MAX_HELD} steps cannot be held at once")
    progress.held |= chosen
    step.emit("TasksHeld", {"tasks": _names(chosen)})
    return _names(chosen)


def release(state: RunState, step: Step, globs: Sequence[str], forgets: bool = False) -> list[str]:
    """Release held steps; all of them where the hold point is forgotten too."""
    progress = progress_of(state)
    chosen = {number for number in progress.held if forgets or any(matches(glob, number, "waiting") for glob in globs)}
    if not chosen and not forgets:
        raise _nothing(state, globs)
    if forgets:
        progress.hold_point = None
    progress.held -= chosen
    progress.let_go = max(progress.let_go, *chosen, 0)
    step.emit("TasksReleased", {"tasks": _names(chosen)})
    return _names(chosen)


def _exact(glob: str, least: int, most: int | None) -> Iterable[int]:
    cycle, _, name = glob.strip().removeprefix("//").partition("/")
    if name == STEP_NAME and cycle.isascii() and cycle.isdigit() and len(cycle) < 16:
        number = int(cycle)
        if number >= least and (most is None or number <= most):
            yield number


def _names(numbers: Iterable[int]) -> list[str]:
    return [name_of(number) for number in sorted(numbers)]


def _nothing(state: RunState, globs: Sequence[str]) -> NothingMatched:
    return NothingMatched(f"no step of {state.run.workflow_id!r} that can still begin matches {', '.join(globs)[:200]}")


def nothing_to_trigger(state: RunState, globs: Sequence[str]) -> NothingMatched:
    """The refusal of a trigger."""
    return NothingMatched(f"no waiting step of {state.run.workflow_id!r} matches {', '.join(globs)[:200]}")


def nothing_to_kill(state: RunState, globs: Sequence[str]) -> NothingMatched:
    """The refusal of a kill."""
    return NothingMatched(f"no step of {state.run.workflow_id!r} that is being computed matches {', '.join(globs)[:200]}")


# ---- steps as tasks ------------------------------------------------------------------------------------------------


def show_waiting(state: RunState, step: Step, number: int) -> None:
    """Have the next step seen as a task that waits."""
    held = number in progress_of(state).held
    task = state.tasks.get(key_of(number))
    if task is None:
        step.new_task(str(number), STEP_NAME, "waiting", is_held=held, detail=DETAIL)
    elif task.is_held != held:
        step.put_task(evolve(task, is_held=held))


def show_begun(state: RunState, step: Step, number: int) -> None:
    """Have a step seen as a task that runs, with its job, and let go of old ones."""
    task = state.tasks.get(key_of(number))
    attempt = 1 if task is None else task.submit_num + 1
    if task is None:
        step.new_task(str(number), STEP_NAME, "running", submit_num=1, detail=DETAIL)
    else:
        step.put_task(evolve(task, state="running", is_held=False, submit_num=attempt))
    pid = progress_of(state).pid
    step.new_job(
        str(number), STEP_NAME, attempt, "running",
        platform="simulation", job_id=str(pid) if pid else "", submitted=step.now, started=step.now,
    )  # fmt: skip
    step.prune_task(key_of(number - KEPT_STEPS))


def show_moved(state: RunState, step: Step, number: int) -> None:
    """Have a step seen in the process that took the place of another."""
    job = _job(state, number)
    if job is not None:
        step.put_job(evolve(job, job_id=str(progress_of(state).pid)))


def show_ended(state: RunState, step: Step, number: int, word: str) -> None:
    """Have a step seen as `succeeded` or `failed`."""
    task = state.tasks.get(key_of(number))
    job = _job(state, number)
    if task is not None:
        step.put_task(evolve(task, state=word))
    if job is not None:
        step.put_job(evolve(job, state=word, finished=step.now))


def show_killed(state: RunState, step: Step, number: int) -> None:
    """Have a step seen as held after its job failed: it is computed anew when it is released."""
    show_ended(state, step, number, "failed")
    task = state.tasks.get(key_of(number))
    if task is not None:
        step.put_task(evolve(task, state="waiting", is_held=True))


def _job(state: RunState, number: int) -> Job | None:
    """A step's present job."""
    task = state.tasks.get(key_of(number))
    return None if task is None else state.jobs.get((*key_of(number), task.submit_num))
