"""How each field of the schema gets its value.

A field that is not here is an attribute of its element, by the snake-case name. Arguments are read once when a request
is prepared (`read`), the value is taken each time an element is visited (`value`). Both ways of execution, the compiled
projection and graphql-core's own, use this one table.

Source: cylc.md section 3.3.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from triplane_cylc.datastore import FaceStore, elements
from triplane_cylc.graphql.limits import Budget
from triplane_cylc.graphql.select import Selection, id_list, selects_workflow, sort_key

Args = Mapping[str, Any]


@dataclass(slots=True)
class Context:
    """What one execution works on."""

    store: FaceStore
    budget: Budget


@dataclass(frozen=True, slots=True)
class Root:
    """The object above all; of the type that the operation starts from."""

    typename: str = "Queries"


@dataclass(frozen=True, slots=True)
class NodesEdges:
    nodes: list[elements.TaskProxy]
    edges: list[elements.Edge]
    typename: str = "NodesEdges"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """How one field is resolved.

    Attributes:
        value: (context, element, arguments as `read` left them) → value, element, list of elements, or None.
        read: arguments by schema name → whatever `value` wants.
    """

    value: Callable[[Context, Any, Any], Any]
    read: Callable[[Args], Any] = field(default=lambda args: args)


def _attribute(name: str) -> FieldRule:
    return FieldRule(lambda context, element, args: getattr(element, name))


def _selecting(kind: str, rows: Callable[[Context, Any, Selection], Iterable[Any]]) -> FieldRule:
    """A list of elements, filtered and sorted by the field's arguments."""

    def value(context: Context, element: Any, selection: Selection) -> list[Any]:
        return selection.among(rows(context, element, selection), context.store.workflow, context.budget)

    return FieldRule(value, lambda args: Selection(kind, args))


def _table(kind: str, table: str) -> FieldRule:
    """A whole table of the store, filtered and sorted; on root fields only if the workflow filters let it pass."""

    def value(context: Context, element: Any, selection: Selection) -> list[Any]:
        workflow = context.store.workflow
        if not selection.of_workflow(workflow):
            return []
        return selection.choose(getattr(context.store, table), workflow, context.budget)

    return FieldRule(value, lambda args: Selection(kind, args))


def _linked(kind: str, table: str, attribute: str) -> FieldRule:
    """Elements whose ids an attribute lists, filtered and sorted."""
    return _selecting(kind, lambda context, element, selection: _look_up(getattr(context.store, table), getattr(element, attribute)))


def _of_delta(kind: str, table: str) -> FieldRule:
    """The elements of one type in a delta, filtered and sorted; an empty list where it has none."""
    return _selecting(kind, lambda context, shown, selection: getattr(shown, table) or ())


def _look_up(rows: Mapping[str, Any], ids: Iterable[str]) -> list[Any]:
    return [rows[element_id] for element_id in ids if element_id in rows]


def _one(table: str, attribute: str) -> FieldRule:
    """The element whose id an attribute holds."""
    return FieldRule(lambda context, element, args: getattr(context.store, table).get(getattr(element, attribute)))


def _one_selected(kind: str, table: str, attribute: str) -> FieldRule:
    """The element whose id an attribute holds, if the arguments let it pass."""

    def value(context: Context, element: Any, selection: Selection) -> Any:
        found = getattr(context.store, table).get(getattr(element, attribute))
        if found is None or selection.is_plain:
            return found
        return next(iter(selection.among([found], context.store.workflow, context.budget)), None)

    return FieldRule(value, lambda args: Selection(kind, args))


def _by_id(kind: str, table: str) -> FieldRule:
    """The one element that a root field names, by full or relative id."""

    def value(context: Context, element: Any, selection: Selection) -> Any:
        rows = getattr(context.store, table)
        return next(iter(selection.choose(rows, context.store.workflow, context.budget)), None)

    return FieldRule(value, lambda args: Selection(kind, {"ids": [args["id"]]}))


