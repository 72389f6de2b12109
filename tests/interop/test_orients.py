"""Tables on the Cyclus wire against real pandas: every orient and every condition, on tables of any content.

The frames that pandas is given are those that the original keeps. Three things are better here on purpose, and are left out
of the comparison: a UUID equals its text, a null has no order (pandas refuses to order a column that holds one), and the
largest floats are not rounded to numbers that nobody can read.
"""

import asyncio
import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interop.clients import PANDAS, PANDAS_153, bin_dir
from interop.drivers import LineDriver
from triplane.auth import SocketOwner
from triplane.engines.simulation import SimulationEngine
from triplane.entities import Rows, Run, RunDetail
from triplane.errors import RefusedInput
from triplane.gateway import Gateway
from triplane.store.interface import Slice
from triplane.store.sqlite import open_store
from triplane_cyclus.orients import ORIENTS
from triplane_cyclus.plans import Place
from triplane_cyclus.tabledata import table_data_pages

Column = tuple[str, str]
EXACT = 2**53
"""Whole numbers up to here are themselves as floats too; numpy compares as floats, we compare what is there."""
LARGEST = 9e307

INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
FLOATS = (
    st.floats(-LARGEST, LARGEST)
    | st.sampled_from([math.nan, math.inf, -math.inf])
    | st.floats(-10, 10)
    | st.sampled_from([0.5e-10, 1.5e-10, 0.12345678905, 2.5, -0.0, 1e15, 1e16, 1e-15, 9e-16, LARGEST, 5e-324, 1 - 1e-11])
    | st.builds(lambda whole, digits: whole + digits / 1e11, st.integers(-1_000, 1_000), st.integers(0, 10**11))
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["/", "</a>", '"', "\\", "\u2028", "é", "😀", "a"])
KEYS = TEXT.filter(lambda key: "\0" not in key)
"""pandas ends a key at a NUL."""
SCALARS = st.none() | st.booleans() | INTS | st.floats(-LARGEST, LARGEST) | st.just(math.inf) | TEXT
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int": INTS,
    "float": FLOATS,
    "str": TEXT,
    "blob": TEXT.map(str.encode),
    "uuid": st.uuids().map(str),
    "list": st.lists(SCALARS, max_size=3),
    "map": st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=2), max_size=3),
}
ORDERED = {"bool": "number", "int": "number", "float": "number", "str": "text"}
NAMES = KEYS.filter(lambda name: name not in ("", "index"))


@dataclass
class Table:
    """A table and what is asked of it. Row groups are appended one after the other."""

    columns: list[Column]
    groups: list[list[tuple[Any, ...]]]
    asks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return [row for group in self.groups for row in group]


@st.composite
def tables(draw: st.DrawFn, most_rows: int) -> Table:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    columns = [(name, draw(st.sampled_from(sorted(CELLS)))) for name in names]
    may_be_null = [draw(st.booleans()) for _ in columns]
    cells = [CELLS[kind] if not null else st.none() | CELLS[kind] for (_, kind), null in zip(columns, may_be_null, strict=True)]
    rows = draw(st.lists(st.tuples(*cells), max_size=most_rows))
    cut = draw(st.integers(0, len(rows)))
    table = Table(columns, [rows[:cut], rows[cut:]])
    for orient in (*ORIENTS, None):
        conds = draw(st.none() | st.lists(conditions(table), max_size=2))
        table.asks.append({"orient": orient, "conds": conds, "precision": draw(st.just(10) | st.integers(0, 15))})
    return table


@st.composite
def conditions(draw: st.DrawFn, table: Table) -> list[Any]:
    position = draw(st.integers(0, len(table.columns) - 1))
    name, kind = table.columns[position]
    values: st.SearchStrategy[Any] = st.integers(-EXACT, EXACT) | st.floats(-100, 100) | st.booleans() | TEXT | st.none()
    signs = ["==", "!="]
    family = ORDERED.get(kind)
    if family is not None and draw(st.booleans()):
        signs = ["<", "<=", ">", ">="]
        values = TEXT if family == "text" else st.integers(-EXACT, EXACT) | st.floats(-100, 100)
    present = [row[position] for row in table.rows if family and _comparable(row[position])]
    if present:
        values = values | st.sampled_from(present) if family != "text" or signs == ["==", "!="] else st.sampled_from(present)
    if kind in ("uuid", "list", "map"):
        # Their text and their parts are compared here, and not there.
        values = st.integers(-3, 3) | st.none()
    return [name, draw(st.sampled_from(signs)), draw(values)]


def _comparable(cell: Any) -> bool:
    if isinstance(cell, int):
        return abs(cell) <= EXACT
    return isinstance(cell, str) or (isinstance(cell, float) and math.isfinite(cell))


