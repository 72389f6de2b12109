"""Families are ordered as Python orders base classes; graphs mean what their expressions say; definitions survive storage."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interop import flow_corpus
from triplane.engines.graph.definition.build import build_definition
from triplane.engines.graph.definition.inheritance import linearised
from triplane.engines.graph.definition.model import Definition
from triplane.engines.graph.definition.plain import from_plain, to_plain
from triplane.engines.graph.definition.problems import DefinitionProblem
from unit.graph.simulated import cycling, once

NAMES = "abcdefg"


@st.composite
def hierarchies(draw: st.DrawFn) -> dict[str, list[str]]:
    """Each family inherits from some of those before it, in any order."""
    return {
        name: draw(st.lists(st.sampled_from(NAMES[:index]), unique=True, max_size=3)) if index else []
        for index, name in enumerate(NAMES)
    }


def by_python(parents: dict[str, list[str]]) -> dict[str, tuple[str, ...]] | None:
    """What Python's own order of base classes comes to; None where it finds none."""
    classes: dict[str, type] = {"root": type("root", (), {})}
    for name, direct in parents.items():
        try:
            classes[name] = type(name, tuple(classes[one] for one in direct or ["root"]), {})
        except TypeError:
            return None
    return {name: tuple(one.__name__ for one in classes[name].__mro__[1:-1]) for name in parents}


@given(parents=hierarchies())
@settings(max_examples=200)
def test_families_are_in_pythons_order(parents: dict[str, list[str]]):
    expected = by_python(parents)
    if expected is None:
        with pytest.raises(DefinitionProblem, match="cannot be put in one order"):
            linearised(parents, {})
    else:
        ordered = linearised(parents, {})
        assert {name: ordered[name] for name in parents} == expected


EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "c", "d:start", "a[-P1]"]),
    lambda inner: st.tuples(inner, st.sampled_from(["&", "|"]), inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
    max_leaves=8,
)


@given(expression=EXPRESSIONS, done=st.sets(st.sampled_from(["a", "b", "c", "d:start", "a[-P1]"])))
@settings(max_examples=200)
def test_a_task_may_run_exactly_when_its_expression_holds(expression: str, done: set[str]):
    definition = build_definition(cycling(f"{expression} => target\na & b & c & d"))
    words = {"a": ("a", 0), "b": ("b", 0), "c": ("c", 0), "d:start": ("d", 0), "a[-P1]": ("a", -1)}
    have = {words[one] for one in done}
    holds = all(
        one.expression.holds(lambda index, one=one: (one.conditions[index].task, one.conditions[index].offset.units) in have)
        for one in definition.tasks["target"].prerequisites
    )
    assert holds == _value(expression, done)


def _value(text: str, done: set[str]) -> bool:
    if not text.startswith("("):
        return text in done
    depth = 0
    for at, mark in enumerate(text):
        depth += (mark == "(") - (mark == ")")
        if depth == 1 and mark in "&|":
            left, right = _value(text[1 : at - 1], done), _value(text[at + 2 : -1], done)
            return (left and right) if mark == "&" else (left or right)
    raise AssertionError(text)


@given(text=st.text(st.sampled_from("ab&|()=>!?:[]^$P1-<>@ #\n"), max_size=60))
@settings(max_examples=300)
def test_any_graph_is_read_or_refused_with_a_line(text: str):
    source = once(text)
    try:
        assert isinstance(build_definition(source), Definition)
    except DefinitionProblem as problem:
        assert 0 <= problem.line <= source.count("\n") + 1


@pytest.mark.parametrize("name", [name for name in flow_corpus.valid_flows() if not name.startswith(("big", "jinja", "included"))])
def test_a_definition_is_the_same_after_storage(name: str):
    definition = build_definition(Path(flow_corpus.FLOWS / name / "flow.cylc").read_text())
    assert from_plain(json.loads(json.dumps(to_plain(definition)))) == definition