def _workflows(context: Context, element: Any, selection: tuple[list[str], list[str]]) -> list[elements.Workflow]:
    ids, exids = selection
    workflow = context.store.workflow
    is_excluded = bool(exids) and selects_workflow(exids, workflow)
    return [workflow] if selects_workflow(ids, workflow) and not is_excluded else []


def _texts(args: Args, name: str) -> list[str]:
    return [text for text in args.get(name) or () if text is not None]


def _latest(context: Context, workflow: elements.Workflow, states: list[str]) -> dict[str, list[str]]:
    latest = workflow.latest_state_tasks
    return {state: ids for state, ids in latest.items() if state in states} if states else latest


def _broadcasts(context: Context, workflow: elements.Workflow, ids: list[str]) -> dict[str, Any]:
    """Broadcast settings by cycle and namespace; task ids leave out what does not reach their cycles.

    Source: cylc.md trap T18.
    """
    cycles = {text.partition("/")[0] for text in ids}
    return {cycle: value for cycle, value in workflow.broadcasts.items() if not cycles or cycle in cycles}


def _nodes_edges(context: Context, element: Any, selection: Selection) -> NodesEdges | None:
    """The tasks that the arguments mean, those up to `distance` edges away, and the edges between all of them."""
    store, budget = context.store, context.budget
    if not selection.of_workflow(store.workflow):
        return None
    nodes = {node.id: node for node in selection.choose(store.task_proxies, store.workflow, budget)}
    edges: dict[str, elements.Edge] = {}
    frontier = list(nodes.values())
    distance = selection.distance if selection.distance is not None else 1
    for _ in range(max(0, min(distance, len(store.task_proxies)))):
        found = []
        for node in frontier:
            budget.spend(1 + len(node.edges))
            for edge in _look_up(store.edges, node.edges):
                edges[edge.id] = edge
                for end in (edge.source, edge.target):
                    if end not in nodes and end in store.task_proxies:
                        nodes[end] = store.task_proxies[end]
                        found.append(nodes[end])
        if not found:
            break
        frontier = found
    return NodesEdges(list(nodes.values()), list(edges.values()))


@dataclass(frozen=True, slots=True)
class _Listing:
    """Arguments of outputs and triggers."""

    order: dict[str, int]
    limit: int
    satisfied: bool | None
    sort: tuple[Callable[[Any], Any], bool] | None


def _listing(kind: str) -> Callable[[Args], _Listing]:
    def read(args: Args) -> _Listing:
        order = {label: place for place, label in enumerate(_texts(args, "sortOrder"))}
        return _Listing(order, args.get("limit") or 0, args.get("satisfied"), sort_key(kind, args.get("sort")))

    return read


def _listed(attribute: str) -> Callable[[Context, Any, _Listing], list[Any]]:
    """Outputs or triggers: those in `sortOrder` first and in its order, or sorted; satisfied ones only; so many."""

    def value(context: Context, element: Any, listing: _Listing) -> list[Any]:
        items = list(getattr(element, attribute).values())
        if listing.satisfied is not None:
            items = [item for item in items if item.satisfied is listing.satisfied]
        if listing.sort is not None:
            items.sort(key=listing.sort[0], reverse=listing.sort[1])
        elif listing.order:
            items.sort(key=lambda item: listing.order.get(item.label, len(listing.order)))
        return items[: listing.limit] if listing.limit > 0 else items

    return value


def _condition_task(context: Context, condition: elements.Condition, args: Any) -> elements.TaskProxy | None:
    return context.store.task_proxies.get(f"{context.store.workflow.id}//{condition.task_proxy}")


