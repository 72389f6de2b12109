"""The real Cylc 8.5.4 forces tasks of a graph run in a real gateway: what it may say beside hold, kill and trigger."""

import json
import subprocess
import time

import pytest

from interop import clients

DEADLINE_S = 30.0

# Every task ends at once, so that all there is to wait for is what the commands change.
FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[special tasks]]
        external-trigger = messaged("data are there")
    [[xtriggers]]
        mine = mine(word=%(name)s):PT1S
    [[graph]]
        R1 = \"\"\"
            gate => a => b
            gate => spared
            messaged => c
            @mine => called
        \"\"\"
[runtime]
    [[root]]
        run mode = skip
    [[gate, a, b, c, spared, messaged, called]]
"""
FUNCTION = "def mine(word):\n    return True, {'word': word}\n"


@pytest.fixture
def gateway(gateway_process):
    folder = gateway_process.definitions / "forced"
    (folder / "lib" / "python").mkdir(parents=True)
    (folder / "flow.cylc").write_text(FLOW)
    (folder / "lib" / "python" / "mine.py").write_text(FUNCTION)
    return gateway_process


def cylc(gateway, *arguments):
    folder = clients.cylc()
    environment = clients.environment_of(folder, gateway.home)
    return subprocess.run(
        [str(folder / "cylc"), *arguments], capture_output=True, text=True, env=environment, timeout=40, check=False
    )


def states(gateway):
    shown = json.loads(gateway.cli("show", "demo", "--json").stdout)
    return {f"{task['cycle']}/{task['name']}": task["state"] for task in shown["tasks"]}, (shown.get("run") or shown)["status"]


def until(what, holds):
    end = time.monotonic() + DEADLINE_S
    while not (value := holds()):
        assert time.monotonic() < end, f"within {DEADLINE_S:g} s it never came true that {what}"
        time.sleep(0.05)
    return value


def test_the_real_client_sets_removes_broadcasts_reloads_and_triggers_from_outside(gateway):
    gateway.cli("start", "graph:forced", "--id", "demo")
    until("the user's function was called", lambda: states(gateway)[0].get("1/called") == "succeeded")
    said = cylc(gateway, "broadcast", "-p", "1", "-n", "b", "-s", "[environment]FOO=bar", "demo")
    assert said.returncode == 0 and "+ [1/b] [environment]FOO=bar" in said.stdout
    assert "`-FOO        bar" in cylc(gateway, "broadcast", "--display", "demo").stdout
    assert cylc(gateway, "trigger", "--flow=new", "demo//1/gate").returncode == 0
    until("all of the second flow has run", lambda: "in flow 2" in gateway.cli("show", "demo", "--reference").stdout)
    assert cylc(gateway, "reload", "demo").returncode == 0
    until("it was read again", lambda: "RunReloaded" in gateway.cli("show", "demo", "--history").stdout)
    assert cylc(gateway, "ext-trigger", "demo", "data are there", "id1").returncode == 0
    until("the run is completed", lambda: states(gateway)[1] == "completed")
    lines = gateway.cli("show", "demo", "--reference").stdout.splitlines()
    assert "1/gate -triggered off [] in flow 1" in lines and "1/b -triggered off ['1/a'] in flow 2" in lines
    assert "1/c -triggered off ['1/messaged'] in flow 1" in lines


def test_the_real_client_sets_and_removes_tasks_and_stops_later(gateway):
    gateway.cli("start", "graph:forced", "--id", "demo")
    until("the run waits", lambda: states(gateway)[0].get("1/spared") == "succeeded")
    until("the face is there", (gateway.home / "cylc-run" / "demo" / ".service" / "contact").exists)
    refused = cylc(gateway, "set", "--out=nonsense", "demo//1/messaged")
    assert refused.returncode == 1 and "none of the tasks has nonsense" in refused.stderr
    assert cylc(gateway, "hold", "--after=0", "demo").returncode == 0
    assert cylc(gateway, "release", "--all", "demo").returncode == 0
    assert cylc(gateway, "remove", "demo//1/spared").returncode == 0
    assert "1/spared" not in states(gateway)[0]
    assert cylc(gateway, "stop", "demo//1/c").returncode == 0
    assert cylc(gateway, "set", "demo//1/messaged").returncode == 0
    until("the run has ended", lambda: states(gateway)[1] in ("completed", "cancelled"))
    assert states(gateway)[0]["1/messaged"] == states(gateway)[0]["1/c"] == "succeeded"
