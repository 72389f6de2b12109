"""The real `cylc tui` 8.5.4 in a tmux pane, on a run that the gateway shows: it opens, expands, holds, triggers, and outlives a restart."""

import json
import signal

import pytest

from gateway_process import GatewayProcess
from interop import clients
from interop.drivers import eventually
from interop.tmux import Pane

FLOW = '''
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    [[graph]]
        R1 = """
            first => second
            first & second => third
            second => fourth
        """
[runtime]
    [[first, third]]
    [[second, fourth]]
        script = while ! test -e "$HOME/$CYLC_TASK_NAME.go"; do sleep 0.1; done
'''
HELD = "\u030e"
"""What the client draws over the state of a held task."""
RUNNING, WAITING, SUCCEEDED = "⊙", "○", "●"
ACTIONS = ("hold", "kill", "log", "poll", "release", "remove", "set", "show", "trigger")
"""In the order of the menu of a task, below the way out."""


@pytest.fixture
def gateway(tmp_path):
    with GatewayProcess(tmp_path) as gateway:
        (tmp_path / "flow").mkdir()
        (tmp_path / "flow" / "flow.cylc").write_text(FLOW)
        gateway.cli("start", str(tmp_path / "flow"), "--id", "shown")
        eventually("the face is open", (tmp_path / "cylc-run" / "shown" / ".service" / "contact").exists)
        yield gateway
        for name in ("second", "fourth"):
            (tmp_path / f"{name}.go").touch()


@pytest.fixture
def pane(gateway):
    folder = clients.cylc()
    environment = clients.environment_of(folder, gateway.home, TERM="xterm-256color", LC_ALL="C.UTF-8")
    with Pane([str(folder / "cylc"), "tui", "shown"], environment, gateway.home) as pane:
        yield pane


def line_of(pane, name):
    """The line of a task, without what is drawn around it."""
    return next((line.strip(" +-") for line in pane.screen.splitlines() if line.rstrip().endswith(f" {name}")), "")


def go_to(pane, name):
    """Go to a task, from the top."""
    pane.press("Home")
    rows = [line for line in pane.screen.splitlines() if line.strip()][1:]
    for _ in range(next(number for number, row in enumerate(rows) if row.rstrip().endswith(f" {name}"))):
        pane.press("Down")


def choose(pane, name, action):
    """Choose from a task's menu, each key when the one before has been drawn."""
    go_to(pane, name)
    pane.press("Enter")
    pane.until("the menu is open", f"id: 1/{name}", f"< {action}")
    for _ in range(1 + ACTIONS.index(action)):
        pane.press("Down")
    pane.press("Enter")
    eventually("the menu is closed", lambda: "id: 1/" not in pane.screen)


def task(gateway, name):
    shown = json.loads(gateway.cli("show", "shown", "--json").stdout)
    return next(task for task in shown["tasks"] if task["name"] == name)


def test_the_pane_shows_the_run_takes_commands_and_shows_it_again_after_kill_nine(gateway, pane):
    pane.until("the tree is drawn", "shown - running", "first", "second", "third")
    eventually("the states are drawn", lambda: RUNNING in line_of(pane, "second") and WAITING in line_of(pane, "third"))
    assert HELD not in line_of(pane, "third")

    choose(pane, "third", "hold")
    eventually("the hold is drawn", lambda: HELD in line_of(pane, "third"))
    assert task(gateway, "third")["is_held"]

    go_to(pane, "second")
    pane.press("Right")
    pane.until("the job of the second is unfolded", "01")

    choose(pane, "third", "trigger")
    eventually("what was triggered has run", lambda: SUCCEEDED in line_of(pane, "third"))
    assert task(gateway, "third")["state"] == "succeeded"

    gateway.stop(signal.SIGKILL)
    pane.until("the pane says that nobody serves the run", "shown - stopped")
    gateway.start()
    (gateway.home / "second.go").touch()
    eventually("the pane follows the run again", lambda: RUNNING in line_of(pane, "fourth"), 60.0)
