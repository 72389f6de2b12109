"""`log/db` of a run's directory: the database in which clients look up states, outputs and jobs.

A copy for readers, so it is neither synced nor needed: where it is missing or of another run, it is made anew. All methods
block; call them off the event loop, one at a time.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import apsw

BUSY_MS: Final = 250
ORIGIN: Final = "triplane_origin"

# Tables that are not filled are there because clients look at them all the same.
_TABLES: Final = (
    "workflow_params(key TEXT, value TEXT, PRIMARY KEY(key))",
    "workflow_flows(flow_num INTEGER, start_time TEXT, description TEXT, PRIMARY KEY(flow_num))",
    "workflow_template_vars(key TEXT, value TEXT, PRIMARY KEY(key))",
    "inheritance(namespace TEXT, inheritance TEXT, PRIMARY KEY(namespace))",
    "task_states(name TEXT, cycle TEXT, flow_nums TEXT, time_created TEXT, time_updated TEXT, submit_num INTEGER, status TEXT,"
    " flow_wait INTEGER, is_manual_submit INTEGER, PRIMARY KEY(name, cycle, flow_nums))",
    "task_outputs(cycle TEXT, name TEXT, flow_nums TEXT, outputs TEXT, PRIMARY KEY(cycle, name, flow_nums))",
    "task_jobs(cycle TEXT, name TEXT, submit_num INTEGER, flow_nums TEXT, is_manual_submit INTEGER, try_num INTEGER,"
    " time_submit TEXT, time_submit_exit TEXT, submit_status INTEGER, time_run TEXT, time_run_exit TEXT, run_signal TEXT,"
    " run_status INTEGER, platform_name TEXT, job_runner_name TEXT, job_id TEXT, PRIMARY KEY(cycle, name, submit_num))",
    "task_events(name TEXT, cycle TEXT, time TEXT, submit_num INTEGER, event TEXT, message TEXT)",
    "task_pool(cycle TEXT, name TEXT, flow_nums TEXT, status TEXT, is_held INTEGER, PRIMARY KEY(cycle, name, flow_nums))",
    "broadcast_states(point TEXT, namespace TEXT, key TEXT, value TEXT, PRIMARY KEY(point, namespace, key))",
    "broadcast_events(time TEXT, change TEXT, point TEXT, namespace TEXT, key TEXT, value TEXT)",
)
_PUT_STATE: Final = (
    "INSERT INTO task_states VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET time_updated=excluded.time_updated,"
    " submit_num=excluded.submit_num, status=excluded.status, flow_wait=excluded.flow_wait"
)
_PUT_OUTPUTS: Final = "INSERT OR REPLACE INTO task_outputs VALUES (?,?,?,?)"
_PUT_JOB: Final = f"INSERT OR REPLACE INTO task_jobs VALUES ({','.join('?' * 16)})"

# Steps that came and went between two writes have all ended well, or there would be no later ones.
_STEPS: Final = "WITH RECURSIVE step(n) AS (SELECT ? UNION ALL SELECT n + 1 FROM step WHERE n < ?)"
_FILL_STATES: Final = (
    f"{_STEPS} INSERT INTO task_states SELECT 'step', CAST(n AS TEXT), '[1]', ?, ?, 1, 'succeeded', 0, 0 FROM step WHERE true"
    " ON CONFLICT DO UPDATE SET time_updated=excluded.time_updated, submit_num=1, status='succeeded'"
)
_FILL_OUTPUTS: Final = f"{_STEPS} INSERT OR REPLACE INTO task_outputs SELECT CAST(n AS TEXT), 'step', '[1]', ? FROM step"
_ALL_OUTPUTS: Final = json.dumps({label: label for label in ("submitted", "started", "succeeded")})


class RunDatabase:
    """One run's database, open.

    Args:
        origin: the chain of runs that it is about; what an earlier chain left under the same name is thrown away.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, origin: str) -> None:
        self._path = path
        try:
            path.parent.mkdir(exist_ok=True)
            self._connection = self._open()
            if self._value(ORIGIN) not in (None, origin):
                self._connection.close()
                path.unlink()
                self._connection = self._open()
            self._connection.execute("INSERT OR REPLACE INTO workflow_params VALUES (?, ?)", (ORIGIN, origin))
        except apsw.Error as error:
            raise OSError(f"{path}: {error}") from error

    def _open(self) -> apsw.Connection:
        try:
            return self._opened()
        except (apsw.NotADBError, apsw.CorruptError):
            self._path.unlink()
            return self._opened()

    def _opened(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(BUSY_MS)
        connection.execute("PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=OFF")
        for table in _TABLES:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        return connection

    def _value(self, key: str) -> str | None:
        rows = list(self._connection.execute("SELECT value FROM workflow_params WHERE key = ?", (key,)))
        return str(rows[0][0]) if rows else None

    def put(
        self,
        parameters: Mapping[str, str | None],
        states: Iterable[tuple[Any, ...]],
        outputs: Iterable[tuple[Any, ...]],
        jobs: Iterable[tuple[Any, ...]],
        steps: tuple[int, int, str] | None = None,
    ) -> None:
        """Write rows, all or none.

        Args:
            steps: first and last of a simulation's steps that are over though no row says so, and the time to write for them.

        Raises:
            OSError: it is locked for too long, or cannot be written.
        """
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO workflow_params VALUES (?, ?)", parameters.items())
                for row in states:
                    if "," in row[2]:
                        self._merge_flows(row)
                    self._connection.execute(_PUT_STATE, row)
                self._connection.executemany(_PUT_OUTPUTS, outputs)
                self._connection.executemany(_PUT_JOB, jobs)
                if steps is not None:
                    first, last, now = steps
                    self._connection.execute(_FILL_STATES, (first, last, now, now))
                    self._connection.execute(_FILL_OUTPUTS, (first, last, _ALL_OUTPUTS))
        except apsw.Error as error:
            raise OSError(f"{self._path}: {error}") from error

    def _merge_flows(self, row: tuple[Any, ...]) -> None:
        """A task whose flows merged is one task: it has no row any more in the flows it came from."""
        merged = set(json.loads(row[2]))
        query = "SELECT flow_nums FROM task_states WHERE name = ? AND cycle = ?"
        for (flows,) in list(self._connection.execute(query, row[:2])):
            if set(json.loads(flows)) < merged:
                for table in ("task_states", "task_outputs"):
                    self._connection.execute(
                        f"DELETE FROM {table} WHERE name = ? AND cycle = ? AND flow_nums = ?", (row[0], row[1], flows)
                    )

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
