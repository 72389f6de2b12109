"""The config as documents: the effective values with secrets hidden, and every key explained."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from triplane.config.model import Config

HIDDEN = "****"


def shown(config: BaseModel) -> dict[str, Any]:
    """The effective values as plain JSON; secrets are `****`."""
    values: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        values[name] = HIDDEN if _extra(field).get("secret") and value else _plain(value)
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return shown(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def as_toml(values: dict[str, Any], prefix: str = "") -> str:
    """`values` as TOML text: a section's keys before its sub-sections; keys without a value are left out."""
    lines: list[str] = []
    for name, value in values.items():
        if value is not None and not isinstance(value, dict) and not _is_table_list(value):
            lines.append(f"{_key(name)} = {_literal(value)}")
    body = "\n".join(lines) + "\n" if lines else ""
    text = f"[{prefix}]\n{body}\n" if prefix and (lines or not values) else body
    for name, value in values.items():
        path = f"{prefix}.{_key(name)}" if prefix else _key(name)
        if isinstance(value, dict):
            text += as_toml(value, path)
        elif _is_table_list(value):
            text += "".join(f"[[{path}]]\n" + as_toml(item) + "\n" for item in value)
    return text


def _is_table_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _key(name: str) -> str:
    return name if name.replace("-", "_").isidentifier() and name.isascii() else json.dumps(name)


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_literal(item)}" for name, item in value.items()) + "}"
    # JSON's strings, numbers and booleans are TOML's too.
    return json.dumps(value, ensure_ascii=False)


LINE = 118


def example(model: type[BaseModel]) -> str:
    """Every key of the file as a commented line with its default, below its sentence, its unit and how it changes."""
    lines = [
        "# Every key that triplane.toml may have, with its default. Nothing is required: take away the # of what you change.",
        "# \"hot\" keys are applied by `triplane reload` and SIGHUP; the others take effect at the next start.",
        "",
    ]
    section = ""
    for path, field in keys(model):
        extra = _extra(field)
        before, _, name = path.rpartition(".")
        if not before:
            # A table of tables that people name; a key of its own name would be part of the section above.
            lines += ["", f"# [{name}.…]", *(f"#   {line}" for line in textwrap.wrap(f"{field.description} (restart)", LINE))]
            section = name
            continue
        if before != section:
            section = before
            lines += ["", f"[[{before}]]" if before == "auth.tokens.NAME" else f"[{before}]"]
            lines[-1] = f"# {lines[-1].replace('auth.tokens.NAME', 'auth.tokens')}"
        unit = f" Unit: {extra['unit']}." if extra.get("unit") else ""
        default = "must be given" if field.is_required() else _default(field)
        sentence = f"{field.description}{unit} ({extra.get('reload', 'restart')})"
        lines += [f"#   {line}" for line in textwrap.wrap(sentence, LINE)]
        lines.append(f"# {_key(name)} = {default}" if default else f"# {_key(name)} =   # none")
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    value = _plain(field.get_default(call_default_factory=True))
    return "" if value is None else _literal(value)


def schema(model: type[Config]) -> dict[str, Any]:
    """JSON Schema of the whole file, with unit and reload of each key."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of the file as (path, field), sections walked into."""
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        inner = _inner_model(field.annotation)
        if inner is None:
            yield path, field
        else:
            yield from keys(inner, f"{path}.NAME" if get_args(field.annotation) else path)


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _extra(field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}
