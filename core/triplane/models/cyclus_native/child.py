"""The process that runs one Cyclus simulation, or describes agents: `python child.py`, run by a keeper, which sets its limits.

Runs in the interpreter that has Cyclus, so it needs only the standard library and `cyclus`. Its working directory is its own.
Requests come on standard input, answers go to what was standard output: four bytes of length, then msgpack. What the simulator
prints goes to standard error.

    {"do": "load", "source": {"text", "format", "name", "folder"}, …} → {"did": "load", "steps", "info", "tables"}
    {"do": "step", "step", "flush"} → {"did": "step", "step", "tables", "finished", "summary"}
    {"do": "describe", "spec"} → {"did": "describe", "annotations"}
    unasked, after a step whose rows were put off and that no other follows: {"did": "rows", "tables"}
    any failure → {"did": "fail", "reason"}

`python child.py --probe` prints one line of JSON: `{"version", "library"}` or `{"problem"}`.

One simulation in one process and one thread: agents' ids count through a process, and the native loop keeps the interpreter's
lock. The loop calls `cyclus.events.loop` after each step, which is bound to a function here that answers and waits for the
next request; to stop is to end the process. It is left by `os._exit`, for its exit handlers are known to crash.
Source: contract cyclus section 10.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import select
import struct
import sys
import time
import traceback
import uuid
from typing import Any

MAX_REASON = 2000
IDLE_S = 0.05
"""How long after a step the next one may be asked for before rows that were put off are given."""
MAX_INT, MIN_INT = (1 << 63) - 1, -(1 << 63)
MAX_NEST = 64


class Refused(Exception):
    """An input or a request that cannot be carried out; the message is for people."""


# ---- the engine ----------------------------------------------------------------------------------------------------


def find_library() -> Any:
    """`cyclus.lib`.

    Raises:
        Refused: there is none, or it cannot be loaded.
    """
    try:
        package = importlib.import_module("cyclus")
    except ImportError as error:
        raise Refused(f"no module cyclus can be imported: {error}") from error
    try:
        return importlib.import_module("cyclus.lib")
    except ModuleNotFoundError as error:
        if error.name == "cyclus.lib":
            place = getattr(package, "__file__", None) or next(iter(getattr(package, "__path__", ["?"])))
            raise Refused(f"the package cyclus at {place} is not the simulator: it has no cyclus.lib") from error
        raise Refused(f"cyclus.lib cannot be imported: {error}") from error
    except ImportError as error:
        raise Refused(f"cyclus.lib cannot be loaded: {error}") from error


class Simulation:
    """One run of the simulator, from its input to its end."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._state: Any = None
        self._steps = 0
        self._step = 0
        self._kinds: dict[str, list[list[str]]] = {}
        self._put_off = False
        self._flushed = time.monotonic()
        self._flush_s = float(os.environ.get("TRIPLANE_CYCLUS_FLUSH_S", "0"))

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Read the input and record the initial tables."""
        if request.get("resume") is not None:
            raise Refused("a Cyclus simulation cannot be taken up again; start it anew")
        find_library()
        source = request["source"]
        # From a file: a missing one would end the process inside native code, so it is made here, and included ones are the user's.
        path = os.path.abspath("input.json" if source["format"] == "json" else "input.xml")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(source["text"])
        output = os.environ.get("TRIPLANE_CYCLUS_OUTPUT") or os.path.abspath("cyclus.sqlite")
        if not output.endswith((".h5", ".sqlite")):
            raise Refused(f"the output path {output} must end in .h5 or .sqlite")
        if os.path.isdir(source["folder"]):
            os.chdir(source["folder"])
        simstate = importlib.import_module("cyclus.simstate")
        state = simstate.SimState(path, output_path=output, memory_backend=True)
        try:
            state.load()
        except Exception as error:
            raise Refused(f"Cyclus refused {source['name']}: {error}".replace(path, source["name"])) from error
        self._state = state
        tables = self._flush()
        info = next((table for table in tables if table["table"] == "Info"), None)
        names = [column[0] for column in info["columns"]] if info is not None else []
        if info is None or "Duration" not in names or not info["rows"]:
            raise Refused("Cyclus recorded no Info.Duration, so the number of steps is not known")
        self._steps = int(info["rows"][0][names.index("Duration")])
        return {"did": "load", "steps": self._steps, "info": {"pid": os.getpid(), "pace_s": 0.0, "checkpoints": False}, "tables": tables}

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Compute all steps, beginning with the one asked for; returns the answer to the last one asked for."""
        if self._state is None:
            raise Refused("a step was asked for before a load")
        if self._step:
            raise Refused("the simulation is at its end")
        self._take(request)
        events: Any = importlib.import_module("cyclus.events")
        events.loop = self._after_step
        self._state.run()
        tables = self._flush()
        return {"did": "step", "step": self._step, "finished": True, "summary": _summary(tables), "tables": tables}

    def _take(self, request: dict[str, Any]) -> None:
        self._step, self._wanted = int(request["step"]), bool(request.get("flush", True))

    def _after_step(self) -> None:
        """Called by the native loop. Nothing may be raised here: the loop would go on to the end without asking."""
        try:
            if self._step >= self._steps:
                return  # answered when the run is over, with the tables of its end
            self._put_off = not self._wanted and time.monotonic() - self._flushed < self._flush_s
            tables = [] if self._put_off else self._flush()
            self._channel.write({"did": "step", "step": self._step, "finished": False, "tables": tables})
            if self._put_off and not self._channel.waits(IDLE_S):
                self._put_off = False
                self._channel.write({"did": "rows", "tables": self._flush()})
            request = self._channel.read()
            if request is None:
                leave(0)
            elif request["do"] != "step":
                raise Refused(f"{request['do']!r} was asked for between two steps")
            else:
                self._take(request)
        except BaseException as error:
            self._channel.write(failure(error))
            leave(1)

    def _flush(self) -> list[dict[str, Any]]:
        """Rows recorded since the last time, by table. What was taken is let go: it is in the file too."""
        self._state.rec.flush()
        backend = self._state.memory_backend
        tables = []
        for name in sorted(backend.tables):
            frame = backend.query(name)
            if frame is not None and len(frame):
                tables.append(self._table(str(name), frame))
        backend.registry = False
        backend.registry = True
        self._flushed = time.monotonic()
        return tables

    def _table(self, name: str, frame: Any) -> dict[str, Any]:
        columns = [str(column) for column in frame.columns]
        values = [list(frame[column].tolist()) for column in frame.columns]
        kinds = self._kinds.get(name)
        if kinds is None:
            kinds = self._kinds[name] = [[column, kind_of(cells)] for column, cells in zip(columns, values)]
        elif [column for column, _ in kinds] != columns:
            raise Refused(f"Cyclus changed the columns of table {name}")
        for (column, kind), cells in zip(kinds, values):
            cells[:] = [cell_as(kind, cell, name, column) for cell in cells]
        return {"table": name, "columns": kinds, "rows": [list(row) for row in zip(*values)]}


