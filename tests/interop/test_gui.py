"""The real `cylc gui` (cylc-uiserver 1.7.1) and its page, in Debian's headless Chromium, on a run that the gateway shows."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from gateway_process import GatewayProcess, free_ports
from interop import clients, packages

PATIENCE_S = 60.0
ARTIFACTS = Path(os.environ.get("TRIPLANE_ARTIFACTS", Path(__file__).parents[2] / ".artifacts"))
"""Where screenshots are kept; git looks away."""
FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = first => second
[runtime]
    [[root]]
        script = while ! test -e "$HOME/$CYLC_TASK_NAME.go"; do sleep 0.2; done
    [[first, second]]
"""

pytestmark = pytest.mark.full


class Page:
    """The browser, by the orders of `programs/gui_page.py`."""

    def __init__(self) -> None:
        chromium = packages.program("chromium", "chromium")
        driver = packages.program("chromedriver", "chromium-driver")
        command = [str(clients.gui() / "python"), str(Path(__file__).parent / "programs" / "gui_page.py"), str(chromium), str(driver)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, order, argument=""):
        self._process.stdin.write(f"{order} {argument}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def until(self, what, holds):
        """Ask again and again until `holds` says yes."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds(self):
            assert time.monotonic() < deadline, f"{what}: the page shows {self('status')!r}, {self('tasks')}"
            time.sleep(0.3)

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)


@pytest.fixture
def gateway(tmp_path):
    with GatewayProcess(tmp_path) as gateway:
        (tmp_path / "flow").mkdir()
        (tmp_path / "flow" / "flow.cylc").write_text(FLOW)
        gateway.cli("start", str(tmp_path / "flow"), "--id", "shown")
        yield gateway


@pytest.fixture
def address(gateway):
    """Where the user interface's own server is, with the token that opens it."""
    folder, (port,) = clients.gui(), free_ports(1)
    log = gateway.home / "gui.log"
    with log.open("w") as file:
        settings = (f"port={port}", "port_retries=0", "allow_root=True")
        command = [str(folder / "cylc"), "gui", "--no-browser", *(f"--ServerApp.{setting}" for setting in settings)]
        environment = clients.environment_of(folder, gateway.home)
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT, cwd=gateway.home)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while (token := re.search(r"\?token=([0-9a-f]+)", log.read_text())) is None:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-2_000:]
            time.sleep(0.2)
        yield f"http://localhost:{port}/cylc", token.group(1)
    finally:
        server.terminate()
        server.wait(30)


def state_of(page, name):
    return next((state.split()[0] for cycle, task, state in page("tasks") if (cycle, task) == ("1", name) and state), None)


def test_the_page_shows_the_tree_a_task_changing_state_and_pauses_the_run(gateway, address):
    base, token = address
    page = Page()
    try:
        page("open", f"{base}?token={token}")
        page("open", f"{base}#/workspace/shown")
        page.until("the first task runs", lambda page: state_of(page, "first") == "running")
        (gateway.home / "first.go").touch()
        page.until("the first has succeeded and the second runs", lambda page: state_of(page, "second") == "running")
        assert state_of(page, "first") in ("succeeded", None)
        page("click", "workflow-play-pause-button")
        page.until("the run is paused", lambda page: (page("status") or "").lower().startswith("paused"))
        shown = json.loads(gateway.cli("show", "shown", "--json").stdout)
        assert shown["run"]["paused"] is True
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        assert page("shot", str(ARTIFACTS / "cylc-gui.png"))
        assert (ARTIFACTS / "cylc-gui.png").stat().st_size > 10_000
        page("click", "workflow-play-pause-button")
        page.until("the run goes on", lambda page: (page("status") or "").lower().startswith("running"))
        (gateway.home / "second.go").touch()
        page.until("the run has ended", lambda page: (page("status") or "").lower().startswith("stopped"))
    finally:
        page.close()
