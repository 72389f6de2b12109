"""Queries compiled into projections: one pass over the elements that makes the dicts of the answer.

graphql-core visits every field of every element in Python, which costs some 20 µs per element and field. Here a
selection set becomes a plan once: plain fields are fetched together by one `attrgetter`, fields with arguments or
sub-selections by their rule. Aliases, fragments, `@skip`, `@include`, `__typename` and unions are settled while
compiling; variables are known then, because a plan is made for one document with one set of variables.

Introspection has no plan and is left to graphql-core.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    GraphQLUnionType,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_list_type,
)
from graphql.execution.values import get_argument_values, get_directive_values

from triplane_cylc.graphql.fields import RULES, Context
from triplane_cylc.graphql.select import snake_case

Part = Callable[[Any, Context], Any]
"""(element, context) → the value of one response key."""


@dataclass(frozen=True, slots=True)
class RootField:
    """A field at the top of a mutation or subscription; `members` are key and name of what is selected below it."""

    key: str
    name: str
    node: FieldNode
    members: tuple[tuple[str, str], ...]


class NoPlan(Exception):
    """The request has something that only graphql-core answers."""


class ObjectPlan:
    """The projection of elements of one type."""

    __slots__ = ("_get", "_keys", "_parts")

    def __init__(self, keys: tuple[str, ...], attributes: tuple[str, ...], parts: tuple[tuple[str, Part], ...]) -> None:
        """Response keys in order, the attribute behind each, and the keys that a part fills in afterwards."""
        self._keys = keys
        # Two more attributes than needed cost little and spare the case where `attrgetter` gives no tuple.
        self._get = attrgetter(*attributes, "typename", "typename")
        self._parts = parts

    def row(self, element: Any, context: Context) -> dict[str, Any]:
        """The answer for one element."""
        return self.rows((element,), context)[0]

    def rows(self, elements: Iterable[Any], context: Context) -> list[dict[str, Any]]:
        """The answers for many elements."""
        elements = list(elements)
        context.budget.spend(len(elements))
        keys, get, parts = self._keys, self._get, self._parts
        if not parts:
            return [dict(zip(keys, get(element), strict=False)) for element in elements]
        answers = []
        for element in elements:
            # Every key is set at its place first, so that the answer keeps the order of the request.
            answer = dict(zip(keys, get(element), strict=False))
            for key, part in parts:
                answer[key] = part(element, context)
            answers.append(answer)
        return answers


class UnionPlan:
    """The projection of elements that may have one of several types."""

    __slots__ = ("_plans",)

    def __init__(self, plans: Mapping[str, ObjectPlan]) -> None:
        self._plans = plans

    def row(self, element: Any, context: Context) -> dict[str, Any]:
        """The answer for one element."""
        return self._plans[element.typename].row(element, context)

    def rows(self, elements: Iterable[Any], context: Context) -> list[dict[str, Any]]:
        """The answers for many elements."""
        return [self.row(element, context) for element in elements]


class Compiler:
    """Makes the plan of one operation with its variables.

    Attributes:
        strips_null: whether `stripNull` is true anywhere in what was compiled.
    """

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Any) -> None:
        """`variables` are as graphql-core's `get_variable_values` gives them."""
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self.strips_null = False

    def compile(self, parent: GraphQLObjectType, nodes: Iterable[SelectionSetNode]) -> ObjectPlan:
        """The plan of the merged selection sets `nodes` on elements of type `parent`.

        Raises:
            NoPlan: introspection.
            GraphQLRefused: arguments that the field's rule refuses.
            graphql.GraphQLError: arguments that cannot be coerced.
        """
        fields: dict[str, list[FieldNode]] = {}
        for node in nodes:
            self._collect(parent, node.selections, fields, set())
        attributes, parts = [], []
        for key, same in fields.items():
            attribute, part = self._field(parent, same)
            attributes.append(attribute)
            if part is not None:
                parts.append((key, part))
        return ObjectPlan(tuple(fields), tuple(attributes), tuple(parts))

    def root_fields(self, root: GraphQLObjectType, node: SelectionSetNode) -> tuple[RootField, ...]:
        """What is selected from `root`, without a plan.

        Raises:
            graphql.GraphQLError: directives that cannot be coerced.
        """
        fields: dict[str, list[FieldNode]] = {}
        self._collect(root, node.selections, fields, set())
        return tuple(RootField(key, same[0].name.value, same[0], self._members(root, same)) for key, same in fields.items())

    def _members(self, root: GraphQLObjectType, nodes: list[FieldNode]) -> tuple[tuple[str, str], ...]:
        members: dict[str, list[FieldNode]] = {}
        for node in nodes:
            if node.selection_set and not node.name.value.startswith("__"):
                parent = get_named_type(root.fields[node.name.value].type)
                assert isinstance(parent, GraphQLObjectType), "validation refuses selections below values"
                self._collect(parent, node.selection_set.selections, members, set())
        return tuple((key, same[0].name.value) for key, same in members.items())

    def _field(self, parent: GraphQLObjectType, nodes: list[FieldNode]) -> tuple[str, Part | None]:
        """The attribute to fetch, and the part that replaces it where fetching is not enough."""
        node = nodes[0]
        name = node.name.value
        if name == "__typename":
            return "typename", None
        if name.startswith("__"):
            raise NoPlan(name)
        definition = parent.fields[name]
        args = get_argument_values(definition, node, self._variables)
        if args.get("stripNull"):
            self.strips_null = True
        rule = RULES.get((parent.name, name))
        field_type = get_named_type(definition.type)
        if not is_composite_type(field_type):
            if rule is None:
                return snake_case(name), None
            value, read = rule.value, rule.read(args)
            return "typename", lambda element, context: value(context, element, read)
        plan = self._composite(field_type, nodes)
        if rule is None:
            fetch = attrgetter(snake_case(name))
            return "typename", _many(plan, fetch) if is_list_type(definition.type) else _one(plan, fetch)
        if is_list_type(definition.type):
            return "typename", _many_by_rule(plan, rule.value, rule.read(args))
        return "typename", _one_by_rule(plan, rule.value, rule.read(args))

    def _composite(self, field_type: Any, nodes: list[FieldNode]) -> ObjectPlan | UnionPlan:
        sets = [node.selection_set for node in nodes if node.selection_set]
        if isinstance(field_type, GraphQLUnionType):
            return UnionPlan({member.name: self.compile(member, sets) for member in field_type.types})
        return self.compile(field_type, sets)

    def _collect(
        self, parent: GraphQLObjectType, selections: Iterable[SelectionNode], fields: dict[str, list[FieldNode]], spread: set[str]
    ) -> None:
        """Gather fields by response key, fragments opened, what directives leave out left out."""
        for selection in selections:
            if not self._is_included(selection):
                continue
            if isinstance(selection, FieldNode):
                fields.setdefault(selection.alias.value if selection.alias else selection.name.value, []).append(selection)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                if condition is None or self._applies(parent, condition.name.value):
                    self._collect(parent, selection.selection_set.selections, fields, spread)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in spread:
                spread.add(selection.name.value)
                fragment = self._fragments[selection.name.value]
                if self._applies(parent, fragment.type_condition.name.value):
                    self._collect(parent, fragment.selection_set.selections, fields, spread)

    def _applies(self, parent: GraphQLObjectType, condition: str) -> bool:
        named = self._schema.type_map[condition]
        return named is parent or (is_abstract_type(named) and self._schema.is_sub_type(named, parent))

    def _is_included(self, node: SelectionNode) -> bool:
        if not node.directives:
            return True
        skip = get_directive_values(GraphQLSkipDirective, node, self._variables)
        if skip and skip["if"] is True:
            return False
        include = get_directive_values(GraphQLIncludeDirective, node, self._variables)
        return not include or include["if"] is not False


Plan = ObjectPlan | UnionPlan


def _one(plan: Plan, fetch: Callable[[Any], Any]) -> Part:
    def part(element: Any, context: Context) -> Any:
        found = fetch(element)
        return None if found is None else plan.row(found, context)

    return part


def _many(plan: Plan, fetch: Callable[[Any], Any]) -> Part:
    return lambda element, context: plan.rows(fetch(element), context)


def _one_by_rule(plan: Plan, value: Callable[[Context, Any, Any], Any], args: Any) -> Part:
    def part(element: Any, context: Context) -> Any:
        found = value(context, element, args)
        return None if found is None else plan.row(found, context)

    return part


def _many_by_rule(plan: Plan, value: Callable[[Context, Any, Any], Any], args: Any) -> Part:
    return lambda element, context: plan.rows(value(context, element, args), context)
