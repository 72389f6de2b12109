"""Kinds of values in bodies and answers, as JSON Schema. What is optional may also be null: the PHP command line sends nulls."""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

LONGEST_S = 10 * 365 * 86_400
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"


def text(longest: int = 255, **more: Any) -> Schema:
    """An optional text of so many characters at most."""
    return {"type": ["string", "null"], "maxLength": longest, **more}


def name(longest: int = 255, **more: Any) -> Schema:
    """A text that must be there and not be empty."""
    return {"type": "string", "minLength": 1, "maxLength": longest, **more}


def whole(least: int, most: int, **more: Any) -> Schema:
    """An optional integer within bounds."""
    return {"type": ["integer", "null"], "minimum": least, "maximum": most, **more}


def number(least: float, most: float) -> Schema:
    """An optional number within bounds."""
    return {"type": ["number", "null"], "minimum": least, "maximum": most}


def flag() -> Schema:
    """An optional boolean."""
    return {"type": ["boolean", "null"]}


def choice(*values: str) -> Schema:
    """One of some words, or null."""
    return {"enum": [*values, None]}


def mapping(description: str = "") -> Schema:
    """An optional object; PHP writes an empty one as `[]`."""
    found: Schema = {"anyOf": [{"type": ["object", "null"]}, {"type": "array", "maxItems": 0}]}
    return {**found, "description": description} if description else found


def listing(items: Schema, **more: Any) -> Schema:
    """An optional list."""
    return {"type": ["array", "null"], "items": items, **more}


def ref(component: str) -> Schema:
    """A schema of the document's components."""
    return {"$ref": f"#/components/schemas/{component}"}


def maybe(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def body(required: Mapping[str, Schema] | None = None, **optional: Schema) -> Schema:
    """A request body: fields that must be there, and others."""
    must = dict(required or {})
    found: Schema = {"type": "object", "properties": {**must, **optional}}
    return {**found, "required": list(must)} if must else found


def answer(**fields: Schema) -> Schema:
    """An answer: all of these fields are there; there may be more."""
    return {"type": "object", "required": list(fields), "properties": fields}


def array(items: Schema) -> Schema:
    """A list that is there."""
    return {"type": "array", "items": items}


STRING: Schema = {"type": "string"}
MAYBE_STRING: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
MAYBE_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
ANY: Schema = {}
MOMENT: Schema = {"type": "string", "pattern": TIME}
MAYBE_MOMENT: Schema = {"type": ["string", "null"], "pattern": TIME}
PAYLOAD = ref("Payload")
