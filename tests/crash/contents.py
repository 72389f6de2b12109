"""All that a store holds, as values that can be compared."""

from typing import Any

from triplane.store.filters import AuditFilter
from triplane.store.interface import Store

MANY = 1_000_000


def contents(store: Store) -> dict[str, Any]:
    """Every run with all its parts, and what belongs to no run; reads and verifies every history."""
    runs: dict[str, Any] = {}
    for namespace in store.namespaces.all():
        after: str | None = None
        while True:
            page = store.runs.page(
                namespace.name, engine=None, workflow_type=None, statuses=(), open=None, text="", limit=500, after=after
            )
            for newest, _ in page.runs:
                for run, _ in store.runs.chain(namespace.name, newest.workflow_id).runs:
                    runs[run.run_id] = _run_contents(store, run.run_id)
            after = page.next
            if after is None:
                break
    return {
        "runs": runs,
        "open": store.runs.open_run_ids(),
        "cursor": store.last_cursor(),
        "workers": store.workers.all(),
        "rollouts": store.rollouts.all(),
        "sessions": store.sessions.all(),
        "contracts": store.contracts.all(),
        "schedules": [(s, store.schedules.events(s.namespace, s.schedule_id, 0, MANY)) for s in store.schedules.all()],
        "namespaces": store.namespaces.all(),
        "audit": store.audit.read(AuditFilter(scan=MANY), MANY),
    }


def rows_of(store: Store, run_id: str, table: str, first_row: int = 0, limit: int = MANY) -> list[tuple[int, tuple[Any, ...]]]:
    """(row number, row) of a stored table."""
    until = first_row + limit
    return [
        (number, tuple(row))
        for chunk in store.tables.chunks(run_id, table, first_row, until, 1 << 40)
        for number, row in enumerate(chunk.rows(), chunk.first_row)
        if first_row <= number < until
    ]


def _run_contents(store: Store, run_id: str) -> dict[str, Any]:
    stored = store.runs.load(run_id)
    assert stored is not None
    return {
        "stored": stored,
        "history": store.histories.read(run_id, 0, MANY),
        "tables": {
            name: (store.tables.columns(run_id, name), rows_of(store, run_id, name))
            for name in store.tables.names(run_id)
        },
        "streams": [(s, store.streams.read(run_id, s.name, 0, MANY)) for s in store.streams.of_run(run_id)],
        "checkpoint": store.runs.checkpoint(run_id),
    }
