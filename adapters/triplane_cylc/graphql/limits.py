"""What a request may cost, decided before it is validated or executed.

Validation itself can be made slow (many fields of one name, fragments within fragments), so the document is measured
first. The measure sees fragments expanded, and stops at the limit, so it is quick for any document the parser takes.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    get_named_type,
    get_nullable_type,
    is_interface_type,
    is_list_type,
    is_object_type,
)

MAX_CHARACTERS = 131_072
MAX_TOKENS = 5_000
MAX_DEPTH = 15
MAX_ALIASES = 50
MAX_COST = 10_000
LIST_WEIGHT = 8
"""What is selected within a list of objects counts this often; the list of workflows always has one element."""

MAX_VALUES = 500
"""Values written out in a request, those within lists and objects included; longer lists belong in variables."""

MAX_VARIABLE_VALUES = 5_000
"""Values in all variables together, at any depth."""

MAX_INTROSPECTION_COST = 500_000
"""A request for the whole schema, as tools send it, comes to half of this or more; it may be asked for once."""

INTROSPECTION_WEIGHTS = {"types": 80, "fields": 12, "inputFields": 3, "args": 8, "enumValues": 3, "possibleTypes": 2, "interfaces": 1}
"""How long the lists of our own schema are, about."""

MAX_WORK = 300_000
"""Elements visited by one execution: a few tenths of a second, in which nobody else is served."""


class GraphQLRefused(Exception):
    """A request cannot be answered; `str()` is what the error reply says, several messages as clients expect them."""

    def __init__(self, *messages: str) -> None:
        super().__init__(messages[0] if len(messages) == 1 else str(messages))
        self.messages = messages


class Budget:
    """What one execution may still do."""

    __slots__ = ("left",)

    def __init__(self, work: int = MAX_WORK) -> None:
        self.left = work

    def spend(self, work: int) -> None:
        """Take `work` off.

        Raises:
            GraphQLRefused: there is not that much left.
        """
        self.left -= work
        if self.left < 0:
            raise GraphQLRefused("The answer would be too large: select less, or filter by ids or states.")


def check_variables(variables: Mapping[str, Any]) -> None:
    """Refuse variables that take long to go through.

    Raises:
        GraphQLRefused: more than `MAX_VARIABLE_VALUES` values.
    """
    left = MAX_VARIABLE_VALUES
    waiting: list[Collection[Any]] = [variables.values()]
    while waiting:
        values = waiting.pop()
        left -= len(values)
        if left < 0:
            raise GraphQLRefused(f"The variables hold more than {MAX_VARIABLE_VALUES} values.")
        for value in values:
            if isinstance(value, dict):
                waiting.append(value.values())
            elif isinstance(value, list):
                waiting.append(value)


def check_cost(schema: GraphQLSchema, document: DocumentNode) -> None:
    """Refuse a document that is too deep, has too many aliases, or costs too much.

    Raises:
        GraphQLRefused: names the limit and its size.
    """
    measure = _Measure(schema, document)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            measure.values(variable.default_value for variable in definition.variable_definitions or ())
            root = schema.get_root_type(definition.operation)
            measure.selection_set(definition.selection_set, root, 1, 1, ())
        elif isinstance(definition, FragmentDefinitionNode):
            # A fragment that no operation uses is validated all the same.
            measure.fragment(definition)


class _Measure:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._cost = 0
        self._introspection = 0
        self._schemas = 0
        self._aliases = 0
        self._visits = 0
        self._values = 0

    def fragment(self, fragment: FragmentDefinitionNode) -> None:
        """Measure a fragment by itself; its cost counts only where it is used."""
        before = self._cost, self._introspection, self._schemas, self._aliases
        self.selection_set(fragment.selection_set, self._named(fragment.type_condition.name.value), 1, 1, (fragment.name.value,))
        self._cost, self._introspection, self._schemas, self._aliases = before

    def selection_set(
        self, node: SelectionSetNode, parent: GraphQLNamedType | None, depth: int, weight: int, spread: tuple[str, ...]
    ) -> None:
        """Measure everything below one pair of braces, fragments included."""
        if depth > MAX_DEPTH:
            raise GraphQLRefused(f"The request is nested too deeply: more than {MAX_DEPTH} levels.")
        seen: set[str] = set()
        for field, condition, within in self._fields(node, parent, spread):
            is_introspection = condition is not None and condition.name.startswith("__")
            if is_introspection or field.name.value == "__schema":
                self._introspect(field.name.value, weight)
            else:
                self._cost += weight
            self.arguments(field.arguments)
            key = field.alias.value if field.alias else field.name.value
            if field.alias or key in seen:
                self._aliases += 1
            seen.add(key)
            if self._cost > MAX_COST:
                raise GraphQLRefused(f"The request costs too much: more than {MAX_COST}. Select fewer fields or fewer nested lists.")
            if self._aliases > MAX_ALIASES:
                raise GraphQLRefused(f"The request has more than {MAX_ALIASES} aliases or repeated fields.")
            if field.selection_set:
                child, is_list = self._child(condition, field.name.value)
                times = INTROSPECTION_WEIGHTS.get(field.name.value, LIST_WEIGHT) if is_introspection else LIST_WEIGHT
                below = weight * times if is_list else weight
                self.selection_set(field.selection_set, child, depth + 1, below, within)

    def arguments(self, arguments: Collection[ArgumentNode] | None) -> None:
        """Count the values that arguments have, those of variables not."""
        if arguments:
            self.values(argument.value for argument in arguments)

    def values(self, values: Iterable[ValueNode | None]) -> None:
        """Count values, those within lists and objects included."""
        waiting = [value for value in values if value is not None]
        while waiting:
            self._values += 1
            if self._values > MAX_VALUES:
                raise GraphQLRefused(f"The request has more than {MAX_VALUES} values in it; send lists as variables.")
            value = waiting.pop()
            if isinstance(value, ListValueNode):
                waiting.extend(value.values[: MAX_VALUES + 1])
            elif isinstance(value, ObjectValueNode):
                waiting.extend(field.value for field in value.fields[: MAX_VALUES + 1])

    def _introspect(self, field_name: str, weight: int) -> None:
        self._introspection += weight
        self._schemas += field_name == "__schema"
        if self._introspection > MAX_INTROSPECTION_COST or self._schemas > 1:
            raise GraphQLRefused("The request costs too much: ask for the schema once, and for less of it.")

    def _fields(
        self, node: SelectionSetNode, parent: GraphQLNamedType | None, spread: tuple[str, ...]
    ) -> Iterable[tuple[FieldNode, GraphQLNamedType | None, tuple[str, ...]]]:
        """Fields of a selection set with the type each belongs to and the fragments it came through."""
        for selection in node.selections:
            self._visits += 1
            if self._visits > 2 * MAX_COST:
                raise GraphQLRefused(f"The request costs too much: more than {MAX_COST}. Its fragments repeat too much.")
            if isinstance(selection, FieldNode):
                yield selection, parent, spread
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                yield from self._fields(selection.selection_set, self._named(condition.name.value) if condition else parent, spread)
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                fragment = self._fragments.get(name)
                # Validation names the spread that is unknown or goes round in a circle.
                if fragment is not None and name not in spread:
                    named = self._named(fragment.type_condition.name.value)
                    yield from self._fields(fragment.selection_set, named, (*spread, name))

    def _named(self, name: str) -> GraphQLNamedType | None:
        return self._schema.type_map.get(name)

    def _child(self, parent: GraphQLNamedType | None, field_name: str) -> tuple[GraphQLNamedType | None, bool]:
        if field_name in ("__schema", "__type"):
            return self._named("__Schema" if field_name == "__schema" else "__Type"), False
        if not (is_object_type(parent) or is_interface_type(parent)) or field_name not in parent.fields:
            return None, False
        field_type = parent.fields[field_name].type
        is_list = is_list_type(get_nullable_type(field_type)) and field_name != "workflows"
        return get_named_type(field_type), is_list