RULES: dict[tuple[str, str], FieldRule] = {
    ("Subscriptions", "deltas"): FieldRule(lambda context, element, args: element.deltas),
    ("Queries", "workflows"): FieldRule(_workflows, lambda args: (id_list(args, "ids"), id_list(args, "exids"))),
    ("Queries", "job"): _by_id("Job", "jobs"),
    ("Queries", "task"): _by_id("Task", "tasks"),
    ("Queries", "taskProxy"): _by_id("TaskProxy", "task_proxies"),
    ("Queries", "family"): _by_id("Family", "families"),
    ("Queries", "familyProxy"): _by_id("FamilyProxy", "family_proxies"),
    ("Queries", "nodesEdges"): FieldRule(_nodes_edges, lambda args: Selection("TaskProxy", args)),
    ("Queries", "edges"): _table("Edge", "edges"),
    ("Workflow", "nodesEdges"): FieldRule(_nodes_edges, lambda args: Selection("TaskProxy", args)),
    ("Workflow", "latestStateTasks"): FieldRule(_latest, lambda args: _texts(args, "states")),
    ("Workflow", "broadcasts"): FieldRule(_broadcasts, lambda args: id_list(args, "ids")),
    ("TaskProxy", "task"): _one("tasks", "task"),
    ("TaskProxy", "extras"): FieldRule(lambda context, element, args: {}),
    ("TaskProxy", "outputs"): FieldRule(_listed("outputs"), _listing("Output")),
    ("TaskProxy", "xtriggers"): FieldRule(_listed("xtriggers"), _listing("XTrigger")),
    ("TaskProxy", "externalTriggers"): FieldRule(_listed("external_triggers"), _listing("XTrigger")),
    ("TaskProxy", "jobs"): _linked("Job", "jobs", "jobs"),
    ("TaskProxy", "firstParent"): _one_selected("FamilyProxy", "family_proxies", "first_parent"),
    ("TaskProxy", "parents"): _selecting(
        "FamilyProxy", lambda context, element, selection: _look_up(context.store.family_proxies, [element.first_parent])
    ),
    ("TaskProxy", "ancestors"): _linked("FamilyProxy", "family_proxies", "ancestors"),
    ("FamilyProxy", "family"): _one("families", "family"),
    ("FamilyProxy", "childTasks"): _linked("TaskProxy", "task_proxies", "child_tasks"),
    ("FamilyProxy", "childFamilies"): _linked("FamilyProxy", "family_proxies", "child_families"),
    ("FamilyProxy", "firstParent"): _one_selected("FamilyProxy", "family_proxies", "first_parent"),
    ("FamilyProxy", "ancestors"): _linked("FamilyProxy", "family_proxies", "ancestors"),
    ("Task", "proxies"): _linked("TaskProxy", "task_proxies", "proxies"),
    ("Task", "parents"): _linked("Family", "families", "parents"),
    ("Task", "firstParent"): _one("families", "first_parent"),
    ("Family", "proxies"): _linked("FamilyProxy", "family_proxies", "proxies"),
    ("Family", "parents"): _linked("Family", "families", "parents"),
    ("Family", "childTasks"): _linked("Task", "tasks", "child_tasks"),
    ("Family", "childFamilies"): _linked("Family", "families", "child_families"),
    ("Family", "firstParent"): _one("families", "first_parent"),
    ("Job", "taskProxy"): _one("task_proxies", "task_proxy"),
    ("Condition", "taskId"): _attribute("task_proxy"),
    ("Condition", "taskProxy"): FieldRule(_condition_task),
    ("Edge", "sourceNode"): _one("task_proxies", "source"),
    ("Edge", "targetNode"): _one("task_proxies", "target"),
    ("Edges", "edges"): _linked("Edge", "edges", "edges"),
    ("Runtime", "runMode"): FieldRule(lambda context, runtime, args: runtime.run_mode.title()),
}
for _kind, _field_name, _rows in (
    ("Job", "jobs", "jobs"),
    ("Task", "tasks", "tasks"),
    ("TaskProxy", "taskProxies", "task_proxies"),
    ("Family", "families", "families"),
    ("FamilyProxy", "familyProxies", "family_proxies"),
    ("Edge", "edges", "edges"),
):
    # The edges of a workflow are an object of their own.
    for _parent in ("Queries", "Workflow") if _kind != "Edge" else ():
        RULES[_parent, _field_name] = _table(_kind, _rows)
    for _parent in ("Added", "Updated"):
        RULES[_parent, _field_name] = _of_delta(_kind, _rows)