def describe(spec: str) -> Any:
    """The annotations of an agent, with a context of its own that nothing else uses."""
    if not isinstance(spec, str):
        raise Refused("a spec must be text")
    library = find_library()
    recorder, timer = library.Recorder(), library.Timer()
    context = library.Context(timer, recorder)
    agent = library.DynamicModule.make(context, spec)
    found = agent.annotations
    if not isinstance(found, (dict, str)):
        found = importlib.import_module("cyclus.jsoncpp").FastWriter().write(found)
    annotations = json.loads(found) if isinstance(found, str) else plain(found)
    context.del_agent(agent)
    return annotations


def _summary(tables: list[dict[str, Any]]) -> dict[str, Any]:
    """The table Finish as the run's result."""
    for table in tables:
        if table["table"] == "Finish" and table["rows"]:
            names = [column[0] for column in table["columns"]]
            return {name: value for name, value in zip(names, table["rows"][-1]) if name != "SimId"}
    return {}


# ---- values --------------------------------------------------------------------------------------------------------

KINDS = (
    (bool, "bool"), (int, "int"), (float, "float"), (str, "str"), (bytes, "blob"), (uuid.UUID, "uuid"), (dict, "map"),
    ((list, tuple, set, frozenset), "list"),
)  # fmt: skip


