"""The reserved query `table`, over a gateway with simulations."""


import pytest

from triplane.entities import Rows, Run, RunDetail
from triplane.store.interface import Slice
from triplane_durable import tables
from triplane_durable.tables import shown
from unit.durable_http.conftest import Wire

COLUMNS = (("N", "int"), ("F", "float"), ("S", "str"), ("B", "blob"), ("M", "map"))


@pytest.fixture
def stored(wire: Wire) -> Wire:
    run = Run("default", "ore", "r-ore", 1, "durable", "m", "q", "completed", 1.0, 1.0, closed=2.0)
    rows = tuple((n, n / 2, f"row {n}", b"\xff", {1: n}) for n in range(12_000))
    changes = [Slice(run=run, opened=True, closed=True, detail=RunDetail()), Slice(run=run, rows=[Rows("T", COLUMNS, 0, rows)])]
    wire.gateway.bus.store.writer.commit(changes)
    return wire


async def ask(wire: Wire, *arguments: object) -> tuple[int, dict]:
    answer = await wire.send("POST", "workflows/ore/query/triplane.table", {"input": list(arguments)})
    return answer.status, answer.body


async def test_pages_and_conditions_choose_rows(stored):
    status, body = await ask(stored, "T", {"limit": 2, "after": 2_998})
    assert status == 200
    assert body["result"] == [{"N": n, "F": n / 2, "S": f"row {n}", "B": "/w==", "M": {"1": n}} for n in (2_999, 3_000)]
    _, body = await ask(stored, "T", {"conds": [["N", ">=", 11_990], ["S", "!=", "row 11995"]]})
    assert [row["N"] for row in body["result"]] == [n for n in range(11_990, 12_000) if n != 11_995]


async def test_more_rows_than_an_answer_holds_are_refused_with_advice(stored):
    status, body = await ask(stored, "T")
    assert status in (413, 422) and "limit and after" in str(body)
    status, body = await ask(stored, "T", {"limit": tables.MAX_ROWS})
    assert status == 200 and len(body["result"]) == tables.MAX_ROWS


@pytest.mark.parametrize(
    "arguments",
    [[], [7], ["T", []], ["T", {"sort": 1}], ["T", {"limit": 0}], ["T", {"limit": True}], ["T", {"after": "x"}], ["T", {"conds": "x"}],
     ["T", {"conds": [["N", "=="]]}], ["T", {"conds": [["N", "~", 1]]}], ["T", {"conds": [["Z", "==", 1]]}], ["T", {}, 1], ["NoSuch"]],
)  # fmt: skip
async def test_senseless_arguments_are_refused(stored, arguments):
    status, _ = await ask(stored, *arguments)
    assert 400 <= status < 500


def test_every_value_has_a_form_that_payloads_can_hold():
    odd = [float("nan"), 2**64, -(2**63), "\ud800é", b"\xff", (1, b"ok"), {1: float("inf")}, None, True]
    assert shown(odd) == [None, str(2**64), -(2**63), "\\ud800é", "/w==", [1, "ok"], {"1": None}, None, True]
