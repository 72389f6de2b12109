"""Chromium on the page, by the orders of `programs/browser_orders.py`, and a run that is easily steered."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from gateway_process import GatewayProcess
from interop import clients, packages

PATIENCE_S = 30.0

FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        R1 = endless => first & second & third & fourth & fifth
[runtime]
    [[endless]]
        script = echo "a line of the log"; while ! test -e "$HOME/over"; do sleep 0.2; done
    [[first, second, third, fourth, fifth]]
        script = true
"""


class Browser:
    """One Chromium. Use it as a context manager."""

    def __init__(self, downloads: Path) -> None:
        chromium, driver = packages.program("chromium", "chromium"), packages.program("chromedriver", "chromium-driver")
        downloads.mkdir(parents=True, exist_ok=True)
        program = Path(__file__).parent / "programs" / "browser_orders.py"
        command = [str(clients.browser() / "python"), str(program), str(chromium), str(driver), str(downloads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def __call__(self, **order: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, (order, answer["error"])
        return answer["ok"]

    def run(self, script: str) -> Any:
        """The value of a script in the page."""
        return self(script=script)

    def text(self, css: str = "#main") -> str:
        """What an element says; empty where there is none."""
        return self.run(f"return document.querySelector({json.dumps(css)})?.innerText ?? ''") or ""

    def go(self, *parts: str) -> None:
        """To a view of the namespace `default`."""
        self.run(f"location.hash = {json.dumps('#/' + '/'.join(('default', *parts)))}")

    def until(self, what: str, holds: Callable[["Browser"], Any], seconds: float = PATIENCE_S) -> Any:
        """Ask again and again until `holds` says yes; its value."""
        deadline = time.monotonic() + seconds
        while not (value := holds(self)):
            assert time.monotonic() < deadline, f"{what}: the page says {self.text('body')[:1500]!r}; {self(log=True)}"
            time.sleep(0.05)
        return value

    def click(self, css: str) -> None:
        """Click once it is there."""
        self.until(f"there is a {css}", lambda page: page.run(f"return document.querySelector({json.dumps(css)}) !== null"))
        self(click=css)

    def confirm(self) -> None:
        """Say yes to the question that is asked."""
        self.click("#confirm-yes")


def task_text(page: Browser, task: str) -> str:
    """The line of a task in the table of tasks."""
    return page.run(f"return document.getElementById('row-{task}')?.innerText ?? ''") or ""


def steer(gateway: GatewayProcess, run: str, event: str, **params: Any) -> float:
    """Have a run do something by the Cyclus wire; when it was sent, in wall-clock milliseconds."""
    with connect(f"ws://127.0.0.1:{gateway.websocket_port}/runs/{run}") as socket:
        sent = time.time() * 1000
        socket.send(json.dumps({"event": event, "params": params, "id": 1}))
        while (answer := json.loads(socket.recv(timeout=20))).get("id") != 1:
            pass
    assert answer["event"] != "error", answer
    return sent


def start_flow(gateway: GatewayProcess, name: str, text: str = FLOW) -> None:
    """Start a graph of this definition."""
    folder = gateway.home / f"flow-{name}"
    folder.mkdir()
    (folder / "flow.cylc").write_text(text)
    gateway.cli("start", str(folder), "--id", name)


def artifacts() -> Path:
    """Where pictures are kept: `$TRIPLANE_ARTIFACTS`, or `.artifacts` beside the tests, which git ignores."""
    folder = Path(os.environ.get("TRIPLANE_ARTIFACTS", clients.ROOT / ".artifacts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def address(gateway: GatewayProcess) -> str:
    """Of the page."""
    return f"http://127.0.0.1:{gateway.web_port}/ui/"
