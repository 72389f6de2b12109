"""The executable schema, built once from its text.

Source: cylc.md section 3.
"""

from functools import cache
from typing import Any

from graphql import GraphQLScalarType, GraphQLSchema, build_schema

from triplane_schemas import schema_text

TEXT_SCALARS = (
    "WorkflowID", "CyclePoint", "BroadcastCyclePoint", "NamespaceName", "NamespaceIDGlob", "TaskID", "TimePoint", "Flow",
    "OutputLabel", "PrerequisiteString",
)  # fmt: skip
"""Scalars that exist for their names and behave as String."""


def _text(value: Any) -> str:
    # Flow numbers and integer cycle points come as numbers from clients that build their variables from data.
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"String cannot represent a non string value: {str(value)[:100]}")


@cache
def cylc_schema() -> GraphQLSchema:
    """The schema with which requests are validated."""
    schema = build_schema(schema_text("cylc/schema.graphql"))
    for name in TEXT_SCALARS:
        scalar = schema.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        # Literals come through here too; graphql-core 3.3 has a second name for it.
        for attribute in ("parse_value", "coerce_input_value"):
            setattr(scalar, attribute, _text)
    return schema
