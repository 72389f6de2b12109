"""What is native in the real one: recorder, backends, context, timer, agents."""

import atexit
import os
import signal
import sqlite3
import sys
import uuid
from itertools import count
from typing import Any

from cyclus.frames import appended

agent_ids, resource_ids, transaction_ids = count(4), count(3, 4), count(0)
AGENTS = {
    "Source": ("facility", "Provides a commodity.", {"commod": "std::string", "capacity": "double"}),
    "Sink": ("facility", "Accepts commodities.", {"in_commods": ["std::vector", "std::string"], "capacity": "double"}),
    "NullRegion": ("region", "Does nothing.", {"corporate_income_tax_rate": "double"}),
    "NullInst": ("institution", "Does nothing.", {}),
}


def version() -> str:
    return "0 (stand-in)"


def _crash_at_exit() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


atexit.register(_crash_at_exit)


class Env:
    @staticmethod
    def set_nuc_data_path() -> None:
        pass


class SqliteBack:
    """The file backend."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection = sqlite3.connect(path)
        self._connection.execute("CREATE TABLE IF NOT EXISTS Rows (TableName TEXT, Number INTEGER)")

    def take(self, title: str, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
        with self._connection:
            self._connection.execute("INSERT INTO Rows VALUES (?, ?)", (title, len(rows)))

    def query(self, table: str, conds: Any = None) -> Any:
        raise AssertionError(f"table {table} was read from the file though nothing of it was recorded since the last time")


class Hdf5Back(SqliteBack):
    """The other file backend; of the same make here."""


class MemBack:
    """The memory backend: frames by table, as far as the registry says."""

    def __init__(self, registry: Any = True, fallback: Any = None) -> None:
        self.cache: dict[str, Any] = {}
        self.fallback = fallback
        self._store_all = bool(registry)

    @property
    def registry(self) -> frozenset[str]:
        return frozenset()

    @registry.setter
    def registry(self, value: Any) -> None:
        self._store_all = bool(value)
        if not value:
            self.cache.clear()

    @property
    def tables(self) -> frozenset[str]:
        return frozenset(self.cache)

    def query(self, table: str, conds: Any = None) -> Any:
        return self.cache[table] if table in self.cache else self.fallback.query(table)

    def take(self, title: str, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
        if self._store_all:
            self.cache[title] = appended(self.cache.get(title), columns, rows)


class Recorder:
    """Collects what is recorded until it is flushed."""

    def __init__(self) -> None:
        self.sim_id = uuid.uuid4()
        self._backends: list[Any] = []
        self._waiting: dict[str, tuple[list[str], list[tuple[Any, ...]]]] = {}

    def register_backend(self, backend: Any) -> None:
        self._backends.append(backend)

    def record(self, title: str, **values: Any) -> None:
        columns, rows = self._waiting.setdefault(title, (["SimId", *values], []))
        assert columns == ["SimId", *values]
        rows.append((self.sim_id, *values.values()))

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for title, (columns, rows) in waiting.items():
            for backend in self._backends:
                backend.take(title, columns, rows)


class Timer:
    """Runs the steps. The loop imports the hook anew after each."""

    def __init__(self) -> None:
        self.time, self.duration, self.tick = 0, 0, lambda: None
        self.finish: Any = lambda: None

    def run_sim(self) -> None:
        problem: BaseException | None = None
        for now in range(self.duration):
            self.time = now
            self.tick()
            if problem is None:
                from cyclus.events import loop

                try:
                    loop()
                except BaseException as error:
                    problem = error
        self.finish()
        if problem is not None:
            raise SystemError("<method 'run_sim'> returned a result with an exception set") from problem


class Agent:
    def __init__(self, annotations: dict[str, Any]) -> None:
        self.annotations = annotations


class Context:
    def __init__(self, timer: Timer, recorder: Recorder) -> None:
        self.timer, self.recorder, self.alive = timer, recorder, 0

    @property
    def time(self) -> int:
        return self.timer.time

    def del_agent(self, agent: Agent) -> None:
        self.alive -= 1


class DynamicModule:
    @staticmethod
    def make(context: Context, spec: Any) -> Agent:
        if not isinstance(spec, str):
            os.kill(os.getpid(), signal.SIGSEGV)
        _, library, name = spec.split(":")
        if library != "agents":
            raise RuntimeError(f"No module found for path lib{library}.so")
        if name == "Crasher":
            os.abort()
        if name not in AGENTS:
            raise RuntimeError(f"Could not find agent {name} in module library libagents.so")
        entity, doc, variables = AGENTS[name]
        context.alive += 1
        found = {
            "name": f"cyclus::{name}", "entity": entity, "doc": doc, "parents": [f"cyclus::{entity.title()}"],
            "all_parents": ["cyclus::Agent", f"cyclus::{entity.title()}"],
            "vars": {key: {"type": kind, "index": number} for number, (key, kind) in enumerate(variables.items())},
        }  # fmt: skip
        return Agent(found)


def read_file(path: str) -> str:
    """As native code reads it: what it throws ends the process."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        print(f"terminate called after throwing an instance of 'cyclus::IOError'\n  what():  {path}", file=sys.stderr, flush=True)
        os.abort()
