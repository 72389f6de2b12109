"""A graph run with real jobs over ZeroMQ, its gateway killed again and again: it completes, and no job runs twice."""

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from gateway_process import GatewayProcess

SLICE_S = (0.2, 1.5)
COMPLETES_S = 90.0

GRAPH = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = {cycles}
    runahead limit = P1
    [[graph]]
        P1 = \"\"\"
            start => {middle} => end
            end[-P1] => start
        \"\"\"
[runtime]
    [[root]]
        script = echo "$CYLC_TASK_JOB" >> "$CYLC_WORKFLOW_SHARE_DIR/ran"; sleep 0.2
    [[start, end, {names}]]
"""


def kill_and_complete(home: Path, cycles: int, width: int, kills: int, seed: int) -> Counter[str]:
    """Run cycles of `width` + 2 tasks with so many kill -9 at random moments. Returns how often each job ran."""
    names = [f"t{number}" for number in range(width)]
    choice = random.Random(seed)
    quick = '[platforms.localhost]\nexecution_polling_intervals = "PT2S"\nsubmission_polling_intervals = "PT2S"\n'
    with GatewayProcess(home, quick) as gateway:
        folder = gateway.definitions / "killed"
        folder.mkdir()
        (folder / "flow.cylc").write_text(GRAPH.format(cycles=cycles, middle=" & ".join(names), names=", ".join(names)))
        gateway.cli("start", "graph:killed", "--id", "killed")
        for _ in range(kills):
            # A wait, not a synchronisation: the moment of each kill is what is random here.
            time.sleep(choice.uniform(*SLICE_S))
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGKILL)
            gateway.process.wait()
            gateway.start()
        until = time.monotonic() + COMPLETES_S
        while (shown := gateway.cli("show", "killed").stdout) and "completed" not in shown:
            assert time.monotonic() < until, f"the run did not complete; it stands at:\n{shown}\n{gateway.output[-2_000:]}"
            time.sleep(0.5)
    return Counter((home / "cylc-run/killed/share/ran").read_text().split())


@pytest.mark.timeout(240)
def test_a_gateway_that_is_killed_loses_no_job_and_runs_none_twice(tmp_path: Path):
    ran = kill_and_complete(tmp_path, cycles=4, width=8, kills=10, seed=1)
    assert set(ran.values()) == {1}
    assert len(ran) == 40 and all(job.endswith("/01") for job in ran)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_a_hundred_kills_during_five_hundred_tasks(tmp_path: Path):
    ran = kill_and_complete(tmp_path, cycles=25, width=18, kills=100, seed=2)
    assert set(ran.values()) == {1}
    assert len(ran) == 500 and all(job.endswith("/01") for job in ran)
