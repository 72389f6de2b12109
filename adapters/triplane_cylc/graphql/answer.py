"""Answers to prepared requests.

Source: cylc.md sections 2.3 (reply of `graphql`), 3.1 (stripNull), 3.4 (results of mutations), 3.6 (subscriptions).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import ExecutionResult, GraphQLResolveInfo, execute, get_named_type, is_list_type

from triplane_cylc.datastore import FaceStore
from triplane_cylc.datastore.changes import Changes
from triplane_cylc.graphql.documents import Prepared
from triplane_cylc.graphql.fields import RULES, Context, Root
from triplane_cylc.graphql.limits import Budget, GraphQLRefused
from triplane_cylc.graphql.schema import cylc_schema
from triplane_cylc.graphql.select import snake_case


def execute_query(prepared: Prepared, store: FaceStore) -> dict[str, Any]:
    """The `data` object of a query, or of a subscription, which gets null for each of its fields.

    Values in it may belong to the store: encode the answer before the store changes.

    Raises:
        GraphQLRefused: the answer would be too large, or graphql-core found an error while it executed.
    """
    if prepared.operation == "mutation":
        # One that calls nothing: `mutation { __typename }`.
        return mutation_data(prepared, {})
    if prepared.operation == "subscription":
        return {field.key: None for field in prepared.fields}
    context = Context(store, Budget())
    if prepared.plan is not None:
        data = prepared.plan.row(Root(), context)
    else:
        data = execute_plainly(prepared, context)
    return strip_null(data) if prepared.strips_null else data


def execute_over(prepared: Prepared, stores: Sequence[FaceStore]) -> dict[str, Any]:
    """The `data` object of a query over many runs: lists run by run, objects from the first run that has one.

    Sort arguments hold within each run. Values in it may belong to the stores: encode the answer before they change.

    Raises:
        GraphQLRefused: as `execute_query`; or introspection and data in one request.
    """
    if prepared.plan is None and prepared.operation == "query":
        if not all(field.name.startswith("__") for field in prepared.fields):
            raise GraphQLRefused("Ask for the schema and for data in two requests.")
        return execute_plainly(prepared, None)
    root = cylc_schema().query_type
    assert root is not None, "the schema has queries"
    answers = [execute_query(prepared, store) for store in stores]
    data: dict[str, Any] = {}
    for field in prepared.fields:
        found = [answer[field.key] for answer in answers if answer.get(field.key) is not None]
        if field.name.startswith("__"):
            data[field.key] = root.name
        elif is_list_type(root.fields[field.name].type):
            data[field.key] = [item for each in found for item in each]
        elif field.name == "nodesEdges" and found:
            data[field.key] = _joined(found)
        else:
            data[field.key] = found[0] if found else None
    return data


def _joined(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The same selection of several runs, its lists one after the other."""
    joined = dict(found[0])
    for other in found[1:]:
        joined.update({key: [*joined[key], *value] for key, value in other.items() if isinstance(value, list)})
    return joined


@dataclass(frozen=True, slots=True)
class Event:
    """What a subscription starts from: one batch."""

    deltas: Changes
    typename: str = "Subscriptions"


def subscription_data(prepared: Prepared, changes: Changes, store: FaceStore) -> dict[str, Any]:
    """The `data` object of one event of a subscription; encode it before the store changes.

    Raises:
        GraphQLRefused: it would be too large.
    """
    assert prepared.plan is not None, "subscriptions are always compiled"
    data = prepared.plan.row(Event(changes), Context(store, Budget()))
    return strip_null(data) if prepared.strips_null else data


def mutation_data(prepared: Prepared, results: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` object of a mutation.

    Args:
        results: response key of each call in `prepared.mutations` → its `result` value, any JSON.
    """
    root = cylc_schema().mutation_type
    assert root is not None, "the schema has mutations"
    data: dict[str, Any] = {}
    for field in prepared.fields:
        if field.name == "__typename":
            data[field.key] = root.name
        else:
            kind = get_named_type(root.fields[field.name].type).name
            data[field.key] = {key: kind if name == "__typename" else results[field.key] for key, name in field.members}
    return data


def execute_plainly(prepared: Prepared, context: Context | None, root: Root | Event | None = None) -> dict[str, Any]:
    """The `data` object as graphql-core executes the request, field by field.

    It serves introspection, which needs no context, and it is what tests compare compiled plans with.

    Args:
        root: what execution starts from, the root of queries by default.
    """
    result = execute(
        cylc_schema(),
        prepared.document,
        root or Root(),
        context,
        prepared.variables,
        field_resolver=_resolve,
        type_resolver=lambda element, info, union: str(element.typename),
    )
    assert isinstance(result, ExecutionResult), "no resolver is asynchronous"
    if result.errors:
        raise GraphQLRefused(*(error.message for error in result.errors))
    return result.data or {}


def _resolve(element: Any, info: "GraphQLResolveInfo[Context]", **args: Any) -> Any:
    rule = RULES.get((info.parent_type.name, info.field_name))
    context: Context = info.context
    context.budget.spend(1)
    if rule is None:
        return getattr(element, snake_case(info.field_name))
    return rule.value(context, element, rule.read(args))


def strip_null(value: Any) -> Any:
    """`value` without null and empty members at any depth; the object at the top stays with all its keys."""
    if not isinstance(value, dict):
        return _stripped(value)
    return {key: _stripped(member) for key, member in value.items()}


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        members = ((key, _stripped(member)) for key, member in value.items())
        return {key: member for key, member in members if not _is_nothing(member)}
    if isinstance(value, list | tuple):
        return [member for member in map(_stripped, value) if not _is_nothing(member)]
    return value


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)
