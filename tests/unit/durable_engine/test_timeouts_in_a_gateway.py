"""Alarms that are kept in memory only are set anew after a restart."""

from triplane.auth import LoopbackPeer
from triplane.clock import ManualClock
from triplane.commands import StartRun
from triplane.engines.durable import DurableEngine
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.queries import DescribeRun
from triplane.store.sqlite import open_store


async def test_a_runs_timeout_is_kept_over_a_restart_without_a_row_of_its_own(tmp_path):
    clock = ManualClock()
    start = StartRun(workflow_id="w", engine="durable", workflow_type="t", task_queue="q", options={"run_timeout_s": 600})
    for opened in range(2):
        store = open_store(tmp_path / "data")
        gateway = Gateway(store, {"durable": DurableEngine()}, [Matching()], clock=clock)
        await gateway.start()
        connection = gateway.open_connection("test", "peer", LoopbackPeer("127.0.0.1"))
        if opened == 0:
            run_id = (await connection.dispatch(start))["run_id"]
            assert store.runs.load(run_id).timers == []
        clock.advance(300)
        gateway.bus.timers.tick()
        run = connection.query(DescribeRun(workflow_id="w")).run
        if opened == 0:
            assert run.is_open
        await gateway.stop()
        store.close()
    store = open_store(tmp_path / "data", readonly=True)
    stored = store.runs.load(run_id)
    assert (stored.run.status, stored.run.closed_reason) == ("failed", "timed_out")
    store.close()
