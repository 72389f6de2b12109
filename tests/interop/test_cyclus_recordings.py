"""Recorded sessions of the original server, replayed: every answer equal, but for the differences listed here."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from unit.cyclus.served import WebsocketClient, served
from unit.simulation.harness import models_of_this_folder

GOLDEN = Path(__file__).parents[1] / "golden" / "cyclus"
EXTRA_KEYS = {"id", "success", "error", "all"}
"""Section 9: keys after the three, which old clients do not read."""

ERROR_INSTEAD_OF_SILENCE = "section 3: reply with an error event where upstream was silent or closed the connection"
ANSWER_BEFORE_LOAD = "section 3: answer before a load"
REGISTRY_EVENT = "section 3: a registry event after register and deregister"
NULL_ANNOTATIONS = "section 3: every spec gets an answer, null where nothing is known"
EMPTY_CONDS = "section 5: an empty list of conditions is none"
UUID_TEXT = "section 5: a UUID is compared by its text"
NO_INVERSION = "section 3: reads keep working in a pause, and pauses are idempotent"
VALID_JSON = "section 5: names with quotes are escaped"

# recording → request text → (why, events of our answers)
DIFFERENCES: dict[str, dict[str, tuple[str, list[str]]]] = {
    "02-requests-before-load": {
        '{"event": "registry_request"}': (ANSWER_BEFORE_LOAD, ["registry"]),
        '{"event": "table_names_request"}': (ANSWER_BEFORE_LOAD, ["table_names"]),
        '{"event": "table_data", "params": {"table": "Info"}}': (ANSWER_BEFORE_LOAD, ["table_data"]),
        '{"event": "register_tables", "params": {"tables": ["Info"]}}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
        '{"event": "agent_annotations", "params": {"spec": ":agents:NullRegion"}}': (NULL_ANNOTATIONS, ["agent_annotations"]),
    },
    "03-echo-values": {
        '{"event": "echo"}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
        '{"event": "echo", "params": {"wrong": 1}}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
    },
    "06-register-deregister": {
        '{"event": "register_tables", "params": {"tables": ["Info", "Resources"]}}': (REGISTRY_EVENT, ["registry"]),
        '{"event": "register_tables", "params": {"tables": "OneAsString"}}': (REGISTRY_EVENT, ["registry"]),
        '{"event": "deregister_tables", "params": {"tables": ["Info", "NotThere"]}}': (REGISTRY_EVENT, ["registry"]),
        '{"event": "register_tables", "params": {"tables": 5}}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
        '{"event": "register_tables", "params": {}}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
        '{"event": "deregister_tables", "params": {"tables": ["OneAsString", "Resources"]}}': (REGISTRY_EVENT, ["registry"]),
    },
    "07-table-data-orients": {
        '{"event": "table_data", "params": {"table": "Prototypes", "orient": "bogus"}}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
    },
    "08-table-data-conds": {
        '{"event": "table_data", "params": {"table": "Transactions", "conds": []}}': (EMPTY_CONDS, ["table_data"]),
        '{"event": "table_data", "params": {"table": "DecayMode", "conds": [["SimId", "==", "a462485d-c5b2-4869-879f-d6d16c9f1362"]]}}': (
            UUID_TEXT, ["table_data"],
        ),
        **{
            f'{{"event": "table_data", "params": {{"table": "Transactions", "conds": {conds}}}}}': (ERROR_INSTEAD_OF_SILENCE, ["error"])
            for conds in (
                '[["NoSuchColumn", "==", 1]]', '[["Time", "=", 1]]', '[["Time", "in", [1, 2]]]', '[["Time", "<", "x"]]',
                '["Time == 3"]', '[{"field": "Time", "op": "==", "val": 3}]', '"Time"',
            )
        },
        '{"event": "table_data", "params": {"table": "DecayMode", "extra": 1}}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
        '{"event": "table_data", "params": {}}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
    },
    "09-unknown-and-empty-tables": {
        '{"event": "table_data", "params": {"table": "bad\\"quote"}}': (VALID_JSON, ["table_data"]),
    },
    "11-bad-messages": {
        text: (ERROR_INSTEAD_OF_SILENCE, ["error"])
        for text in (
            "{not json", '{"event":"no_such_event"}', '{"params":{}}', "[1,2]", '"echo"', '{"event":"echo","params":null}',
            '{"event":"echo","params":["x"]}', "", '{"event":["echo"],"params":{}}', '{"event":null}', '{"event":"heartbeat"}',
            '{"event":"loaded"}', '{"event":"table_names"}',
        )
    } | {
        f'{{"event": "echo", "params": {{"s": "{word}"}}}}': ("section 4: a client sees each of its replies, none is lost", ["echo"])
        for word in ("one", *(f"n{number}" for number in range(12)))
    },
    "12-pause-unpause": {
        '{"event": "echo", "params": {"s": "after two pauses"}}': (NO_INVERSION, ["echo"]),
    },
    "13-sleep": {
        '{"event": "sleep", "params": {"n": "x"}}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
        '{"event": "sleep"}': (ERROR_INSTEAD_OF_SILENCE, ["error"]),
    },
    "16-agent-annotations-null-spec": {
        '{"event": "agent_annotations", "params": {"spec": null}}': (NULL_ANNOTATIONS, ["agent_annotations"]),
    },
    "16-agent-annotations-number-spec": {
        '{"event": "agent_annotations", "params": {"spec": 5}}': (NULL_ANNOTATIONS, ["agent_annotations"]),
    },
    "16-agent-annotations-unknown": {
        f'{{"event": "agent_annotations", "params": {{"spec": "{spec}"}}}}': (NULL_ANNOTATIONS, ["agent_annotations"])
        for spec in (":nolib:X", ":agents:NoAgent", "agents", "", "agents:Source", "/a:b:c:d", ":cyclus.pyagents:Sink")
    },
}
LOADED_FIRST = {"12-pause-unpause"}
"""Sessions without a load that only make sense with one: there must be a run to pause."""
REPLAYED = [
    "02-requests-before-load", "03-echo-values", "04-load-registry-table-names", "06-register-deregister",
    "07-table-data-orients", "08-table-data-conds", "09-unknown-and-empty-tables", "11-bad-messages", "12-pause-unpause",
    "13-sleep", "16-agent-annotations-null-spec", "16-agent-annotations-number-spec", "16-agent-annotations-unknown",
    "19-any-path", "25-tables-of-a-finished-run", "29-number-precision",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _models() -> Iterator[None]:
    with models_of_this_folder():
        yield


def recording(name: str) -> list[dict[str, Any]]:
    """The frames of a recording, with what is no frame."""
    return json.loads((GOLDEN / f"{name}.json").read_text())["exchange"]


@pytest.mark.parametrize("name", REPLAYED)
async def test_a_recorded_session_gets_the_recorded_answers(tmp_path, name):
    exchange = recording(name)
    write_definition(tmp_path, tables_of(exchange))
    differences = DIFFERENCES.get(name, {})
    used: set[str] = set()
    async with served(tmp_path / "data", [str(tmp_path)], default_model="replayed") as wire:
        clients: dict[str, Any] = {}
        for entry in exchange:
            who, kind, text = entry.get("client"), entry["dir"], entry.get("raw", "")
            if kind == "open":
                clients[who] = WebsocketClient(await websockets.connect(wire.address + entry.get("path", "/")))
                if name in LOADED_FIRST:
                    await clients[who].ask("load")
            elif kind == "client closes" or (kind == "closed" and who in clients):
                client = clients.pop(who, None)
                if client is not None:
                    assert await client.silent()
                    await client.socket.close()
            elif kind == "client->server":
                await clients[who].socket.send(text if "raw_binary" not in entry else entry["raw_binary"].encode())
                for event in differences.get(text, ("", []))[1]:
                    used.add(text)
                    frame = await clients[who].next()
                    assert frame["event"] == event, (text, frame)
                last = text
            elif kind == "server->client" and not text.startswith('{"event": "heartbeat"'):
                if last not in differences:
                    got = await clients[who].next()
                    expected = parsed(text)
                    extras = set(got) - set(expected)
                    assert extras <= EXTRA_KEYS, got
                    assert list(got)[:3] == ["event", "params", "data"]
                    assert {key: got[key] for key in expected} == expected, (last, got)
        for client in clients.values():
            assert await client.silent()
            await client.socket.close()
    assert used == set(differences), "a listed difference did not happen"


async def test_repeating_actions_give_what_was_recorded_step_by_step(tmp_path):
    exchange = recording("22-run-with-repeating-actions")
    frames = [json.loads(entry["raw"]) for entry in exchange if entry["dir"] == "server->client"]
    tables = tables_of(exchange)
    tables.pop("Finish")
    grown = {"Transactions": tables.pop("Transactions")}
    write_definition(tmp_path, tables, grown, steps=6)
    actions = (("table_data", {"table": "Transactions"}), ("echo", {"s": "step"}))
    async with served(tmp_path / "data", [str(tmp_path)], default_model="replayed", repeating_actions=actions) as wire:
        async with wire.client() as client:
            await client.send("load")
            ours = [await client.next() for _ in range(13)]
            assert ours[0] == {"event": "loaded", "params": {"status": "ok"}, "data": None}
            for event in ("table_data", "echo"):
                recorded = [frame for frame in frames if frame["event"] == event and frame["params"].get("table") != "Finish"]
                assert [frame for frame in ours if frame["event"] == event] == recorded
            assert await client.silent()


async def test_the_bundled_page_s_session_is_answered(tmp_path):
    exchange = recording("41-bundled-webapp")
    write_definition(tmp_path, tables_of(exchange))
    async with served(tmp_path / "data", [str(tmp_path)], default_model="replayed") as wire:
        async with wire.client() as client:
            await client.socket.send('{"event":"echo","params":{"s":"Bravo"}}')
            assert await client.raw() == '{"event":"echo","params":{"s": "Bravo"},"data":"Bravo"}'
            await client.ask("load")
            names = await client.ask("table_names_request")
            assert names["data"] == next(
                json.loads(entry["raw"])["data"]
                for entry in exchange
                if entry["dir"] == "server->client" and entry["raw"].startswith('{"event":"table_names"')
            )
            await client.send("pause")
            await client.send("unpause")
            answer = await client.ask("table_data", table="Info", orient="split")
            assert set(answer["data"]) == {"columns", "index", "data"} and answer["data"]["columns"][0] == "SimId"
            assert (await client.ask("table_data", table="NoSuchTable"))["data"] == "NoSuchTable is not available."


# ---- the run behind a recording ------------------------------------------------------------------------------------


def tables_of(exchange: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The tables that a recorded server had, put together from its answers."""
    found: dict[str, dict[str, Any]] = {}
    for entry in exchange:
        if entry["dir"] != "server->client":
            continue
        frame = parsed(entry["raw"].replace('"bad"quote is', '"bad\\"quote is'))
        if frame["event"] == "table_names":
            for table in frame["data"]:
                found.setdefault(table, {"columns": [["SimId", "uuid"]], "rows": [["s"]]})
        elif frame["event"] == "table_data" and not isinstance(frame["data"], str):
            columns, rows = _rows_of(frame)
            if columns:
                known = found.setdefault(frame["params"]["table"], {"columns": [], "rows": []})
                if len(known["columns"]) <= 1 < len(columns) or not known["columns"]:
                    known["rows"] = []
                    known["columns"] = [[column, "str"] for column in columns]
                _put(known["rows"], rows)
    for table in found.values():
        _complete(table)
    return found


