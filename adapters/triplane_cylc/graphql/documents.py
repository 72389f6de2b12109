"""Requests made ready: parsed, measured, validated, compiled, and kept for the next time.

Clients send the same few texts again and again (the terminal interface once a second per workflow), so documents are
kept by their text, and the plans of each by its variables.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    NoUnusedVariablesRule,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.values import get_argument_values, get_variable_values

from triplane_cylc.graphql.limits import MAX_CHARACTERS, MAX_TOKENS, GraphQLRefused, check_cost, check_variables
from triplane_cylc.graphql.plan import Compiler, NoPlan, ObjectPlan, RootField
from triplane_cylc.graphql.schema import cylc_schema

RULES = tuple(rule for rule in specified_rules if rule is not NoUnusedVariablesRule)
"""Real clients declare variables that they do not use."""

MAX_ERRORS = 10
KEPT_CHARACTERS = 262_144
"""Texts kept, all together; parsed they take up a few hundred times as much memory."""
KEPT_DOCUMENTS = 1_000
KEPT_PLANS = 8
MAX_KEPT_CHARACTERS = 8_192
"""Longer texts and variables are worked on but not kept."""


@dataclass(frozen=True, slots=True)
class MutationCall:
    """One mutation of a request.

    Attributes:
        key: where its result goes in the answer.
        name: as the schema spells it.
        args: coerced arguments by schema name; see the package's description.
    """

    key: str
    name: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that may be executed.

    Attributes:
        operation: `query`, `mutation` or `subscription`.
        mutations: what to do, in order; empty unless it is a mutation.
        plan: the compiled query; None where graphql-core has to execute it (introspection), and for other operations.
        strips_null: whether nothing empty may be in the answer.
        document, variables: what was asked, for graphql-core.
        fields: what is selected at the top.
        subscribed: arguments of `deltas`; None unless it is a subscription.
    """

    operation: str
    document: DocumentNode
    variables: dict[str, Any]
    mutations: tuple[MutationCall, ...] = ()
    plan: ObjectPlan | None = None
    strips_null: bool = False
    fields: tuple[RootField, ...] = ()
    subscribed: dict[str, Any] | None = None


@dataclass(slots=True)
class _Document:
    """A validated document and the requests that were made of it."""

    node: DocumentNode
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    prepared: OrderedDict[bytes, Prepared] = field(default_factory=OrderedDict)


class _Documents:
    """The documents asked for last."""

    def __init__(self) -> None:
        self._by_text: OrderedDict[str, _Document] = OrderedDict()
        self._characters = 0

    def get(self, request_string: str) -> _Document:
        """The document of a text, read if it is not kept.

        Raises:
            GraphQLRefused: it cannot be read.
        """
        document = self._by_text.get(request_string)
        if document is not None:
            self._by_text.move_to_end(request_string)
            return document
        document = _read(request_string)
        if len(request_string) <= MAX_KEPT_CHARACTERS:
            self._by_text[request_string] = document
            self._characters += len(request_string)
            while len(self._by_text) > KEPT_DOCUMENTS or self._characters > KEPT_CHARACTERS:
                oldest, _ = self._by_text.popitem(last=False)
                self._characters -= len(oldest)
        return document


_documents = _Documents()


def prepare(request_string: Any, variables: Any = None) -> Prepared:
    """Parse, measure, validate and compile a request.

    Args:
        request_string: text as it came; anything but text is refused.
        variables: object or None as it came.

    Raises:
        GraphQLRefused: with graphql-core's own messages where it found something wrong.
    """
    if not isinstance(request_string, str) or not request_string:
        raise GraphQLRefused("request_string must be a non-empty text")
    if variables is None:
        variables = {}
    if not isinstance(variables, dict) or not all(isinstance(name, str) for name in variables):
        raise GraphQLRefused("variables must be an object")
    check_variables(variables)
    document = _documents.get(request_string)
    if document.operation.operation is not OperationType.QUERY:
        return _prepare(document, variables)
    try:
        key = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # JSON that has no key here, such as an integer beyond 64 bits, is prepared anew each time.
        return _prepare(document, variables)
    prepared = document.prepared.get(key)
    if prepared is None:
        prepared = _prepare(document, variables)
        if len(key) <= MAX_KEPT_CHARACTERS:
            document.prepared[key] = prepared
            if len(document.prepared) > KEPT_PLANS:
                document.prepared.popitem(last=False)
    return prepared


