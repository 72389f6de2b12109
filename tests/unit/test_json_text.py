"""Stored values can always be written as JSON, also those that one JSON library refuses."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triplane.jsontext import to_json

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12)


@given(value=VALUES)
def test_whatever_json_can_say_survives_the_way_there_and_back(value: Any) -> None:
    assert json.loads(to_json(value)) == value


@pytest.mark.parametrize("value", [10**30, "\ud800", [float("nan"), 10**30], {"a": float("inf"), "b": "\ud800"}])
def test_big_integers_and_lone_surrogates_are_written_and_not_numbers_become_null(value: Any) -> None:
    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    text = to_json(value)
    json.loads(text, parse_constant=refuse)
    assert b"NaN" not in text and b"Infinity" not in text


def test_other_types_go_through_the_callers_own_function_or_are_refused() -> None:
    assert json.loads(to_json([b"\x01", 10**30], bytes.hex)) == ["01", 10**30]
    with pytest.raises(TypeError):
        to_json([object(), 10**30])
