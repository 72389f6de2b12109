"""The query language against a second opinion: any expression, on any runs, finds what Python says it should."""

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triplane.entities import Run, RunDetail
from triplane.errors import InvalidFields
from triplane.store.interface import RunFilter, Slice
from triplane.store.sqlite import SqliteStore, open_store
from triplane.visibility.attributes import has_index_rows
from triplane.visibility.language import read_search

DEFINED = {"Tier": "keyword", "Score": "double", "Due": "datetime", "Paid": "bool", "Tags": "keyword_list", "Count": "int"}
EPOCH = 1_760_000_000
TEXTS = ("gold", "silver", "Gold", "", "o'ne", 'tw"o', "ü\\x", "100%")
NUMBERS = (-1, 0, 1, 1.5, 2, 10**12)
SECONDS = (0, 1, 60, 3_600, 86_400)
STATUSES = ("pending", "running", "waiting", "completed", "failed", "cancelled", "terminated")


def moment(second: int) -> str:
    return (datetime.fromtimestamp(EPOCH, UTC) + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Tier": st.sampled_from(TEXTS), "Score": st.sampled_from(NUMBERS), "Due": st.sampled_from(SECONDS).map(moment),
    "Paid": st.booleans(), "Tags": st.lists(st.sampled_from(TEXTS), max_size=3), "Count": st.sampled_from((0, 1, 2, -(2**63))),
    "Loose": st.one_of(st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.booleans()),
}  # fmt: skip


@st.composite
def a_run(draw: st.DrawFn) -> dict[str, Any]:
    status = draw(st.sampled_from(STATUSES))
    return {
        "WorkflowId": draw(st.sampled_from(("a", "b-1", "B-1", "c"))),
        "WorkflowType": draw(st.sampled_from(("Order", "graph:pipe", "simulation:pipe"))),
        "Status": status,
        "StartTime": draw(st.sampled_from(SECONDS)),
        "CloseTime": draw(st.sampled_from(SECONDS)) if status not in STATUSES[:3] else None,
        "TaskQueue": draw(st.sampled_from(("", "main"))),
        "RunNumber": 1,
        "BusinessKey": draw(st.sampled_from((None, "Key-1", "key-2"))),
        "custom": draw(st.fixed_dictionaries({}, optional=VALUES)),
    }


# ---- expressions, each with its text and its meaning in Python ---------------------------------------------------------


def values_of(run: dict[str, Any], name: str, form: str) -> list[Any]:
    """A run's values of an attribute in the form that a query compares, moments as seconds."""
    if name == "ExecutionStatus":
        return ["running" if run["CloseTime"] is None else run["Status"]]
    value = run[name] if name in run else run["custom"].get(name)
    found = []
    for item in value if isinstance(value, list) else [value]:
        if item is None or (name == "TaskQueue" and item == ""):
            continue
        if form == "moment":
            found.append(item if isinstance(item, int) else next(s for s in SECONDS if moment(s) == item))
        elif (
            (form == "bool" and isinstance(item, bool))
            or (form == "text" and isinstance(item, str))
            or (form == "number" and isinstance(item, (int, float)) and not isinstance(item, bool))
        ):
            found.append(item)
    return found


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'" if '"' in text else '"' + text.replace("\\", "\\\\") + '"'


FORMS = {
    "WorkflowId": ("text", st.sampled_from(("a", "b-1", "z"))), "WorkflowType": ("text", st.sampled_from(("Order", "graph:pipe"))),
    "Status": ("status", st.sampled_from(STATUSES)), "ExecutionStatus": ("status", st.sampled_from(("running", *STATUSES[3:]))),
    "TaskQueue": ("text", st.sampled_from(("main", "x"))), "StartTime": ("moment", st.sampled_from(SECONDS)),
    "CloseTime": ("moment", st.sampled_from(SECONDS)), "RunNumber": ("number", st.sampled_from((0, 1, 2))),
    "BusinessKey": ("text", st.sampled_from(("Key-1", "k"))), "Tier": ("text", st.sampled_from(TEXTS)),
    "Score": ("number", st.sampled_from(NUMBERS)), "Due": ("moment", st.sampled_from(SECONDS)), "Paid": ("bool", st.booleans()),
    "Tags": ("text", st.sampled_from(TEXTS)), "Count": ("number", st.sampled_from((0, 1, 1.5, -(2**63)))),
}  # fmt: skip


def written(form: str, value: Any) -> str:
    if form == "moment":
        return quoted(moment(value))
    return quoted(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)


