"""Plays the clients' side of a recording against our listener, and says how our answers differ from the recorded ones."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import websockets

from triplane_cyclus.asyncapi import document
from triplane_cyclus.events import REQUESTS
from unit.cyclus.served import WebsocketClient, Wire
from unit.simulation.harness import models_in

GOLDEN = Path(__file__).parents[1] / "golden" / "cyclus"
MODELS = Path(__file__).with_name("models")
EXTRA_KEYS = {"id", "success", "error", "all"}
"""Contract section 9: keys after the three, which old clients do not read."""

_MESSAGES = json.loads(json.dumps(document()))["components"]["messages"]
_PAYLOADS = {key: jsonschema_rs.validator_for(message["payload"]) for key, message in _MESSAGES.items()}


class Recording:
    """One recorded session.

    Attributes:
        exchange: its entries in time order.
        answers: for each entry that is a request, the entries that answer it, whoever got them.
        told: frames that answer nothing: what repeating and initial actions gave.
        told_before: how many of them came before an entry that is a request.
    """

    def __init__(self, name: str) -> None:
        content = json.loads((GOLDEN / f"{name}.json").read_text())
        self.name, self.exchange = name, content["exchange"]
        self.arguments, self.output, self.exit_status = content["arguments"], content["standard_output"], content["exit_status"]
        self.ran = content["ran_after_load"]
        self.answers: dict[int, list[int]] = {}
        self.told: list[dict[str, Any]] = []
        self.told_before: dict[int, int] = {}
        self._attribute()

    def _attribute(self) -> None:
        """Find the request of each answer, for no answer names its request."""
        open_requests: list[tuple[int, dict[str, Any]]] = []
        for number, entry in enumerate(self.exchange):
            if entry["dir"] == "client->server":
                self.answers[number] = []
                self.told_before[number] = len(self.told)
                try:
                    request = json.loads(entry.get("raw") or entry.get("raw_binary") or "null")
                except ValueError:
                    request = None
                if isinstance(request, dict):
                    open_requests.append((number, request))
            elif entry["dir"] == "server->client" and not is_heartbeat(entry):
                frame = self.frame(number)
                # The newest that fits: what was asked before a load never got an answer.
                found = next((pair for pair in reversed(open_requests) if _answers(frame, pair[1])), None)
                if found is None:
                    self.told.append(frame)
                else:
                    open_requests.remove(found)
                    self.answers[found[0]].append(number)

    def frame(self, number: int) -> dict[str, Any]:
        """A recorded frame; a long one as far as it was kept."""
        entry = self.exchange[number]
        if "raw_head" in entry:
            head = entry["raw_head"].partition(',"data":')[0] + "}"
            return {**json.loads(head), "data": None}
        frame: dict[str, Any] = parsed(entry["raw"].replace('"bad"quote is', '"bad\\"quote is'))
        return frame

    def is_json(self, number: int) -> bool:
        """Whether a recorded frame was JSON at all."""
        try:
            json.loads(self.exchange[number].get("raw", "null"))
        except ValueError:
            return False
        return True

    def frames(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each recorded frame but heartbeats, with its entry."""
        for number, entry in enumerate(self.exchange):
            if entry["dir"] == "server->client" and not is_heartbeat(entry):
                yield self.frame(number), entry


def _answers(frame: dict[str, Any], request: dict[str, Any]) -> bool:
    event, params = request.get("event"), request.get("params") or {}
    if not isinstance(event, str) or not isinstance(params, dict) or event not in REQUESTS or REQUESTS[event].answer != frame["event"]:
        return False
    if event in ("register_tables", "deregister_tables"):
        return False  # the promised event never came
    if event == "table_data":
        asked = {"table": params.get("table"), "conds": params.get("conds"), "orient": params.get("orient", "split")}
        return params.keys() <= asked.keys() and frame["params"] == asked
    if event in ("echo", "agent_annotations"):
        return bool(frame["params"] == params)
    return True


def is_heartbeat(entry: dict[str, Any]) -> bool:
    return bool(entry.get("raw", "").startswith('{"event": "heartbeat"'))


def parsed(text: str) -> Any:
    """A recorded frame. The largest double, rounded to ten decimals as upstream does, is larger than any double."""
    return json.loads(text, parse_float=lambda number: min(float(number), sys.float_info.max))


