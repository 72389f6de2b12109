"""The schema against what real schedulers of two versions say theirs is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import introspection_from_schema, parse_value, print_ast

from triplane_cylc.graphql.schema import cylc_schema

GOLDEN = Path(__file__).parents[2] / "golden" / "cylc_schema" / "schema.tsv"
RECORDED = [tuple(line.split("\t")) for line in GOLDEN.read_text().splitlines()]
# A scheduler lists more subscriptions than anybody can have of it: its sockets carry none. `deltas` is what clients use.
NOT_OFFERED = {path for _, path, _, _ in RECORDED if path.startswith("Subscriptions.") and not path.startswith("Subscriptions.deltas")}
Row = tuple[str, str, str]


def row(path: str, kind: str, default: str | None = None) -> Row:
    """Defaults are written as this library writes them."""
    return path, kind, " ".join(print_ast(parse_value(default)).split()) if default else ""


def spelled(kind: dict[str, Any]) -> str:
    match kind["kind"]:
        case "NON_NULL":
            return f"{spelled(kind['ofType'])}!"
        case "LIST":
            return f"[{spelled(kind['ofType'])}]"
    return str(kind["name"])


def rows_of(kind: dict[str, Any]) -> Iterator[Row]:
    """Path, type and default of everything in a type."""
    name = kind["name"]
    match kind["kind"]:
        case "SCALAR":
            yield row(name, "scalar")
        case "ENUM":
            yield from (row(f"{name}.{value['name']}", "enum") for value in kind["enumValues"])
        case "UNION":
            yield from (row(f"{name}.{member['name']}", "union") for member in kind["possibleTypes"])
        case "INPUT_OBJECT":
            yield from (row(f"{name}.{each['name']}", spelled(each["type"]), each["defaultValue"]) for each in kind["inputFields"])
        case _:
            for field in kind["fields"]:
                yield row(f"{name}.{field['name']}", spelled(field["type"]))
                for arg in field["args"]:
                    yield row(f"{name}.{field['name']}({arg['name']})", spelled(arg["type"]), arg["defaultValue"])


@pytest.fixture(scope="module")
def ours() -> set[Row]:
    schema = introspection_from_schema(cylc_schema())["__schema"]
    roots = {row(kind, schema[f"{kind}Type"]["name"]) for kind in ("query", "mutation", "subscription")}
    return roots | {each for kind in schema["types"] if not kind["name"].startswith("__") for each in rows_of(kind)}


@pytest.mark.parametrize("version", ["8.5.4", "8.7.0"])
def test_everything_in_the_schema_of_a_real_scheduler_is_in_ours_with_its_type_and_default(version, ours):
    theirs = {row(path, kind, default) for known, path, kind, default in RECORDED if version in known and path not in NOT_OFFERED}
    assert len(theirs) > 800
    assert theirs - ours == set()


def test_nothing_is_in_our_schema_that_neither_version_has(ours):
    assert ours - {row(path, kind, default) for _, path, kind, default in RECORDED} == set()
