"""A quick look at whether the file is sound and its rows belong together."""

from collections.abc import Iterator

import apsw

_CHILDREN = (
    "run_details", "checkpoints", "histories", "tasks", "jobs", "timers", "run_tables", "table_rows", "run_attributes",
    "run_tails",
)  # fmt: skip
_MOST_FINDINGS = 100

_REFERENCES: tuple[tuple[str, str], ...] = (
    (
        "runs whose history is not as long as they say",
        "SELECT run_id FROM runs r WHERE history_length != (SELECT coalesce(max(seq), 0) FROM histories h WHERE h.run = r.key)",
    ),
    (
        "closed runs that still have timers",
        "SELECT DISTINCT run_id FROM runs r JOIN timers t ON t.run = r.key WHERE r.closed IS NOT NULL",
    ),
    (
        "workflows without exactly one newest run",
        "SELECT namespace || '/' || workflow_id FROM runs GROUP BY namespace, workflow_id HAVING sum(is_newest) != 1"
        " OR max(run_number) != max(iif(is_newest, run_number, 0))",
    ),
    (
        "jobs without their task",
        "SELECT run || ': ' || cycle || '/' || name FROM jobs EXCEPT SELECT run || ': ' || cycle || '/' || name FROM tasks",
    ),
)  # fmt: skip


def findings(connection: apsw.Connection) -> list[str]:
    """What is wrong with the file, a sentence each; empty when all is well. Reads every page."""
    try:
        found = [text for (text,) in connection.execute(f"PRAGMA quick_check({_MOST_FINDINGS})") if text != "ok"]
        if found:
            return found
        for sentence, sql in (*_orphans(connection), *_REFERENCES, _late(connection)):
            rows = [str(value) for (value,) in connection.execute(f"{sql} LIMIT 5")]
            if rows:
                found.append(f"{sentence}: {', '.join(rows)}")
    except (apsw.CorruptError, apsw.NotADBError, apsw.IOError) as error:
        return [f"the file cannot be read: {error}"]
    return found


def _late(connection: apsw.Connection) -> tuple[str, str]:
    """What looks for runs that are ahead of the position and are not known to be."""
    sql = "SELECT run_id FROM runs WHERE cursor > (SELECT cursor FROM position)"
    # A store that is only looked at may be of an earlier schema.
    if connection.table_exists("main", "run_tails"):
        sql += " AND key NOT IN (SELECT value FROM position, json_each(position.ahead))"
    return "runs changed after the last commit", sql


def _orphans(connection: apsw.Connection) -> Iterator[tuple[str, str]]:
    """What looks for rows of no run. Those of runs that are being removed wait to be swept out, and are no finding."""
    known = "SELECT key FROM runs"
    # A store that is only looked at may be of an earlier schema.
    if connection.table_exists("main", "gone_runs"):
        known += " UNION ALL SELECT run FROM gone_runs"
    for table in _CHILDREN:
        if connection.table_exists("main", table):
            yield f"{table} has rows of runs that do not exist", f"SELECT DISTINCT run FROM {table} WHERE run NOT IN ({known})"
