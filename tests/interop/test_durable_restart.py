"""The gateway is killed while a real worker is busy: every workflow still ends, each step once, with the same worker."""

import json
import signal
import subprocess
import time

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290, bin_dir
from interop.test_durable_sdk import PROGRAMS

COUNT = 10
SHORT_LEASES = """
[engines.durable]
workflow_task_lease_s = 2
activity_lease_s = 2
"""


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_workflows_outlive_a_gateway_that_is_killed_twice(tmp_path, client):
    with GatewayProcess(tmp_path, SHORT_LEASES) as gateway:
        command = [bin_dir(client) / "python", PROGRAMS / "durable_restart.py", f"http://127.0.0.1:{gateway.http_port}", str(COUNT)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
            try:
                assert program.stdout is not None and program.stdout.readline() == "started\n"
                for _ in range(2):
                    time.sleep(0.8)  # the moment of the crash is meant to be any
                    gateway.stop(signal.SIGKILL)
                    gateway.start()
                said, _ = program.communicate(timeout=100)
            finally:
                program.kill()
    seen = json.loads(said)
    for number, (output, once, replayed) in enumerate(seen):
        assert output == [0, 1, 2, 3, [number, "b", None], 0, 0, 10, 1, 20, 2, 30, 3]
        assert once and replayed == ["CompleteWorkflow"]
    assert len(seen) == COUNT