def kind_of(cells: list[Any]) -> str:
    """The type of a column, from its first cells; a missing number is NaN, any other missing value None."""
    found = "str"
    for cell in cells:
        if cell is None:
            continue
        if isinstance(cell, float) and math.isnan(cell):
            found = "float"
            continue
        cell = cell.tolist() if hasattr(cell, "tolist") else cell
        for types, kind in KINDS:
            if isinstance(cell, types):
                return kind
        return "str"
    return found


def cell_as(kind: str, cell: Any, table: str, column: str) -> Any:
    """A cell as its column's type."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    value = plain(cell) if kind != "blob" else cell
    if kind == "float" and isinstance(value, int):
        return float(value)
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "bool" and value in (0, 1):
        return bool(value)
    if kind == "blob":
        value = value if isinstance(value, bytes) else str(value).encode()
    wanted = {"uuid": "str"}.get(kind, kind)
    if wanted == "str" and not isinstance(value, str):
        value = str(value)
    if kind_of([value]) != wanted:
        raise Refused(f"Cyclus recorded {value!r:.60} in column {column} of table {table}, which is {kind}")
    return value


def plain(value: Any, depth: int = MAX_NEST) -> Any:
    """A value as JSON has it: keys are texts, sets and tuples lists, ids texts."""
    if depth == 0:
        raise Refused(f"Cyclus recorded a value nested more than {MAX_NEST} deep")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth - 1)
    if isinstance(value, dict):
        return {str(plain(key)): plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [plain(item, depth - 1) for item in sorted(value, key=repr)]
    if isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value]
    return str(value)


# ---- messages ------------------------------------------------------------------------------------------------------


class Channel:
    """Framed messages over two file descriptors."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers

    def read(self) -> dict[str, Any] | None:
        """The next request; None at the end."""
        head = self._exactly(4)
        body = self._exactly(struct.unpack(">I", head)[0]) if head is not None else None
        if body is None:
            return None
        request, _ = unpack(body, 0)
        return dict(request)

    def write(self, message: dict[str, Any]) -> None:
        """Answer."""
        parts: list[bytes] = []
        pack(message, parts)
        body = b"".join(parts)
        view = memoryview(struct.pack(">I", len(body)) + body)
        while view:
            view = view[os.write(self._answers, view) :]

    def waits(self, seconds: float) -> bool:
        """Whether a request comes within this time."""
        return bool(select.select([self._requests], [], [], seconds)[0])

    def _exactly(self, size: int) -> bytes | None:
        parts = []
        while size:
            part = os.read(self._requests, min(size, 1 << 20))
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def pack(value: Any, parts: list[bytes]) -> None:
    """Append a value as msgpack.

    Raises:
        Refused: it is no value that a table can hold.
    """
    if value is None:
        parts.append(b"\xc0")
    elif value is True or value is False:
        parts.append(b"\xc3" if value else b"\xc2")
    elif isinstance(value, int):
        if not MIN_INT <= value <= MAX_INT:
            raise Refused(f"the number {value} does not fit into 64 bits")
        parts.append(struct.pack("b", value) if -32 <= value < 128 else b"\xd3" + struct.pack(">q", value))
    elif isinstance(value, float):
        parts.append(b"\xcb" + struct.pack(">d", value))
    elif isinstance(value, str):
        data = value.encode("utf-8", "replace")
        parts += [b"\xdb", struct.pack(">I", len(data)), data]
    elif isinstance(value, bytes):
        parts += [b"\xc6", struct.pack(">I", len(value)), value]
    elif isinstance(value, (list, tuple)):
        parts += [b"\xdd", struct.pack(">I", len(value))]
        for item in value:
            pack(item, parts)
    elif isinstance(value, dict):
        parts += [b"\xdf", struct.pack(">I", len(value))]
        for key, item in value.items():
            pack(key, parts)
            pack(item, parts)
    else:
        raise Refused(f"a {type(value).__name__} cannot be sent")