def _rows_of(frame: dict[str, Any]) -> tuple[list[str], dict[int, list[Any]]]:
    data = frame["data"]
    match frame["params"]["orient"]:
        case "split":
            return data["columns"], dict(zip(data["index"], data["data"], strict=True))
        case "records" if data:
            return list(data[0]), {number: list(record.values()) for number, record in enumerate(data)}
        case "columns":
            columns = list(data)
            return columns, {int(number): [data[column][number] for column in columns] for number in data[columns[0]]}
    return [], {}


def _put(rows: list[Any], more: dict[int, list[Any]]) -> None:
    for number, row in more.items():
        rows.extend([None] * (number + 1 - len(rows)))
        rows[number] = row


def _complete(table: dict[str, Any]) -> None:
    """Types from values; rows that no answer showed are made up after the pattern of their neighbours."""
    rows = table["rows"]
    for number, row in enumerate(rows):
        if row is None:
            sim = next(row[0] for row in rows if row is not None)
            rows[number] = [sim, number, 10, 11, 4 * number + 3, "commodity", number, 1.0, 1.0]
    for position, column in enumerate(table["columns"]):
        values = [row[position] for row in rows if row[position] is not None]
        kinds = {bool: "bool", int: "int", float: "float", list: "list", dict: "map"}
        column[1] = "float" if not values else kinds.get(type(values[0]), "uuid" if column[0] == "SimId" else "str")


def write_definition(folder: Path, tables: Any, per_step: Any = None, steps: int = 1_000) -> None:
    """A definition named `replayed` whose model gives these tables."""
    source = {"tables": tables, "per_step": per_step or {}, "steps": steps}
    folder.joinpath("replayed.json").write_text(json.dumps({"model": "recorded", "input": source}))


def parsed(text: str) -> Any:
    """A recorded frame. The largest double, rounded to ten decimals as upstream does, is larger than any double."""
    return json.loads(text, parse_float=lambda number: min(float(number), sys.float_info.max))
