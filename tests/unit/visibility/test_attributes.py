"""Values of search attributes: what passes, and how it is indexed."""

import pytest

from triplane.entities import RunDetail, SearchAttribute
from triplane.visibility.attributes import SYSTEM, has_index_rows, index_rows, microseconds, wrong_values
from triplane.visibility.definitions import AttributeDefinitions


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01", 0), ("1970-01-01T00:00:01Z", 1_000_000), ("1970-01-01T01:00:00+01:00", 0), ("19700102T000000Z", 86_400_000_000),
        ("1970-01-01 00:00:00.000001", 1), ("1969-12-31T23:59:59Z", -1_000_000), ("2026-13-01", None), ("tomorrow", None), ("", None),
        ("12345678901234567890", None), ("2026-01-01" + " " * 80, None), ("0001-01-01T00:00:00+14:00", -62_135_647_200_000_000),
    ],
)  # fmt: skip
def test_a_moment_is_iso_8601_in_any_zone_and_utc_without_one(text, moment):
    assert microseconds(text) == moment


def test_nothing_taken_away_and_nothing_defined_passes_whatever_it_is():
    assert wrong_values({"A": None, "B": {"deep": [1]}, "C": [1, "x"], "D": 1.5}, {"A": "int"}) == {}


@pytest.mark.parametrize("name", sorted(SYSTEM))
def test_no_run_sets_a_system_attribute(name):
    assert "system attribute" in wrong_values({name: "x"}, {})[name][0]


@pytest.mark.parametrize("value", ["é" * 1_025, ["x" * 100] * 30, {"a": "x" * 3_000}])
def test_a_value_is_measured_in_bytes(value):
    assert "2048 bytes" in wrong_values({"A": value}, {})["A"][0]
    assert wrong_values({"A": "x" * 2_000}, {}) == {}


def test_what_a_start_asked_for_is_indexed_beside_its_attributes():
    detail = RunDetail(options={"business_key": "k", "build_id": "b", "archived": 1.5}, parent={"workflow_id": "p"})
    assert index_rows(detail) == {
        ("BusinessKey", "text", "k"), ("BuildId", "text", "b"), ("ParentWorkflowId", "text", "p"), ("ArchiveTime", "moment", 1_500_000),
    }  # fmt: skip
    assert has_index_rows(detail) and not has_index_rows(RunDetail(options={"run_timeout_s": 5}, memo={"a": 1}))


def test_definitions_are_each_namespace_s_own_and_go_with_it():
    definitions = AttributeDefinitions([SearchAttribute("a", "Tier", "keyword"), SearchAttribute("b", "Tier", "int")])
    assert (definitions.of("a"), definitions.of("b"), definitions.of("c")) == ({"Tier": "keyword"}, {"Tier": "int"}, {})
    definitions.remove("b", "Tier")
    definitions.remove("b", "Tier")
    definitions.forget("a")
    assert (definitions.of("a"), definitions.of("b")) == ({}, {})
