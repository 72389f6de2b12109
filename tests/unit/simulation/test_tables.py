"""Conditions on rows, and the tables that every run has."""

import asyncio
import random

import pytest

from triplane.errors import RefusedInput
from triplane.tables.conditions import Conditions
from triplane.tables.pages import TablePages
from unit.simulation.harness import house

COLUMNS = (("Time", "int"), ("Name", "str"), ("Mass", "float"), ("SimId", "uuid"), ("Tags", "list"), ("Done", "bool"))
ROWS = [
    (0, "a", 1.5, "id-1", ["x"], True),
    (1, "b", None, "id-1", [], False),
    (2, "a", float("nan"), "id-2", None, True),
    (3, None, 4.0, "id-2", ["x"], None),
]


@pytest.mark.parametrize(
    ("conditions", "times"),
    [
        ([("Time", "==", 1)], [1]),
        ([("Time", "!=", 1)], [0, 2, 3]),
        ([("Time", ">=", 1), ("Time", "<", 3)], [1, 2]),
        ([("Time", "<=", 0.5)], [0]),
        ([("Mass", ">", 1)], [0, 3]),
        ([("Mass", "==", 4)], [3]),
        ([("Name", "==", "a")], [0, 2]),
        ([("Name", "!=", "a")], [1, 3]),
        ([("Name", ">", "a")], [1]),
        ([("SimId", "==", "id-2")], [2, 3]),
        ([("Time", "==", "1")], []),
        ([("Time", "!=", "1")], [0, 1, 2, 3]),
        ([("Time", "==", None)], []),
        ([("Time", "!=", None)], [0, 1, 2, 3]),
        ([("Tags", "==", ["x"])], [0, 3]),
        ([("Done", "==", True)], [0, 2]),
        ([("Done", "==", 1)], [0, 2]),
    ],
)
def test_conditions_choose_rows(conditions, times):
    chosen = Conditions(COLUMNS, conditions).choose(lambda position: [row[position] for row in ROWS], range(len(ROWS)))
    assert [ROWS[number][0] for number in chosen] == times


@pytest.mark.parametrize(
    "condition",
    [
        ("NoSuch", "==", 1), ("Time", "=", 1), ("Time", "in", [1]), ("Time", "<", "x"), ("Name", ">", 1), ("Tags", "<", ["x"]),
        ("Time", "<", None), ("Time", "<", [1]), ("__class__", "==", 1), ("Time", "__import__('os')", 1),
    ],
)  # fmt: skip
def test_conditions_that_mean_nothing_are_refused(condition):
    with pytest.raises(RefusedInput):
        Conditions(COLUMNS, [condition])


async def test_every_run_has_tasks_jobs_and_history(tmp_path):
    async with house(tmp_path) as home:
        await home.start_model("counts", input={"steps": 15})
        await home.closed()
        tasks, jobs, history = home.table("Tasks"), home.table("Jobs"), home.table("triplane.History")
        assert [row[0] for row in tasks.rows] == [str(n) for n in range(6, 16)] and tasks.index == list(range(5, 15))
        assert {row[3] for row in jobs.rows} == {"succeeded"} and len(jobs.rows) == 10
        assert history.index == list(range(18)) and [row[0] for row in history.rows] == list(range(1, 19))
        assert home.table("History", ("seq", ">", 16)).index == [16, 17]
        assert home.connection is not None and home.table("NoSuch") is None


async def test_a_model_s_own_table_goes_before_a_core_table_of_that_name(tmp_path):
    async with house(tmp_path) as home:
        tables = {"Tasks": {"columns": [["Mine", "int"]], "rows": [[1], [2]]}}
        await home.start_model("recorded", input={"tables": tables, "steps": 1})
        await home.closed()
        assert home.table("Tasks").rows == [(1,), (2,)]
        assert home.table("triplane.Tasks").columns[0] == ("cycle", "str")


async def test_kept_rows_are_the_stored_rows_whatever_is_asked_in_which_order(tmp_path):
    async with house(tmp_path) as home:
        sizes = {"A": 2_570, "B": 1_000, "C": 8}
        tables = {name: {"columns": [["N", "int"]], "rows": [[n] for n in range(size)]} for name, size in sizes.items()}
        run_id = (await home.start_model("recorded", input={"tables": tables, "steps": 1}))["run_id"]
        await home.closed()
        pages, ask = TablePages(home.store, max_cost=40_000), random.Random(1)
        for _ in range(500):
            table, first = ask.choice("ABCD"), ask.randrange(2_700)
            page = pages.read(run_id, table, 1, first)
            assert (page is None) == (first >= sizes.get(table, 0))
            if page is not None:
                assert page.first_row <= first < page.end and page.column(0) == list(range(page.first_row, page.end))
            assert 0 <= pages.cost <= 40_000


async def test_rows_kept_of_a_growing_table_are_joined_by_new_ones(tmp_path):
    async with house(tmp_path) as home:
        await home.start_model("material_flow", input={"duration": 300})
        seen = 0
        while home.view().run.is_open:
            rows = home.table("Stores", ("Quantity", ">=", 0)).rows if "Stores" in home.store.tables.names(home.view().run.run_id) else []
            assert len(rows) >= seen and [row[2] for row in rows] == list(range(1, len(rows) + 1))
            seen = len(rows)
            await asyncio.sleep(0)
        assert len(home.table("Stores").rows) == 300
