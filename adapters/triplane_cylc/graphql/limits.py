"""What a request may cost, decided before it is validated or executed.

Validation itself can be made slow (many fields of one name, fragments within fragments), so the document is measured
first. The measure sees fragments expanded, and stops at the limit, so it is quick for any document the parser takes.
"""

from collections.abc import Iterable

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
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

MAX_WORK = 500_000
"""Elements visited by one execution: about half a second, in which nobody else is served."""


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


def check_cost(schema: GraphQLSchema, document: DocumentNode) -> None:
    """Refuse a document that is too deep, has too many aliases, or costs too much.

    Raises:
        GraphQLRefused: names the limit and its size.
    """
    measure = _Measure(schema, document)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
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
        self._aliases = 0
        self._visits = 0

    def fragment(self, fragment: FragmentDefinitionNode) -> None:
        """Measure a fragment by itself; its cost counts only where it is used."""
        cost, aliases = self._cost, self._aliases
        self.selection_set(fragment.selection_set, self._named(fragment.type_condition.name.value), 1, 1, (fragment.name.value,))
        self._cost, self._aliases = cost, aliases

    def selection_set(
        self, node: SelectionSetNode, parent: GraphQLNamedType | None, depth: int, weight: int, spread: tuple[str, ...]
    ) -> None:
        """Measure everything below one pair of braces, fragments included."""
        if depth > MAX_DEPTH:
            raise GraphQLRefused(f"The request is nested too deeply: more than {MAX_DEPTH} levels.")
        seen: set[str] = set()
        for field, condition, within in self._fields(node, parent, spread):
            self._cost += weight
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
                below = weight * LIST_WEIGHT if is_list else weight
                self.selection_set(field.selection_set, child, depth + 1, below, within)

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
        if not (is_object_type(parent) or is_interface_type(parent)) or field_name not in parent.fields:
            return None, False
        field_type = parent.fields[field_name].type
        is_list = is_list_type(field_type) and field_name != "workflows"
        return get_named_type(field_type), is_list
