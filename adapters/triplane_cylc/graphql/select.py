"""Which elements a field's arguments mean: ids, states, flags, depths, and in which order.

Ids are patterns: parts separated by `/` after an optional `~user/workflow//`, an empty part means any, each part may be
a glob (case-sensitive) and may have a `:state` selector.

Source: cylc.md section 3.1 (arguments), section 6 last paragraphs (id filters).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import translate
from functools import lru_cache
from operator import attrgetter
from typing import Any

from triplane_cylc.datastore import elements
from triplane_cylc.datastore.identity import cycle_order
from triplane_cylc.graphql.limits import Budget, GraphQLRefused

MAX_IDS = 1_000
"""Ids in one argument."""

Test = Callable[[str], object]
Predicate = Callable[[Any], object]

SORTABLE: dict[str, dict[str, type]] = {
    kind.typename: {field.name: field.type for field in fields(kind) if field.type in (str, int, float, bool)}
    for kind in (
        elements.Workflow, elements.Task, elements.Family, elements.TaskProxy, elements.FamilyProxy, elements.Job,
        elements.Edge, elements.Output, elements.Trigger,
    )
}  # fmt: skip
"""The keys that each type can be sorted by."""


def snake_case(name: str) -> str:
    """`cyclePoint` → `cycle_point`; names that are snake case stay."""
    return name if name.isupper() else re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@lru_cache(maxsize=1_024)
def _test(glob: str) -> Test | None:
    """A test of one id part; None where anything passes."""
    if glob in ("", "*"):
        return None
    if not any(sign in glob for sign in "*?["):
        return glob.__eq__
    return re.compile(translate(glob)).match


@dataclass(frozen=True, slots=True)
class IdPattern:
    """One id of a filter, taken apart. Each test is None where anything passes; `owner` is empty in a relative id."""

    owner: str
    parts: tuple[str, str, str]
    cycle: Test | None
    name: Test | None
    job: Test | None
    selector: str

    @property
    def exact(self) -> str:
        """`cycle/name` if the pattern means that one task or family, else empty."""
        cycle, name, job = self.parts
        is_exact = cycle and name and not job and not self.selector and not any(sign in cycle + name for sign in "*?[")
        return f"{cycle}/{name}" if is_exact else ""

    def has_proxy(self, element: Any) -> bool:
        """Whether a task proxy or family proxy is meant."""
        return (
            (self.cycle is None or bool(self.cycle(element.cycle_point)))
            and (self.name is None or bool(self.name(element.name)))
            and (not self.selector or element.state == self.selector)
        )

    def has_job(self, element: elements.Job) -> bool:
        """Whether a job is meant."""
        return self.has_proxy(element) and (self.job is None or bool(self.job(f"{element.submit_num:02d}")))


def workflow_part(text: str) -> tuple[str, str]:
    """The workflow before `//` (empty for a relative id) and what follows it."""
    before, slashes, after = text.strip().partition("//")
    if slashes:
        return before, after
    return (before, "") if before.startswith("~") else ("", before)


def parse_id(text: str) -> IdPattern:
    """An id of a filter.

    Raises:
        GraphQLRefused: it has too many parts.
    """
    owner, relative = workflow_part(text)
    words = relative.strip("/").split("/") if relative.strip("/") else []
    if len(words) > 3:
        raise GraphQLRefused(f"Invalid id: {text[:200]}")
    globs, selector = [], ""
    for word in words:
        glob, _, state = word.partition(":")
        globs.append(glob.strip())
        selector = selector or state.strip()
    cycle, name, job = (*globs, "", "", "")[:3]
    job_test = _test(f"{int(job):02d}" if job.isdecimal() and len(job) < 10 else job)
    return IdPattern(owner, (cycle, name, job), _test(cycle), _test(name), job_test, selector)


def selects_workflow(ids: Iterable[Any] | None, workflow: elements.Workflow) -> bool:
    """Whether a list of workflow ids means `workflow`: `WID`, `~user/WID`, globs, `:status` selectors; empty means all."""
    patterns = [str(text).strip() for text in ids or () if text is not None]
    return not patterns or any(_names_workflow(pattern, workflow) for pattern in patterns[:MAX_IDS])


def _names_workflow(pattern: str, workflow: elements.Workflow) -> bool:
    pattern, _, status = pattern.removesuffix("//").partition(":")
    if status and status != workflow.status:
        return False
    if pattern.startswith("~"):
        user, _, pattern = pattern[1:].partition("/")
        user_test = _test(user)
        if user_test is not None and not user_test(workflow.owner):
            return False
    name_test = _test(pattern.rstrip("/"))
    return name_test is None or bool(name_test(workflow.name))


def id_list(args: Mapping[str, Any], name: str) -> list[str]:
    ids = [str(text) for text in args.get(name) or () if text is not None]
    if len(ids) > MAX_IDS:
        raise GraphQLRefused(f"{name} has {len(ids)} ids; at most {MAX_IDS} are read.")
    return ids


class Selection:
    """The arguments of one list field, read once for all the times that the field is resolved.

    Attributes:
        workflows, exworkflows: the workflow filters of root fields.
        distance: how many edges `nodesEdges` goes.
    """

    def __init__(self, kind: str, args: Mapping[str, Any]) -> None:
        """Read the arguments of a field whose elements have the type `kind`.

        Raises:
            GraphQLRefused: too many ids, or a sort key that the type does not have.
        """
        self.kind = kind
        self.workflows, self.exworkflows = id_list(args, "workflows"), id_list(args, "exworkflows")
        self._ids, self._exids = ([parse_id(text) for text in id_list(args, name)] for name in ("ids", "exids"))
        # The schema gives edges the arguments of jobs, but they have no state.
        self._predicates = [] if kind == "Edge" else list(_plain_predicates(args))
        self._sort = sort_key(kind, args.get("sort"))
        self.distance = args.get("distance")

    @property
    def is_plain(self) -> bool:
        """Whether every element passes and the order is the store's."""
        return not (self._ids or self._exids or self._predicates or self._sort)

    def of_workflow(self, workflow: elements.Workflow) -> bool:
        """Whether the workflow filters let `workflow` pass."""
        excluded = self.exworkflows and selects_workflow(self.exworkflows, workflow)
        return selects_workflow(self.workflows, workflow) and not excluded

    def choose(self, rows: Mapping[str, Any], workflow: elements.Workflow, budget: Budget) -> list[Any]:
        """The elements of a whole table that are meant, sorted."""
        exact = self._exact(rows, workflow)
        return self.among(rows.values() if exact is None else exact, workflow, budget)

    def among(self, candidates: Iterable[Any], workflow: elements.Workflow, budget: Budget) -> list[Any]:
        """The elements of `candidates` that are meant, sorted."""
        chosen = list(candidates)
        if self.is_plain:
            return chosen
        ids, exids = _of_workflow(self._ids, workflow), _of_workflow(self._exids, workflow)
        # Trying an id takes less time than visiting an element does.
        budget.spend(len(chosen) * (1 + len(ids) + len(exids)) // 2)
        test = _id_test(self.kind)
        if self._ids:
            chosen = [element for element in chosen if any(test(pattern, element) for pattern in ids)]
        for predicate in self._predicates:
            chosen = list(filter(predicate, chosen))
        if exids:
            chosen = [element for element in chosen if not any(test(pattern, element) for pattern in exids)]
        if self._sort is not None and len(chosen) > 1:
            key, reverse = self._sort
            chosen.sort(key=key, reverse=reverse)
        return chosen

    def _exact(self, rows: Mapping[str, Any], workflow: elements.Workflow) -> list[Any] | None:
        """Elements looked up instead of searched for, where all ids are exact ids of proxies."""
        if not self._ids or self.kind not in ("TaskProxy", "FamilyProxy"):
            return None
        if not all(pattern.exact for pattern in self._ids):
            return None
        full = {f"{workflow.id}//{pattern.exact}" for pattern in _of_workflow(self._ids, workflow)}
        if len(full) == 1:
            return [rows[element_id] for element_id in full if element_id in rows]
        # The answer keeps the store's order, so with several ids the table is gone through, which is one look-up each.
        return [element for element_id, element in rows.items() if element_id in full]


def _of_workflow(patterns: list[IdPattern], workflow: elements.Workflow) -> list[IdPattern]:
    return [pattern for pattern in patterns if not pattern.owner or selects_workflow([pattern.owner], workflow)]


def _plain_predicates(args: Mapping[str, Any]) -> Iterable[Predicate]:
    """Tests on an element's own fields, for the arguments that were given."""
    states, exstates = frozenset(args.get("states") or ()), frozenset(args.get("exstates") or ())
    if states:
        yield lambda element: element.state in states
    if exstates:
        yield lambda element: element.state not in exstates
    for name in ("isHeld", "isQueued", "isRunahead"):
        wanted = args.get(name)
        if wanted is not None:
            yield _flag_test(snake_case(name), wanted)
    least, most, window = args.get("mindepth"), args.get("maxdepth"), args.get("graphDepth")
    if least is not None and least >= 0:
        yield lambda element: element.depth >= least
    if most is not None and most >= 0:
        yield lambda element: element.depth <= most
    if window is not None and window >= 0:
        yield lambda element: element.graph_depth <= window


def _flag_test(name: str, wanted: bool) -> Predicate:
    value = attrgetter(name)
    return lambda element: value(element) is wanted


def _id_test(kind: str) -> Callable[[IdPattern, Any], bool]:
    if kind == "Job":
        return IdPattern.has_job
    if kind in ("Task", "Family"):
        return _has_definition
    if kind == "Edge":
        return _has_edge
    return _has_task


def _has_task(pattern: IdPattern, element: Any) -> bool:
    return not pattern.parts[2] and pattern.has_proxy(element)


def _has_definition(pattern: IdPattern, element: Any) -> bool:
    """Definitions go by their name, or by the last part of their id."""
    name = pattern.parts[1] or pattern.parts[0].removeprefix("$namespace|")
    test = _test(name)
    return test is None or bool(test(element.name))


def _has_edge(pattern: IdPattern, element: Any) -> bool:
    test = _test("/".join(part for part in pattern.parts if part))
    return test is None or bool(test(element.id.partition("//")[2]))


def sort_key(kind: str, sort: Mapping[str, Any] | None) -> tuple[Callable[[Any], Any], bool] | None:
    """The key function and direction of a `sort` argument; None to keep the store's order.

    Raises:
        GraphQLRefused: a key that elements of this type do not have.
    """
    if sort is None:
        return None
    keys = [snake_case(key) for key in sort.get("keys") or () if key is not None]
    for key in keys:
        if key not in SORTABLE.get(kind, {}):
            raise GraphQLRefused(f"Cannot sort {kind} by {key[:100]!r}.")
    if not keys:
        return None
    getters: Sequence[Callable[[Any], Any]] = [attrgetter(key) if key != "cycle_point" else _cycle for key in keys]
    key_function = getters[0] if len(getters) == 1 else lambda element: [getter(element) for getter in getters]
    return key_function, bool(sort.get("reverse"))


def _cycle(element: Any) -> Any:
    return cycle_order(element.cycle_point)
