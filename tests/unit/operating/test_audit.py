"""The audit log can be asked for by who, what, when and what came of it, in portions."""

from pathlib import Path
from typing import Any

from triplane.store.filters import AuditFilter
from triplane.store.interface import AuditRecord, Slice
from triplane.store.sqlite import open_store


def record(number: int, **fields: Any) -> AuditRecord:
    given = {
        "wire": "durable", "peer": "p", "principal": "alice", "namespace": "default", "command": "start_run",
        "workflow_id": f"w{number}", "run_id": "", "request_id": "", "outcome": "accepted", "summary": {}, **fields,
    }  # fmt: skip
    return AuditRecord(float(number), *given.values())


def test_each_filter_finds_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    odd = {1: {"principal": "bob"}, 2: {"command": "stop_run"}, 3: {"outcome": "not_allowed"}, 4: {"wire": "cyclus"}, 5: {"namespace": "x"}}
    store.writer.commit([Slice(audit=tuple(record(number, **odd.get(number, {})) for number in range(8)))])

    def found(**wanted: Any) -> list[int]:
        return [int(line["time"]) for line in store.audit.read(AuditFilter(**wanted), 100)]

    assert found() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert found(principal="bob") == [1] and found(command="stop_run") == [2] and found(wire="cyclus") == [4]
    assert found(outcome="not_allowed") == found(outcome="refused") == [3] and found(namespace="x") == [5]
    assert found(since=2.0, until=5.0) == [4, 3, 2] and found(workflow_id="w6") == [6]
    store.close()


def test_a_long_log_is_read_in_portions_that_lose_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.writer.commit([Slice(audit=tuple(record(number, principal="bob" if number % 10 == 0 else "alice") for number in range(95)))])
    found, before = [], None
    for _ in range(100):
        page = store.audit.read(AuditFilter(principal="bob", before=before, scan=7), 2)
        found += [int(line["time"]) for line in page if "more" not in line]
        if not page:
            break
        before = page[-1]["id"]
    assert found == [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]
    store.close()
