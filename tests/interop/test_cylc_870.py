"""The commands of Cylc 8.7.0, whose client sends other arguments than that of 8.5.4, where a Python new enough for it is found."""

import json
import subprocess
import time

import pytest

from gateway_process import GatewayProcess
from interop.clients import CYLC_870, bin_dir, environment_of

pytestmark = pytest.mark.full

FLOW = """
[meta]
    title = newer client
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        R1 = endless => a & b & c & d
[runtime]
    [[root]]
        run mode = skip
    [[a, b, c, d]]
    [[endless]]
        run mode = live
        script = sleep 600
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    if not CYLC_870.python:
        pytest.skip("cylc-flow 8.7.0 needs Python 3.12 or later, and there is none on the path")
    home = tmp_path_factory.mktemp("newer")
    (home / "flow").mkdir()
    (home / "flow" / "flow.cylc").write_text(FLOW)
    with GatewayProcess(home) as gateway:
        gateway.cli("start", str(home / "flow"), "--id", "newer")
        contact = home / "cylc-run" / "newer" / ".service" / "contact"
        deadline = time.monotonic() + 30
        while not contact.exists() or "1/endless" not in cylc(gateway, "dump", "-t", "newer").stdout:
            assert time.monotonic() < deadline, gateway.output
            time.sleep(0.2)
        yield gateway
        gateway.cli("stop", "newer", "--kill")


def cylc(gateway, *words):
    folder = bin_dir(CYLC_870)
    command = [str(folder / "cylc"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment_of(folder, gateway.home))


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ("version", "8.7.0"),
        ("scan -t rich --color=never", "newer"),
        ("scan --states=running -t name", "newer"),
        ("ping newer", ":"),
        ("dump newer", "name=newer"),
        ("dump -t newer", "1/endless:running"),
        ("dump -r newer", "endless"),
        ("show newer", "newer client"),
        ("show newer//1/endless", "state: running"),
        ("get-workflow-version newer", "8.5.4"),
    ],
)
def test_it_finds_the_run_and_reads_it(gateway, words, printed):
    said = cylc(gateway, *words.split())
    assert said.returncode == 0 and printed in said.stdout, said


def test_it_steers_the_run(gateway):
    for words in ("hold newer//1/endless", "pause newer", "trigger newer//1/a", "set --pre=all newer//1/c", "remove newer//1/c"):
        said = cylc(gateway, *words.split())
        assert (said.returncode, said.stdout.strip()) == (0, "Command queued"), (words, said)
    shown = json.loads(gateway.cli("show", "newer", "--json").stdout)
    tasks = {task["name"]: task for task in shown["tasks"]}
    assert shown["run"]["paused"] and tasks["endless"]["is_held"] and "a" in tasks
    assert "1/c" not in cylc(gateway, "dump", "-t", "newer").stdout
    said = cylc(gateway, "remove", "--no-spawn", "newer//1/b")
    assert said.returncode == 1 and "8.5.4 < 8.7.0" in said.stderr, "its client refuses this by itself"
