"""Task globs, `cycle/name[:state]`, against the tasks of a run (contract cylc section 6)."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import attrgetter

from triplane.engines.base import RunState
from triplane.engines.graph.plan import Plan
from triplane.engines.graph.pool import Pool
from triplane.entities import Task, TaskKey
from triplane.errors import NothingMatched, RefusedInput

_GLOB_MARKS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One glob, cut up.

    Attributes:
        name: None where the glob names cycles alone.
        cycle_state, name_state: selectors, which are globs of state words too.
    """

    cycle: str
    name: str | None
    cycle_state: str | None
    name_state: str | None

    def exact_in(self, plan: Plan) -> TaskKey | None:
        """The one task it can mean, where it has no glob and no selector."""
        if self.name is None or self.cycle_state or self.name_state or _GLOB_MARKS & {*self.cycle, *self.name}:
            return None
        return (_canonical(plan, self.cycle), self.name)


def parse_pattern(text: str) -> Pattern:
    """Cut up a glob.

    Raises:
        RefusedInput: it is empty, or goes down to a job.
    """
    parts = text.strip().removeprefix("//").removesuffix("/").split("/")
    if len(parts) > 2:
        raise RefusedInput(f"{text!r} names a job; this takes tasks, cycle/name")
    cycle, _, cycle_state = parts[0].strip().partition(":")
    name, name_state = None, ""
    if len(parts) == 2:
        name, _, name_state = parts[1].strip().partition(":")
    if not cycle or name == "":
        raise RefusedInput(f"{text!r} is not a task: cycle/name is")
    return Pattern(cycle, name, cycle_state or None, name_state or None)


def match_active(state: RunState, pool: Pool, patterns: Iterable[Pattern]) -> dict[TaskKey, Task]:
    """The run's tasks that are not complete and match any pattern, in creation order."""
    found: set[TaskKey] = set()
    others: list[Pattern] = []
    for pattern in patterns:
        exact = pattern.exact_in(pool.plan)
        if exact is not None and exact in pool.active:
            found.add(exact)
        else:
            others.append(pattern)
    if not others:
        # Most commands name their tasks: these are looked up, however many others the run has.
        return {task.key: task for task in sorted((state.tasks[key] for key in found), key=attrgetter("seq"))}
    tasks = {key: state.tasks[key] for key in pool.active}
    for pattern in others:
        exact_cycle = _canonical(pool.plan, pattern.cycle)
        cycles = _cycles_with(tasks.values(), pattern.cycle_state) if pattern.cycle_state else None
        found.update(
            key for key, task in tasks.items() if (cycles is None or task.cycle in cycles) and _matches(pattern, exact_cycle, task)
        )
    return {key: task for key, task in tasks.items() if key in found}


def match_inactive(state: RunState, pool: Pool, patterns: Iterable[Pattern]) -> dict[TaskKey, Task | None]:
    """Tasks that are named exactly and are not active: complete ones, and (None) those that the graph has and are not spawned."""
    found: dict[TaskKey, Task | None] = {}
    for pattern in patterns:
        key = pattern.exact_in(pool.plan)
        if key is None or key in pool.active:
            continue
        task = state.tasks.get(key)
        if task is not None or _is_in_graph(pool.plan, key):
            found[key] = task
    return found


def nothing_matched(globs: Iterable[str]) -> NothingMatched:
    """The refusal, naming the globs."""
    return NothingMatched(f"no active tasks match {', '.join(list(globs)[:10])}")


def _cycles_with(tasks: Iterable[Task], selector: str) -> set[str]:
    return {task.cycle for task in tasks if fnmatchcase(task.state, selector)}


def _matches(pattern: Pattern, exact_cycle: str, task: Task) -> bool:
    if exact_cycle != task.cycle and not fnmatchcase(task.cycle, pattern.cycle):
        return False
    if pattern.name_state and not fnmatchcase(task.state, pattern.name_state):
        return False
    if pattern.name is None:
        # A single word names a cycle; only `*` and selectors of cycles reach tasks by it.
        return True
    return fnmatchcase(task.name, pattern.name) or any(
        fnmatchcase(family, pattern.name) for family in task.detail["families"]
    )


def _canonical(plan: Plan, cycle: str) -> str:
    """`01` and `1` are the same point."""
    if _GLOB_MARKS & {*cycle}:
        return cycle
    try:
        return plan.cycle(plan.point(cycle))
    except ValueError:
        return cycle


def _is_in_graph(plan: Plan, key: TaskKey) -> bool:
    try:
        point = plan.point(key[0])
    except ValueError:
        return False
    return plan.has(key[1], point)