class Replay:
    """One recording against one listener.

    Attributes:
        differences: what happened otherwise than recorded: request text (or `closed CODE`, `exit STATUS`, `heartbeats`, `recipient`,
            `announcements`) →
            the names of the events that came instead, at its first time.
    """

    def __init__(self, recording: Recording, wire: Wire, patience: dict[str, int]) -> None:
        self.recording, self._wire, self._patience = recording, wire, patience
        self._clients: dict[str, WebsocketClient] = {}
        self.differences: dict[str, list[str]] = {}
        self.told: list[dict[str, Any]] = []

    async def run(self) -> dict[str, list[str]]:
        """Play it to the end; see `differences`."""
        exchange = self.recording.exchange
        gone: set[str] = set()
        for number, entry in enumerate(exchange):
            who = entry["client"]
            match entry["dir"]:
                case "open":
                    gone.discard(who)
                    await self._open(who, entry, exchange[number + 1 :])
                case "client->server":
                    await self._after(entry)
                    await self._ask(number, entry)
                case "client closes":
                    await self._settle(who)
                    await self._clients.pop(who).socket.close()
                    gone.add(who)
                case "closed" if who not in gone:
                    await self._closed(who, entry["code"])
        if _sorted(self.told) != _sorted(self.recording.told):
            self.differences["announcements"] = sorted({frame["event"] for frame in self.told})
        if self.recording.exit_status is not None:
            # The gateway is still there, whatever a client did.
            async with self._wire.client() as client:
                assert await client.silent()
            self.differences[f"exit {self.recording.exit_status}"] = []
        for left in self._clients.values():
            await left.socket.close()
        return self.differences

    async def _open(self, who: str, entry: dict[str, Any], following: list[dict[str, Any]]) -> None:
        limit = {"max_size": None} if any(e.get("no_size_limit") for e in following if e["client"] == who) else {}
        socket = await websockets.connect(self._wire.address + entry.get("path", "/"), **limit)
        client = self._clients[who] = WebsocketClient(socket)
        first = await client.raw(heartbeats=True)
        assert first == '{"event": "heartbeat", "data": 5}', first
        backlog = 0
        for later in following:
            if later["dir"] == "client->server" or (later.get("after_s") and backlog):
                break
            backlog += is_heartbeat(later) and later["client"] == who
        if backlog > 1:
            self.differences["heartbeats"] = ["heartbeat"]

    async def _after(self, entry: dict[str, Any]) -> None:
        """Where the recorded client gave a run time, wait for its end."""
        if entry.get("after_s", 0) >= 1.0 and self.recording.ran:
            home = self._wire.home
            if home.gateway.bus.current_run_id("default", "cyclus-default"):
                await home.closed("cyclus-default")

    async def _ask(self, number: int, entry: dict[str, Any]) -> None:
        recording, client = self.recording, self._clients[entry["client"]]
        await self._read_told(client, recording.told_before[number])
        text = entry.get("raw", "")
        if "echo_of_characters" in entry:
            text = json.dumps({"event": "echo", "params": {"s": "x" * entry["echo_of_characters"]}})
        await client.socket.send(text if "raw_binary" not in entry else entry["raw_binary"].encode())
        answers = recording.answers[number]
        expected = [recording.frame(answer) for answer in answers]
        wanted = len(expected)
        if text in self._patience:
            wanted = self._patience[text]
        got = [await self._next(client) for _ in range(wanted)]
        broken = any(not recording.is_json(answer) for answer in answers)
        if broken or len(got) != len(expected) or not all(_same(ours, theirs) for ours, theirs in zip(got, expected, strict=True)):
            self.differences.setdefault(text, [frame["event"] for frame in got])
        if any(recording.exchange[answer]["client"] != entry["client"] for answer in answers):
            self.differences["recipient"] = []

    async def _next(self, client: WebsocketClient) -> dict[str, Any]:
        """The next frame that answers; what repeating actions gave is put aside."""
        while True:
            frame = await client.next()
            self._check(frame)
            if not self._is_told(frame):
                return frame
            self.told.append({key: frame[key] for key in ("event", "params", "data")})

    def _is_told(self, frame: dict[str, Any]) -> bool:
        return any(frame["event"] == told["event"] and frame["params"] == told["params"] for told in self.recording.told)

    @staticmethod
    def _check(frame: dict[str, Any]) -> None:
        assert list(frame)[:3] == ["event", "params", "data"] and set(frame) - {"event", "params", "data"} <= EXTRA_KEYS, frame
        _PAYLOADS[frame["event"]].validate(frame)

    async def _settle(self, who: str) -> None:
        """Nothing but what repeating actions give is on its way."""
        client = self._clients[who]
        await self._read_told(client, len(self.recording.told))
        after = await client.ask("echo", s="nothing else?")
        assert after["data"] == "nothing else?", after

    async def _read_told(self, client: WebsocketClient, count: int) -> None:
        while len(self.told) < count:
            frame = await client.next()
            self._check(frame)
            assert self._is_told(frame), frame
            self.told.append({key: frame[key] for key in ("event", "params", "data")})

    async def _closed(self, who: str, code: int) -> None:
        client = self._clients.pop(who)
        try:
            assert await client.silent()
        except websockets.ConnectionClosed as closed:
            ours = closed.rcvd.code if closed.rcvd is not None else 1006
            if ours != code:
                self.differences[f"closed {code}"] = [str(ours)]
        else:
            self.differences[f"closed {code}"] = []
            await client.socket.close()


