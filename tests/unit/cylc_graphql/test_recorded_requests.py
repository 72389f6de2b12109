"""Every request that the real clients were recorded to send, answered like the real scheduler answered it."""

from typing import Any

import orjson
import pytest

from triplane_cylc.graphql import GraphQLRefused, execute_query, mutation_data, prepare
from triplane_cylc.graphql.answer import execute_plainly
from triplane_cylc.graphql.fields import Context
from triplane_cylc.graphql.limits import Budget
from unit.cylc_graphql.recordings import NAMES, equivalent_store, recorded

RECORDED = {name: recorded(name) for name in NAMES}
REFUSED = [name for name, record in RECORDED.items() if "error" in record["response"]]
MUTATIONS = [name for name, record in RECORDED.items() if record["request_string"].strip().startswith("mutation")]
QUERIES = [name for name in NAMES if name not in REFUSED and name not in MUTATIONS]
FREE_FORM = {"stateTotals", "userDefined", "broadcasts"}

# What the answers below were recorded with and no run of ours can repeat: the time, and what only a window of the graph
# beyond the active tasks explains.
DIFFERENT = {"lastUpdated", "stateTotals", "states", "meanElapsedTime", "newestActiveCyclePoint", "oldestActiveCyclePoint"}


def answer(name: str) -> dict[str, Any]:
    record = RECORDED[name]
    prepared = prepare(record["request_string"], record["variables"])
    return orjson.loads(orjson.dumps(execute_query(prepared, equivalent_store(record["response"]))))


def assert_same_shape(ours: Any, theirs: Any, path: str = "data") -> None:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        assert list(ours) == list(theirs), path
        for key in theirs:
            if key not in FREE_FORM:
                assert_same_shape(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(theirs, list) and theirs and ours:
        for item in ours:
            assert_same_shape(item, theirs[0], f"{path}[]")
    elif theirs is not None and ours is not None:
        assert type(ours) is type(theirs), path


@pytest.mark.parametrize("name", QUERIES)
def test_a_recorded_query_is_answered_in_the_recorded_shape(name):
    assert_same_shape(answer(name), RECORDED[name]["response"]["data"])


@pytest.mark.parametrize("name", QUERIES)
def test_a_recorded_query_is_answered_alike_by_projection_and_by_plain_execution(name):
    record = RECORDED[name]
    prepared = prepare(record["request_string"], record["variables"])
    assert prepared.plan is not None
    plain = execute_plainly(prepared, Context(equivalent_store(record["response"]), Budget()))
    assert answer(name) == orjson.loads(orjson.dumps(plain))


def without(value: Any, keys: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: without(member, keys) for key, member in value.items() if key not in keys}
    return [without(item, keys) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["tui", "dump_held", "show_list2", "show_json2", "show_task3", "show_def", "show_wf", "ping"])
def test_a_recorded_query_of_the_same_run_has_the_recorded_answer(name):
    assert without(answer(name), DIFFERENT) == without(RECORDED[name]["response"]["data"], DIFFERENT)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_recorded_mutation_is_read_with_its_variables(name):
    record = RECORDED[name]
    (call,) = prepare(record["request_string"], record["variables"]).mutations
    variables = {key: value for key, value in record["variables"].items() if f"${key}" in record["request_string"]}
    assert call.args["workflows"] == variables.pop("wFlows")
    for value in variables.values():
        assert value in call.args.values()
    result = record["response"]["data"][call.key]["result"]
    data = mutation_data(prepare(record["request_string"], record["variables"]), {call.key: result})
    assert data == record["response"]["data"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_recorded_error_has_the_recorded_message(name):
    record = RECORDED[name]
    with pytest.raises(GraphQLRefused) as refused:
        prepare(record["request_string"], record["variables"])
    assert str(refused.value) == record["response"]["error"]["message"]
