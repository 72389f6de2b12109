"""Tables of values that tables seldom hold, of many columns and of very many rows: shown, bounded, or refused with a reason."""

import base64
import json
import resource

import pytest

from triplane.entities import Rows, Run, RunDetail
from triplane.store.interface import Slice
from triplane_cyclus import tabledata
from triplane_cyclus.plans import Place
from triplane_cyclus.rendered import RenderedTables
from triplane_cyclus.tabledata import table_data_pages
from unit.cyclus.served import served
from unit.simulation.harness import House, house

SIM = "a462485d-c5b2-4869-879f-d6d16c9f1362"
SHOWN = [
    [True, 2**8_000, None, "\ud800 é 😀 / \0", base64.b64encode(b"\xff\xfe").decode(), SIM, [2**70, [1, 2]], {"1": None, "\ud800": "/w=="}],
    [False, -(2**63) - 1, None, "", "", SIM, [], {}],
    [None] * 8,
    [True, 2**64, 5e-324, "x" * 300_000, "text", SIM, [[[]]], {"a": {"b": {}}}],
]
NAMES = ["Bool", "Int", "Float", "Str", "Blob", "Uuid", "List", "Map"]


async def test_odd_values_are_shown_in_every_shape_and_chosen_by_conditions(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        await client.ask("load", input="odd_values")
        await wire.home.closed("cyclus-default")
        rows = SHOWN * 2
        split = (await client.ask("table_data", table="Odd"))["data"]
        assert split == {"columns": NAMES, "index": list(range(8)), "data": rows}
        assert (await client.ask("table_data", table="Odd", orient="values"))["data"] == rows
        records = (await client.ask("table_data", table="Odd", orient="records"))["data"]
        assert records == [dict(zip(NAMES, row, strict=True)) for row in rows]
        by_row = (await client.ask("table_data", table="Odd", orient="index"))["data"]
        assert by_row == {str(number): record for number, record in enumerate(records)}
        by_column = (await client.ask("table_data", table="Odd", orient="columns"))["data"]
        assert by_column == {name: {n: row[name] for n, row in by_row.items()} for name in NAMES}
        for condition, index in (
            (["Int", ">", 2**63], [0, 3, 4, 7]), (["Int", "==", 2**8_000], [0, 4]), (["Str", "==", ""], [1, 5]),
            (["Float", "<", 1], [1, 3, 5, 7]), (["Bool", "!=", True], [1, 2, 5, 6]), (["Blob", "==", "text"], []),
        ):  # fmt: skip
            assert (await client.ask("table_data", table="Odd", conds=[condition]))["data"]["index"] == index, condition
        wide = (await client.ask("table_data", table="Wide", conds=[["C999", "==", 999]]))["data"]
        assert wide["data"] == [list(range(1_000))] * 2 and len(wide["columns"]) == 1_000


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("number_too_large", "an integer has 8193 bits, over the limit of 8192"),
        ("nested_too_deep", "recursion limit exceeded"),
        ("foreign_value", "a value is of type object"),
        ("too_many_columns", "needs 1 to 2000 columns"),
        ("empty_column_name", "'' cannot be the name of a column"),
        ("too_many_tables", "1001 tables are more than the 1000"),
    ],
)
async def test_what_no_table_can_hold_fails_the_run_and_says_why(tmp_path, model, reason):
    async with house(tmp_path) as home:
        await home.start_model(model)
        assert (await home.closed()).run.status == "failed"
        assert reason in home.table("History", ("event", "==", "WorkflowFailed")).rows[0][-1]["message"]


async def test_a_table_too_long_for_one_answer_is_had_in_pages(tmp_path):
    tables = {"T": {"columns": [["N", "int"], ["S", "str"]], "rows": [[n, "x" * 100] for n in range(2_500)]}}
    async with served(tmp_path, max_table_bytes=1 << 16) as wire:
        await wire.home.start_model("recorded", "w", input={"tables": tables, "steps": 0})
        await wire.home.closed("w")
        async with wire.client("/runs/w") as watcher:
            refused = await watcher.ask("table_data", table="T")
            assert refused["event"] == "error" and refused["params"]["code"] == "too_large" and "limit and after" in refused["data"]
            found, after = [], -1
            while after is not None:
                page = await watcher.ask("table_data", table="T", limit=500, after=after, orient="values")
                found += [row[0] for row in page["data"]]
                after = page["next"]
            assert found == list(range(2_500))
            assert (await watcher.ask("table_data", table="T", conds=[["N", ">", 2_490]]))["data"]["index"] == list(range(2_491, 2_500))



@pytest.mark.parametrize(
    "rows", [pytest.param(60_000, id="reduced"), pytest.param(10_000_000, id="full", marks=[pytest.mark.full, pytest.mark.timeout(900)])]
)
async def test_a_table_of_very_many_rows_is_looked_through_in_small_portions(tmp_path, rows):
    async with house(tmp_path) as home:
        put(home, rows)
        place = Place("default", "large", rendered=RenderedTables(longest=1 << 20))
        portions, seen = 0, 0

        def ask(query):
            nonlocal portions, seen
            data = home.connection.query(query)
            if hasattr(data, "next_row"):
                portions += 1
                assert data.next_row - query.from_row <= tabledata.PORTION_ROWS
                seen = data.next_row
            return data

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wanted = [["Number", ">=", rows - 3], ["Name", "==", "last"]]
        *waits, frame = table_data_pages(ask, place, {"table": "T", "conds": wanted, "orient": "values"}, {})
        assert json.loads(frame)["data"] == [[rows - 1, "last", 0.5]]
        assert seen == rows and portions >= rows // tabledata.PORTION_ROWS and len(waits) == portions - 1
        # The pages kept and a portion, however many rows there are (in KiB).
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
        asked = portions
        *_, again = table_data_pages(ask, place, {"table": "T", "conds": wanted, "orient": "values"}, {})
        assert again == frame and portions == asked + 1


def put(home: House, rows: int) -> None:
    """Store a closed run with a table, many rows at a time."""
    run = Run("default", "large", "r-large", 1, "simulation", "m", "", "completed", 1.0, 1.0, closed=2.0)
    home.store.writer.commit([Slice(run=run, opened=True, closed=True, detail=RunDetail())])
    columns = (("Number", "int"), ("Name", "str"), ("Share", "float"))
    for first in range(0, rows, 20_000):
        until = min(rows, first + 20_000)
        values = tuple((n, "last" if n % 100_000 == 7 or n == rows - 1 else "row", 0.5) for n in range(first, until))
        home.store.writer.commit([Slice(run=run, rows=[Rows("T", columns, first, values)])])