def _sorted(frames: list[dict[str, Any]]) -> list[str]:
    return sorted(map(json.dumps, frames))


def _same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    if theirs["data"] is None and theirs["event"] == "table_data":
        return all(ours[key] == theirs[key] for key in ("event", "params")) and isinstance(ours["data"], list)
    return all(ours[key] == theirs[key] for key in theirs)


# ---- the run behind a recording ------------------------------------------------------------------------------------


def definition_of(recording: Recording) -> dict[str, Any]:
    """A definition whose model gives the tables that the recorded server had, put together from its answers."""
    found: dict[str, dict[str, Any]] = {}
    named_first: list[str] | None = None
    for frame, entry in recording.frames():
        if frame["event"] == "table_names":
            named_first = named_first if named_first is not None else frame["data"]
            for table in frame["data"]:
                found.setdefault(table, {"columns": [["SimId", "uuid"]], "rows": [["s"]]})
        elif "raw_head" in entry:
            found[frame["params"]["table"]] = _long_table(entry)
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
    grown = {told["params"]["table"] for told in recording.told if told["event"] == "table_data"}
    late = {table for table in found if table == "Finish" or (named_first is not None and table not in named_first)} - grown
    kinds = {json.dumps([told["event"], told["params"]]) for told in recording.told}
    steps = max(1, len(recording.told) // max(1, len(kinds)))
    return {
        "model": "replayed",
        "input": {
            "tables": {name: table for name, table in found.items() if name not in grown | late},
            "per_step": {name: table for name, table in found.items() if name in grown},
            "late": {name: table for name, table in found.items() if name in late},
            # Where the recorded run never began, ours does not end; where it did, it is as long as its repeating actions say.
            "steps": steps if recording.ran else 1_000_000,
            "pace_s": 0.0 if recording.ran else 0.05,
        },
    }


def _rows_of(frame: dict[str, Any]) -> tuple[list[str], dict[int, list[Any]]]:
    data = frame["data"]
    match frame["params"]["orient"]:
        case "split":
            return data["columns"], dict(zip(data["index"], data["data"], strict=True))
        case "records" if data:
            return list(data[0]), {number: list(record.values()) for number, record in enumerate(data)}
        case "values":
            columns = _columns_of(frame["params"]["table"])
            return columns, dict(enumerate(data))
        case "columns":
            columns = list(data)
            return columns, {int(number): [data[column][number] for column in columns] for number in data[columns[0]]}
    return [], {}


def _columns_of(table: str) -> list[str]:
    """The columns of a table, for frames that do not name them."""
    for frame, _ in Recording("25-tables-of-a-finished-run").frames():
        if frame["event"] == "table_data" and frame["params"]["table"] == table and not isinstance(frame["data"], str):
            columns: list[str] = frame["data"]["columns"]
            return columns
    raise LookupError(table)


def _long_table(entry: dict[str, Any]) -> dict[str, Any]:
    """A table as long as the recorded one, from the first of its rows."""
    head = entry["raw_head"]
    first = json.loads("{" + head.partition('"data":[{')[2].partition("}")[0] + "}")
    rows, length = [], len(head.partition('"data":[')[0]) + len('"data":[]}')
    while length < entry["raw_len"]:
        row = {**first, "TransactionId": len(rows), "ResourceId": 4 * len(rows) + 3, "Time": len(rows)}
        rows.append(list(row.values()))
        length += len(json.dumps(row, separators=(",", ":"))) + 1
    kinds = {int: "int", float: "float", str: "str"}
    return {"columns": [[name, kinds[type(value)]] for name, value in first.items()], "rows": rows}


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


@contextmanager
def replaying_models() -> Iterator[None]:
    """The models of the recordings, installed for us and for child processes."""
    with models_in(MODELS):
        yield
