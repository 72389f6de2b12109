"""`triplane tables` against a gateway in a process of its own: what is printed is what the websocket shows."""

import csv
import io
import json
from collections.abc import Iterator

import pytest

from gateway_process import GatewayProcess
from interop.clients import WEBSOCKET, bin_dir
from interop.drivers import LineDriver
from triplane_control.tabulating import PAGE_ROWS

STEPS, STORES = 100, 60
"""More rows than the command reads at a time."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("tables")) as served:
        stores = [{"name": f"Depot {n}", "commodity": "ore", "capacity": 100.0, "initial": 0.1 * n} for n in range(STORES)]
        start = {"model": "material_flow", "input": {"duration": STEPS, "stores": stores, "checkpoint_every": 0}}
        (served.definitions / "ore.json").write_text(json.dumps(start))
        served.cli("start", "simulation:ore", "--id", "ore", "--wait")
        yield served


def shown(gateway: GatewayProcess, table: str, **params: object) -> dict[str, list]:
    driver = LineDriver(bin_dir(WEBSOCKET) / "python", "ws_driver.py")
    try:
        url = f"ws://localhost:{gateway.websocket_port}/runs/ore"
        request = {"event": "table_data", "params": {"table": table, **params}}
        return driver.ask({"url": url, "send": request, "await": "table_data"})["data"]
    finally:
        driver.close()


def test_names_of_tables_are_listed(gateway):
    names = gateway.cli("tables", "ore").stdout.split()
    assert {"History", "Jobs", "Tasks", "Stores"} <= set(names) and names == sorted(names)
    assert json.loads(gateway.cli("tables", "ore", "--json").stdout) == names


def test_a_whole_table_is_printed_as_csv_and_as_json_lines(gateway):
    whole = shown(gateway, "Stores")
    assert len(whole["data"]) >= STEPS * STORES > PAGE_ROWS
    lines = [json.loads(line) for line in gateway.cli("tables", "ore", "Stores", "--jsonl").stdout.splitlines()]
    assert lines == [dict(zip(whole["columns"], row, strict=True)) for row in whole["data"]]
    printed = list(csv.reader(io.StringIO(gateway.cli("tables", "ore", "Stores", "--csv").stdout)))
    assert printed[0] == whole["columns"]
    assert printed[1:] == [["" if cell is None else str(cell) for cell in row] for row in whole["data"]]
    document = json.loads(gateway.cli("tables", "ore", "Stores", "--json").stdout)
    assert [row["row"] for row in document["rows"]] == whole["index"]
    assert [row["values"] for row in document["rows"]] == whole["data"]


def test_conditions_and_pages_choose_rows(gateway):
    chosen = json.loads(gateway.cli("tables", "ore", "Stores", "--json", "--where", "Time >= 90", "--where", "Time<93").stdout)
    expected = shown(gateway, "Stores", conds=[["Time", ">=", 90], ["Time", "<", 93]])
    assert [row["row"] for row in chosen["rows"]] == expected["index"] != []
    page = json.loads(gateway.cli("tables", "ore", "Stores", "--json", "--after", "41", "--limit", "3").stdout)
    assert [row["row"] for row in page["rows"]] == [42, 43, 44]
    events = gateway.cli("tables", "ore", "History", "--jsonl", "--where", "event == WorkflowCompleted").stdout.splitlines()
    assert [json.loads(line)["event"] for line in events] == ["WorkflowCompleted"]


def test_people_see_the_first_rows_and_how_to_get_the_rest(gateway):
    printed = gateway.cli("tables", "ore", "Stores").stdout
    assert "Quantity" in printed and "--limit for more" in printed and len(printed.splitlines()) == 42


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["tables", "ore", "NoSuch"], 1, "no table 'NoSuch'"),
        (["tables", "ore", "Stores", "--where", "Nothing == 1"], 1, "no column 'Nothing'"),
        (["tables", "ore", "Stores", "--where", "Time"], 2, "COLUMN OP VALUE"),
        (["tables", "ore", "Stores", "--csv", "--json"], 2, "exclude"),
        (["tables", "ore", "Stores", "--limit", "0"], 2, "--limit"),
    ],
)
def test_what_cannot_be_printed_is_told(gateway, arguments, code, sentence):
    done = gateway.cli(*arguments, check=False)
    assert (done.returncode, done.stdout) == (code, "") and sentence in done.stderr