def _read(request_string: str) -> _Document:
    """Parse, measure and validate a text."""
    if len(request_string) > MAX_CHARACTERS:
        raise GraphQLRefused(f"The request has {len(request_string)} characters; at most {MAX_CHARACTERS} are read.")
    schema = cylc_schema()
    try:
        node = parse(request_string, no_location=True, max_tokens=MAX_TOKENS)
    except GraphQLError as exc:
        raise GraphQLRefused(exc.message) from exc
    except RecursionError as exc:
        raise GraphQLRefused("The request is nested too deeply.") from exc
    operations = [definition for definition in node.definitions if isinstance(definition, OperationDefinitionNode)]
    # Before they are validated: hundreds fit into a request.
    if len(operations) > 1:
        raise GraphQLRefused("Must provide operation name if query contains multiple operations.")
    check_cost(schema, node)
    errors = validate(schema, node, RULES, max_errors=MAX_ERRORS)
    if errors:
        raise GraphQLRefused(*(error.message for error in errors))
    if not operations:
        raise GraphQLRefused("Must provide an operation.")
    fragments = {
        definition.name.value: definition for definition in node.definitions if isinstance(definition, FragmentDefinitionNode)
    }
    return _Document(node, operations[0], fragments)


def _prepare(document: _Document, variables: dict[str, Any]) -> Prepared:
    """Compile a document for its variables."""
    schema, operation = cylc_schema(), document.operation
    coerced = get_variable_values(schema, operation.variable_definitions or (), variables, max_errors=MAX_ERRORS)
    if isinstance(coerced, list):
        raise GraphQLRefused(*(error.message for error in coerced))
    compiler = Compiler(schema, document.fragments, coerced)
    root = schema.get_root_type(operation.operation)
    assert root is not None, "validation refuses operations without a root type"
    try:
        if operation.operation is OperationType.QUERY:
            return _query(document, variables, compiler)
        fields = compiler.root_fields(root, operation.selection_set)
        calls: tuple[MutationCall, ...] = ()
        if operation.operation is OperationType.MUTATION:
            calls = tuple(
                MutationCall(field.key, field.name, get_argument_values(root.fields[field.name], field.node, coerced))
                for field in fields
                if not field.name.startswith("__")
            )
        if operation.operation is OperationType.SUBSCRIPTION:
            return _subscription(document, variables, compiler, fields, coerced)
    except GraphQLError as exc:
        raise GraphQLRefused(exc.message) from exc
    return Prepared(operation.operation.value, document.node, variables, mutations=calls, fields=fields)


def _subscription(
    document: _Document, variables: dict[str, Any], compiler: Compiler, fields: tuple[RootField, ...], coerced: Any
) -> Prepared:
    root = cylc_schema().subscription_type
    assert root is not None, "the schema has subscriptions"
    plan = compiler.compile(root, [document.operation.selection_set])
    args = get_argument_values(root.fields["deltas"], fields[0].node, coerced)
    return Prepared(
        "subscription", document.node, variables, plan=plan, strips_null=compiler.strips_null, fields=fields, subscribed=args
    )


def _query(document: _Document, variables: Mapping[str, Any], compiler: Compiler) -> Prepared:
    root = cylc_schema().query_type
    assert root is not None, "the schema has queries"
    fields = compiler.root_fields(root, document.operation.selection_set)
    try:
        plan = compiler.compile(root, [document.operation.selection_set])
    except NoPlan:
        return Prepared("query", document.node, dict(variables), strips_null=compiler.strips_null, fields=fields)
    return Prepared("query", document.node, dict(variables), plan=plan, strips_null=compiler.strips_null, fields=fields)