class House:
    """A gateway over a store in which every table is a run's."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self.store = open_store(folder)
        self.gateway = Gateway(self.store, {"simulation": SimulationEngine()}, [])
        self._runner.run(self.gateway.start())
        self.connection = self.gateway.open_connection("cyclus", "here", SocketOwner(0))
        self._numbers = count(1)

    def close(self) -> None:
        self._runner.run(self.gateway.stop())
        self.store.close()
        self._runner.close()

    def put(self, table: Table) -> Place:
        """Store a table as a closed run's, group by group."""
        number = next(self._numbers)
        run = Run("default", f"w{number}", f"r{number}", 1, "simulation", "m", "", "completed", 1.0, 1.0, closed=2.0)
        changes = [Slice(run=run, opened=True, closed=True, detail=RunDetail())]
        first = 0
        for group in table.groups:
            changes.append(Slice(run=run, rows=[Rows("T", tuple(table.columns), first, tuple(group))]))
            first += len(group)
        self.store.writer.commit(changes)
        return Place("default", run.workflow_id)

    def answer(self, place: Place, **params: Any) -> Any:
        """`data` of the frame; None where the request is refused."""
        try:
            *_, frame = table_data_pages(self.connection.query, place, {"table": "T", **params}, {})
        except RefusedInput:
            return None
        assert frame is not None
        return json.loads(frame)["data"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    built = House(tmp_path_factory.mktemp("tables"))
    yield built
    built.close()


@pytest.fixture(scope="module", params=[PANDAS_153, PANDAS], ids=lambda client: client.name)
def pandas(request: pytest.FixtureRequest) -> Iterator[LineDriver]:
    driver = LineDriver(bin_dir(request.param) / "python", "pandas_tables.py")
    assert driver.hear().startswith("1.5.3" if request.param is PANDAS_153 else "")
    yield driver
    driver.close()


def compare(home: House, pandas: LineDriver, table: Table) -> None:
    plain = [[base64.b64encode(cell).decode() if isinstance(cell, bytes) else cell for cell in row] for row in table.rows]
    answers = pandas.ask({"columns": table.columns, "rows": plain, "asks": table.asks})
    place = home.put(table)
    nulls = {name for position, (name, _) in enumerate(table.columns) if any(row[position] is None for row in table.rows)}
    for ask, answer in zip(table.asks, answers, strict=True):
        ours = home.answer(place, **ask)
        if answer.get("error") == "TypeError" and any(sign in "<=>=" and column in nulls for column, sign, _ in ask["conds"] or ()):
            assert ours is not None
            continue
        theirs = json.loads(answer["text"])
        if ask["orient"] == "table":
            # An object column is a string to pandas; the type is known here also where there are nulls.
            for shown in (ours, theirs):
                shown["schema"]["fields"] = [f for f in shown["schema"]["fields"] if f["name"] not in nulls]
        assert ours == theirs, (ask, table)


@given(table=tables(6))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_any_table_is_what_pandas_makes_of_it(home, pandas, table):
    compare(home, pandas, table)


@pytest.mark.full
@given(table=tables(40))
@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_very_many_tables_are_what_pandas_makes_of_them(home, pandas, table):
    compare(home, pandas, table)


def test_a_table_of_many_pages_is_what_pandas_makes_of_it(home, pandas):
    columns = [("SimId", "uuid"), ("Time", "int"), ("Commodity", "str"), ("Quantity", "float"), ("Parts", "map")]
    sim = "a462485d-c5b2-4869-879f-d6d16c9f1362"
    rows = [(sim, n // 3, "ore" if n % 7 else "fuel", n / 7, {"a": n / 3}) for n in range(3_500)]
    table = Table(columns, [rows[:1], rows[1:900], rows[900:1_001], rows[1_001:3_100], rows[3_100:]])
    for orient in (*ORIENTS, None):
        for conds in (None, [["Time", "==", 400]], [["Commodity", "==", "fuel"], ["Time", ">", 900]], [["Quantity", "<=", 2.0]]):
            table.asks.append({"orient": orient, "conds": conds, "precision": 10})
    compare(home, pandas, table)


@given(values=st.lists(FLOATS, min_size=1))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_floats_are_rounded_to_the_same_bits(home, pandas, values):
    finite = [value for value in values if math.isfinite(value)]
    values = [*values, *(-value for value in finite), *(value / 3 for value in finite), *(round(value, 9) + 5e-11 for value in finite)]
    asks = [{"orient": "values", "conds": None, "precision": precision} for precision in range(16)]
    compare(home, pandas, Table([("F", "float")], [[(value,) for value in values]], asks))


@given(rows=st.lists(st.tuples(FLOATS, st.integers(), st.text(), st.binary(max_size=8)), max_size=5))
@settings(max_examples=20, deadline=None)
def test_without_a_precision_every_value_is_whole(home, rows):
    place = home.put(Table([("F", "float"), ("I", "int"), ("S", "str"), ("B", "blob")], [rows]))
    shown = home.answer(place, orient="values")
    assert [row[0] for row in shown] == [row[0] if math.isfinite(row[0]) else None for row in rows]
    assert [row[1:3] for row in shown] == [[row[1], row[2]] for row in rows]
    for (*_, blob), (*_, text) in zip(rows, shown, strict=True):
        assert text.encode() == blob or base64.b64decode(text) == blob


def test_the_largest_float_stays_finite_at_any_precision(home):
    place = home.put(Table([("F", "float")], [[(1.7976931348623157e308,)]]))
    for precision in range(16):
        assert 1.7e308 < home.answer(place, orient="values", precision=precision)[0][0] < math.inf


def test_a_uuid_is_found_by_its_text(home):
    ids = ["a462485d-c5b2-4869-879f-d6d16c9f1362", "b462485d-c5b2-4869-879f-d6d16c9f1362"]
    place = home.put(Table([("SimId", "uuid"), ("N", "int")], [[(each, n) for n, each in enumerate(ids)]]))
    assert home.answer(place, conds=[["SimId", "==", ids[1]]])["index"] == [1]
    assert home.answer(place, conds=[["SimId", "!=", ids[1]]])["index"] == [0]
    assert home.answer(place, conds=[])["index"] == [0, 1]
