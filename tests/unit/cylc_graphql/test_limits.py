"""Requests made to be slow are refused quickly; honest ones pass."""

import time
from contextlib import suppress

import pytest
from graphql import get_introspection_query

from triplane_cylc.graphql import GraphQLRefused, execute_query, prepare
from triplane_cylc.graphql.limits import MAX_ALIASES, MAX_CHARACTERS
from unit.cylc_datastore.runs import store_of, task
from unit.cylc_graphql.recordings import NAMES, recorded

BOMBS = {
    "tokens": ("{ workflows { " + "id " * 5_000 + "} }", "Document contains more than 5000 tokens"),
    "repeated fields": ("{ workflows { " + "id " * 4_900 + "} }", "aliases or repeated fields"),
    "aliases": ("{ workflows { " + " ".join(f"a{n}: id" for n in range(1_600)) + "} }", "aliases or repeated fields"),
    "depth": ("{ workflows { " + "taskProxies { firstParent { " * 8 + "id" + "}}" * 8 + "} }", "more than 15 levels"),
    "braces": ("{a" * 2_000 + "}" * 2_000, "nested too deeply"),
    "brackets": ("{ workflows(ids: " + "[" * 2_000 + "]" * 2_000 + ") { id } }", "nested too deeply"),
    "nested lists": (
        "{ workflows { taskProxies { jobs { taskProxy { jobs { taskProxy { jobs { taskProxy { jobs { id } } } } } } } } } }",
        "costs too much",
    ),
    "fragments that double": (
        " ".join(f"fragment f{n} on Workflow {{ ...f{n + 1} ...f{n + 1} }}" for n in range(300))
        + " fragment f300 on Workflow { id } { workflows { ...f0 } }",
        "repeated fields",
    ),
    "fragments that double nothing": (
        " ".join(f"fragment f{n} on Workflow {{ ...f{n + 1} ...f{n + 1} }}" for n in range(300))
        + " fragment f300 on Workflow { id @skip(if: true) } { workflows { ...f0 } }",
        "repeated fields",
    ),
    "fragments in a circle": (
        "fragment a on Workflow { ...b } fragment b on Workflow { ...a } { workflows { ...a } }", "within itself",
    ),
    "an unused fragment": ("fragment a on Workflow { " + "id " * 4_900 + " } { workflows { id } }", "repeated fields"),
    "characters": ("#" + "x" * 2_000_000, f"at most {MAX_CHARACTERS}"),
    "directives": ("{ workflows { id " + "@a " * 2_000 + "} }", "Unknown directive"),
    "introspection again and again": (
        "{ " + " ".join(f"a{n}: __schema {{ types {{ fields {{ args {{ name }} }} }} }}" for n in range(40)) + " }",
        "ask for the schema once",
    ),
    "introspection in circles": ("{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }", "depth"),
    "a list within introspection": ('{ __type(name: "Job") { possibleTypes { possibleTypes { possibleTypes { name } } } } }', "depth"),
    "operations": (" ".join(f"query q{n} {{ workflows {{ id }} }}" for n in range(600)), "multiple operations"),
    "a list of values": ("{ taskProxies(ids: [" + '"a" ' * 4_900 + "]) { id } }", "more than 500 values"),
    "an object of values": ("{ taskProxies(sort: {" + " ".join(f"k{n}: 1" for n in range(1_200)) + "}) { id } }", "500 values"),
    "default values": ("query (" + " ".join(f'$v{n}: [ID] = ["a" "b"]' for n in range(400)) + ") { workflows { id } }", "500 values"),
    "directives that are known": ("query ($y: Boolean = true) { workflows { id " + "@include(if: $y) " * 600 + "} }", "used once"),
    "fields of an interface": (
        "subscription { deltas { updated { ... on Delta { taskProxies " + "{ jobs { taskProxy " * 4 + "{ id }" + " } }" * 4 + " } } } }",
        "costs too much",
    ),
    "inline fragments": ("{ workflows { " + "... { " * 100 + "id" + "}" * 100 + "} }", None),
}  # fmt: skip


ALLOWED = "{ workflows { " + "id " * 900 + "} }"
"""About the largest request that is let through."""


def cpu_s(request: str) -> float:
    """The least CPU time of three tries, so that a cold cache or a busy machine counts for nothing."""
    tries = []
    for _ in range(3):
        started = time.process_time()
        with suppress(GraphQLRefused):
            prepare(request)
        tries.append(time.process_time() - started)
    return min(tries)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_executed(name):
    request, message = BOMBS[name]
    if message is None:
        prepare(request)
    else:
        with pytest.raises(GraphQLRefused) as refused:
            prepare(request)
        assert message in str(refused.value)
    # A bomb would cost thousands of times as much.
    assert cpu_s(request) < 20 * cpu_s(ALLOWED)


@pytest.mark.parametrize("name", [name for name in NAMES if "error" not in recorded(name)["response"]])
def test_every_recorded_request_is_within_the_limits(name):
    prepare(recorded(name)["request_string"], recorded(name)["variables"])


def test_introspection_as_tools_send_it_is_within_the_limits():
    prepare(get_introspection_query())


def test_as_many_aliases_as_allowed_pass():
    prepare("{ workflows { " + " ".join(f"a{n}: id" for n in range(MAX_ALIASES)) + "} }")
    with pytest.raises(GraphQLRefused):
        prepare("{ workflows { " + " ".join(f"a{n}: id" for n in range(MAX_ALIASES + 1)) + "} }")


@pytest.mark.parametrize("field", ["taskProxies", "workflows", "jobs"])
def test_too_many_ids_are_refused(field):
    with pytest.raises(GraphQLRefused, match="1001 ids; at most 1000"):
        prepare(f"query ($i: [ID]) {{ {field}(ids: $i) {{ id }} }}", {"i": ["1/a"] * 1_001})


@pytest.mark.parametrize("values", [["x"] * 5_001, [["x"] * 10] * 1_000, {str(n): n for n in range(5_001)}])
def test_variables_that_are_too_many_are_refused_before_they_are_read(values):
    with pytest.raises(GraphQLRefused, match="more than 5000 values"):
        prepare("query ($i: [ID]) { workflows(ids: $i) { id } }", {"i": values})


def test_trying_many_globs_on_many_tasks_is_refused_before_it_is_tried():
    store = store_of(*(task("1", f"t{n}") for n in range(1_000)))
    with pytest.raises(GraphQLRefused, match="too large"):
        execute_query(prepare("query ($i: [ID]) { taskProxies(ids: $i) { id } }", {"i": ["*a*b*c*"] * 1_000}), store)


def test_an_answer_that_would_be_too_large_is_refused_while_it_is_made():
    store = store_of(*(task("1", f"t{n}") for n in range(1_000)))
    started = time.process_time()
    with pytest.raises(GraphQLRefused, match="too large"):
        execute_query(prepare("{ taskProxies { firstParent { childTasks { id } } } }"), store)
    assert time.process_time() - started < 2
