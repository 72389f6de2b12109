"""A crash at every sync of what makes runs findable: definitions, attributes, archive, redrive. The index never lags or leads."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from crash.commands import QUEUE, WORKER, CrashHouse
from crash.vfs import VARIANTS, FaultyVFS, Trace, write_image
from triplane.commands import ArchiveRun, DefineSearchAttribute, RedriveRun, RemoveSearchAttribute, StartRun
from triplane.commands.workers import CompleteActivity, CompleteWorkflowTask, PollTask, RegisterWorker
from triplane.connection import Connection
from triplane.queries import DescribeRun, FindRuns, ListSearchAttributes, ReadHistory
from triplane.store.sqlite import SqliteStore, open_store
from triplane.visibility.attributes import index_rows

CHARGE = {"type": "schedule_activity", "activity_type": "charge", "arguments": {"codec": "json", "blob": "[1]"}, "queue": QUEUE}

Promise = tuple[int, str, Any]
"""Behind which operation it was acknowledged, what was done, and what must be found from then on."""


async def be_the_worker(connection: Connection, *commands: dict[str, Any]) -> None:
    task = await connection.dispatch(PollTask(kind="workflow", worker_id=WORKER, task_queue=QUEUE, timeout_s=5))
    await connection.dispatch(
        CompleteWorkflowTask(task_id=task["task_id"], lease_owner=WORKER, attempt=task["workflow_task_attempt"], commands=commands)
    )


async def record(directory: Path, trace: Trace) -> list[Promise]:
    vfs = FaultyVFS(trace)
    house = await CrashHouse(directory, vfs).open()
    connection, promises = house.connect(), []

    async def do(command: Any, what: str = "", then: Any = None) -> Any:
        reply = await connection.dispatch(command)
        if what:
            promises.append((len(trace.operations), what, then if then is not None else reply))
        return reply

    await do(RegisterWorker(worker_id=WORKER, task_queue=QUEUE, info={}))
    await do(DefineSearchAttribute(attribute="Tier", kind="keyword"), "defined", "Tier")
    await do(DefineSearchAttribute(attribute="Old", kind="int"))
    await do(RemoveSearchAttribute(attribute="Old"), "removed", "Old")
    start = StartRun(
        workflow_id="w", engine="durable", workflow_type="Order", task_queue=QUEUE, request_id="s",
        search_attributes={"Tier": "gold", "Size": 4}, options={"business_key": "k"},
    )  # fmt: skip
    await do(start, "started", 'Size = 4 AND BusinessKey = "k"')
    await be_the_worker(connection, CHARGE)
    task = await connection.dispatch(PollTask(kind="activity", worker_id=WORKER, task_queue=QUEUE, timeout_s=5))
    attempt = {"task_id": task["task_id"], "activity_attempt_id": task["activity_attempt_id"], "lease_owner": WORKER}
    await connection.dispatch(CompleteActivity(**attempt, result={"codec": "json", "blob": '"paid"'}))
    upsert = {"type": "upsert_search_attributes", "attributes": {"Tier": "tin", "Size": None}}
    await be_the_worker(connection, upsert, {"type": "fail_workflow", "message": "no"})
    promises.append((len(trace.operations), "upserted", 'Tier = "tin" AND Size IS NULL'))
    failed = connection.query(DescribeRun(workflow_id="w")).run.run_id
    await do(RedriveRun(workflow_id="w", run_id=failed, request_id="again"), "redriven")
    await be_the_worker(connection, CHARGE)
    await be_the_worker(connection, {"type": "complete_workflow", "result": {"codec": "json", "blob": "1"}})
    await do(ArchiveRun(workflow_id="w", reason="old"), "archived", "ArchiveTime IS NOT NULL")
    await house.close()
    return promises


def index_of(store: SqliteStore) -> set[tuple[Any, ...]]:
    rows = "SELECT r.run_id, a.name, a.form, a.value FROM run_attributes a JOIN runs r ON r.key = a.run WHERE r.is_newest"
    return set(store.runs._readers.get().execute(rows))


def details_of(store: SqliteStore) -> set[tuple[Any, ...]]:
    page = store.runs.page(
        "default", engine=None, workflow_type=None, statuses=(), open=None, hidden_type=None, text="", limit=9, after=None
    )
    return {(run.run_id, *row) for run, detail in page.runs for row in index_rows(detail)}


async def hold_to(promises: list[Promise], image: Path, vfs: FaultyVFS) -> None:
    """Start a gateway on what the crash left, and ask it for all that was acknowledged."""
    house = await CrashHouse(image, vfs).open()
    connection = house.connect()
    kept = {what: then for _, what, then in promises}
    if "defined" in kept:
        assert kept["defined"] in connection.query(ListSearchAttributes())
    if "removed" in kept:
        assert kept["removed"] not in connection.query(ListSearchAttributes())
    if "redriven" in kept:
        assert connection.query(DescribeRun(workflow_id="w")).run.run_id == kept["redriven"]["run_id"]
    # Each state replaces the one before: only the last promise about the run is about now.
    for what in ("archived", "upserted", "started"):
        if what in kept:
            assert [run.workflow_id for run, _ in connection.query(FindRuns(query=kept[what])).runs] == ["w"], what
            break
    if promises and promises[-1][1] == "redriven":
        await charge_only_once(connection)
    await house.close()


async def charge_only_once(connection: Connection) -> None:
    """Be the redriven run's worker: the activity that the failed run completed is there already, and offered to nobody."""
    await connection.dispatch(RegisterWorker(worker_id=WORKER, task_queue=QUEUE, info={}))
    run = connection.query(DescribeRun(workflow_id="w")).run
    names = [event.name for event in connection.query(ReadHistory(workflow_id="w", run_id=run.run_id)).events]
    if "ActivityScheduled" not in names:
        await be_the_worker(connection, CHARGE)
    assert await connection.dispatch(PollTask(kind="activity", worker_id=WORKER, task_queue=QUEUE, timeout_s=0)) is None
    events = connection.query(ReadHistory(workflow_id="w", run_id=run.run_id)).events
    (completed,) = [event.data for event in events if event.name == "ActivityCompleted"]
    assert completed["result"]["blob"] == '"paid"' and completed["reused_from_run_id"] != run.run_id


@pytest.mark.parametrize("variant", VARIANTS)
async def test_what_was_acknowledged_is_found_after_a_crash_and_the_index_agrees(tmp_path: Path, variant: str):
    trace = Trace()
    promises = await record(tmp_path / "live", trace)
    assert [what for _, what, _ in promises] == ["defined", "removed", "started", "upserted", "redriven", "archived"]
    unsynced, checked = FaultyVFS(syncs=False), 0
    for length, operation in enumerate(trace.operations, 1):
        if operation.kind != "sync":
            continue
        image = tmp_path / "image"
        write_image(trace.image(length, variant, seed=length), image)
        store = open_store(image, vfs=unsynced.name)
        assert (index_of(store), store.check()) == (details_of(store), [])
        store.close()
        await hold_to([promise for promise in promises if promise[0] <= length], image, unsynced)
        shutil.rmtree(image)
        checked += 1
    assert checked > 10