_FIXED = {
    0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q", 0xCA: ">f", 0xCB: ">d",
}  # fmt: skip
_SIZED = {
    0xD9: (">B", "s"), 0xDA: (">H", "s"), 0xDB: (">I", "s"), 0xC4: (">B", "b"), 0xC5: (">H", "b"), 0xC6: (">I", "b"),
    0xDC: (">H", "l"), 0xDD: (">I", "l"), 0xDE: (">H", "m"), 0xDF: (">I", "m"),
}  # fmt: skip
_ALONE = {0xC0: None, 0xC2: False, 0xC3: True}


def unpack(data: bytes, at: int) -> tuple[Any, int]:
    """A msgpack value and where it ends."""
    head = data[at]
    at += 1
    if head < 0x80 or head >= 0xE0:
        return (head if head < 0x80 else head - 256), at
    if head in _ALONE:
        return _ALONE[head], at
    if head in _FIXED:
        form = _FIXED[head]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if head in _SIZED:
        form, what = _SIZED[head]
        size = struct.unpack_from(form, data, at)[0]
        at += struct.calcsize(form)
    elif head < 0x90:
        size, what = head & 0x0F, "m"
    elif head < 0xA0:
        size, what = head & 0x0F, "l"
    elif head < 0xC0:
        size, what = head & 0x1F, "s"
    else:
        raise Refused(f"the request has an unknown type {head:#x}")
    if what == "s":
        return data[at : at + size].decode("utf-8"), at + size
    if what == "b":
        return data[at : at + size], at + size
    items = []
    for _ in range(size * (2 if what == "m" else 1)):
        item, at = unpack(data, at)
        items.append(item)
    return (dict(zip(items[::2], items[1::2])) if what == "m" else items), at


# ---- the process ---------------------------------------------------------------------------------------------------


def failure(error: BaseException) -> dict[str, Any]:
    """The answer that says what went wrong."""
    if isinstance(error, Refused):
        reason = str(error)
    else:
        traceback.print_exception(type(error), error, error.__traceback__)
        reason = f"Cyclus failed: {type(error).__name__}: {error}"
    return {"did": "fail", "reason": reason[:MAX_REASON]}


def leave(status: int) -> None:
    """End without exit handlers: the simulator's are known to crash when all is done."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(status)


def answer(simulation: Simulation, request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked."""
    try:
        if request["do"] == "load":
            return simulation.load(request)
        if request["do"] == "step":
            return simulation.run(request)
        if request["do"] == "describe":
            return {"did": "describe", "annotations": describe(request["spec"])}
        raise Refused(f"unknown request {request['do']!r}")
    except Exception as error:
        return failure(error)


def print_probe() -> None:
    """What there is, in a line."""
    try:
        library = find_library()
        version = getattr(library, "version", None)
        found = {"version": str(version() if callable(version) else version), "library": str(library.__file__)}
    except Exception as error:
        found = {"problem": str(error)}
    print("\n" + json.dumps(found), flush=True)


def main(arguments: list[str]) -> None:
    """Serve requests until they end."""
    if arguments == ["--probe"]:
        print_probe()
        leave(0)
    channel = Channel(os.dup(0), os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    simulation = Simulation(channel)
    while True:
        request = channel.read()
        if request is None:
            break
        channel.write(answer(simulation, request))
    leave(0)


if __name__ == "__main__":
    main(sys.argv[1:])
