"""Finding runs: what is on disk is found, whether its commit has been announced in memory or not."""

from triplane.commands import StartRun
from triplane.runtable import RunTable
from unit.core.counting import CountingEngine


async def test_a_run_on_disk_is_found_before_its_commit_is_announced(house):
    await house.connect().dispatch(StartRun(workflow_id="w", engine="counting", workflow_type="demo"))
    table = RunTable(house.store, {"counting": CountingEngine()}, lambda live: None)
    run_id = house.store.runs.current_run_id("default", "w")
    live = table.load(house.store.runs.load(run_id))
    live.view = None
    table.add(live)
    assert table.committed_run_id("default", "w") == run_id
    view = table.view(run_id)
    assert view is not None and view.run.workflow_id == "w"
