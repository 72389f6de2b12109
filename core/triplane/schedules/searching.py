"""Finding schedules: the query language of runs, asked of what schedules have."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from triplane.entities import RunDetail
from triplane.schedules.entities import Schedule, SchedulePage
from triplane.store.interface import ScheduleStore
from triplane.visibility.attributes import index_rows
from triplane.visibility.expressions import AnyOf, Compare, Every, Expression, Field, Mentions, Missing, Negated, Prefix, Some, Within
from triplane.visibility.language import is_query, read_search

OWN = {"ScheduleId": "keyword", "ScheduleStatus": "keyword", "NextFireTime": "datetime"}
"""What schedules can be asked for beside what runs have too."""

MAX_LOOKED_AT = 2_000
"""Schedules that one page looks at; the page may be short then, and goes on where it ended."""

PORTION = 200

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def find_schedules(
    store: ScheduleStore, namespace: str, query: str, definitions: Mapping[str, str], *, limit: int, after: str | None, **filters: Any
) -> SchedulePage:
    """A page of schedules that pass the filters of `ScheduleStore.page` and a query.

    Args:
        query: an expression over custom search attributes and `ScheduleId`, `ScheduleStatus`, `WorkflowType`, `TaskQueue`,
            `StartTime` (its making) and `NextFireTime`; or any text, which is looked for in ids and workflow types.

    Raises:
        InvalidFields: of `query`.
    """
    if not is_query(query):
        return store.page(namespace, text=query.strip(), limit=limit, after=after, **filters)
    where = read_search(query, {**definitions, **OWN}).where
    found: list[Schedule] = []
    for _ in range(MAX_LOOKED_AT // PORTION):
        page = store.page(namespace, text="", limit=PORTION, after=after, **filters)
        for schedule in page.schedules:
            if where is None or holds(where, attributes_of(schedule)):
                found.append(schedule)
            if len(found) > limit:
                return SchedulePage(tuple(found[:limit]), found[limit - 1].schedule_id)
        after = page.next
        if after is None:
            break
    return SchedulePage(tuple(found), after)


def attributes_of(schedule: Schedule) -> dict[str, list[tuple[str, Any]]]:
    """What a schedule can be asked for: name → (form, value) pairs."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for name, form, value in index_rows(RunDetail(search_attributes=schedule.search_attributes)):
        found.setdefault(name, []).append((form, value))
    action = schedule.action
    workflow_type = action["workflow_type"] if action["engine"] == "durable" else f"{action['engine']}:{action['workflow_type']}"
    found |= {
        "ScheduleId": [("text", schedule.schedule_id)],
        "ScheduleStatus": [("text", schedule.status)],
        "WorkflowType": [("text", workflow_type)],
        "TaskQueue": [("text", action["task_queue"])],
        "StartTime": [("moment", round(schedule.created * 1e6))],
    }
    if schedule.next_fire_at is not None:
        found["NextFireTime"] = [("moment", round(schedule.next_fire_at * 1e6))]
    return found


def holds(expression: Expression, attributes: Mapping[str, list[tuple[str, Any]]]) -> bool:
    """Whether an expression is true of a schedule."""
    match expression:
        case Every(parts):
            return all(holds(part, attributes) for part in parts)
        case Some(parts):
            return any(holds(part, attributes) for part in parts)
        case Negated(part):
            return not holds(part, attributes)
        case Missing(field):
            return not attributes.get(field.name)
        case Compare(field, sign, value):
            return any(_OPERATORS[sign](mine, value) for mine in _values(field, attributes))
        case AnyOf(field, values):
            return any(mine in values for mine in _values(field, attributes))
        case Within(field, low, high):
            return any(low <= mine <= high for mine in _values(field, attributes))
        case Prefix(field, text):
            return any(mine.startswith(text) for mine in _values(field, attributes))
        case Mentions(text):
            return any(text.lower() in mine.lower() for name in ("ScheduleId", "WorkflowType") for _, mine in attributes[name])


def _values(field: Field, attributes: Mapping[str, list[tuple[str, Any]]]) -> list[Any]:
    return [value for form, value in attributes.get(field.name, ()) if form == field.form]