@st.composite
def a_term(draw: st.DrawFn) -> tuple[str, Any]:
    name = draw(st.sampled_from((*FORMS, "Loose")))
    if name == "Loose":
        form = draw(st.sampled_from(("text", "number", "bool")))
        given_values = {"text": st.sampled_from(TEXTS), "number": st.sampled_from(NUMBERS), "bool": st.booleans()}[form]
    else:
        form, given_values = FORMS[name]
    ordered, real = form in ("text", "number", "moment"), "text" if form == "status" else form
    kinds = ["=", "!=", "in", "not in", "null", "not null", *(("<", "<=", ">", ">=", "between") if ordered else ())]
    kind = draw(st.sampled_from([*kinds, *(("starts", "not starts") if form == "text" else ())]))
    one, two = draw(given_values), draw(given_values)
    shown = name if draw(st.booleans()) else f"`{name}`"

    def some(test: Any) -> Any:
        return lambda run: any(test(value) for value in values_of(run, name, real))

    def has(run: dict[str, Any]) -> bool:
        return any(values_of(run, name, every) for every in ("text", "number", "bool", "moment") if real == "moment" or every != "moment")

    def none(test: Any) -> Any:
        return lambda run: has(run) and not some(test)(run)

    first, second = written(form, one), written(form, two)
    return {
        "=": (f"{shown}={first}", some(lambda v: v == one)),
        "!=": (f"{shown} != {first}", none(lambda v: v == one)),
        "<": (f"{shown} < {first}", some(lambda v: v < one)),
        "<=": (f"{shown} <= {first}", some(lambda v: v <= one)),
        ">": (f"{shown} > {first}", some(lambda v: v > one)),
        ">=": (f"{shown}>={first}", some(lambda v: v >= one)),
        "in": (f"{shown} in ({first}, {second})", some(lambda v: v in (one, two))),
        "not in": (f"{shown} NOT IN ({first},{second})", none(lambda v: v in (one, two))),
        "between": (f"{shown} BETWEEN {first} AND {second}", some(lambda v: one <= v <= two)),
        "starts": (f"{shown} STARTS_WITH {first}", some(lambda v: v.startswith(one))),
        "not starts": (f"{shown} not starts_with {first}", none(lambda v: v.startswith(one))),
        "null": (f"{shown} IS NULL", lambda run: not has(run)),
        "not null": (f"{shown} is not null", has),
    }[kind]


def joined(parts: st.SearchStrategy[tuple[str, Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    several = st.lists(parts, min_size=2, max_size=3)
    return st.one_of(
        several.map(lambda ps: ("(" + " AND ".join(f"{text}" for text, _ in ps) + ")", lambda run: all(test(run) for _, test in ps))),
        several.map(lambda ps: ("(" + " or ".join(f"{text}" for text, _ in ps) + ")", lambda run: any(test(run) for _, test in ps))),
        parts.map(lambda p: (f"NOT {p[0]}", lambda run: not p[1](run))),
        st.tuples(parts, parts, parts).map(
            lambda ps: (
                f"({ps[0][0]} OR {ps[1][0]} AND {ps[2][0]})",
                lambda run: ps[0][1](run) or (ps[1][1](run) and ps[2][1](run)),
            )
        ),
    )


EXPRESSIONS = st.recursive(a_term(), joined, max_leaves=8)


# ---- the store -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def directory():
    made = Path(tempfile.mkdtemp())
    yield made
    shutil.rmtree(made)


def stored(number: int, given_run: dict[str, Any], namespace: str) -> Slice:
    engine, _, name = given_run["WorkflowType"].rpartition(":")
    closed = None if given_run["CloseTime"] is None else float(EPOCH + given_run["CloseTime"])
    run = Run(
        namespace, f"{given_run['WorkflowId']}", f"{namespace}-{number}", 1, engine or "durable", name, given_run["TaskQueue"],
        given_run["Status"], float(EPOCH + given_run["StartTime"]), 1.0, closed=closed,
    )  # fmt: skip
    options = {"business_key": given_run["BusinessKey"]} if given_run["BusinessKey"] is not None else {}
    detail = RunDetail(search_attributes=given_run["custom"], options=options)
    return Slice(cursor=number + 1, run=run, opened=True, detail=detail, indexed=has_index_rows(detail))


_made = 0


def fill(store: SqliteStore, runs: list[dict[str, Any]]) -> str:
    """The runs in a namespace of their own; its name."""
    global _made
    _made += 1
    namespace = f"n{_made}"
    store.writer.commit([stored(number, run, namespace) for number, run in enumerate(runs)])
    return namespace


def found(store: SqliteStore, namespace: str, query: str, limit: int = 2, scan: int = 3) -> list[int]:
    """Numbers of the runs that all pages together hold, in their order."""
    search, after, numbers = read_search(query, DEFINED), None, []
    while True:
        page = store.runs.find(RunFilter(namespace, search, after=after, scan=scan), limit)
        assert len(page.runs) <= limit
        numbers += [int(run.run_id.rpartition("-")[2]) for run, _ in page.runs]
        after = page.next
        if after is None:
            return numbers


@pytest.fixture(scope="module")
def store(directory):
    opened = open_store(directory / "store")
    yield opened
    opened.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(a_run(), max_size=7, unique_by=lambda run: run["WorkflowId"]), EXPRESSIONS, st.booleans())
def test_a_query_finds_just_the_runs_that_it_is_true_of(store, runs, expression, oldest_first):
    text, test = expression
    namespace = fill(store, runs)
    wanted = [number for number, run in enumerate(runs) if test(run)]
    order = " ORDER BY StartTime ASC" if oldest_first else ""
    assert found(store, namespace, text + order) == (wanted if oldest_first else wanted[::-1]), text
    assert store.runs.count(RunFilter(namespace, read_search(text, DEFINED))).count == len(wanted)


PIECES = (*"AaZz=!<>()'\"`,. \\\t019-+eé", " AND ", " OR ", " NOT ", " IN (", "Tier", " IS NULL ", "A = 1 ", " ORDER BY ")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_text_is_a_search_or_is_refused_at_a_position(text):
    try:
        read_search(text, DEFINED)
    except InvalidFields as error:
        (sentence,) = error.details["errors"]["query"]
        position = int(sentence.removeprefix("Position ").partition(":")[0])
        assert 1 <= position <= len(text) + 1
