"""A real `triplane cyclus-server` in a process of its own, and which Cyclus it finds."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gateway_process import free_ports

READY_S, STOP_S, ANSWER_S = 30.0, 15.0, 20.0
STANDIN = Path(__file__).with_name("standin")
REAL_PYTHON = "TRIPLANE_TEST_CYCLUS_PYTHON"
"""Names the interpreter of a real Cyclus for the tests."""

SIM_XML = """<?xml version="1.0"?>
<simulation>
  <control><duration>{duration}</duration><startmonth>1</startmonth><startyear>2000</startyear>{more}</control>
  <archetypes>
    <spec><lib>agents</lib><name>{archetype}</name></spec>
    <spec><lib>agents</lib><name>Sink</name></spec>
    <spec><lib>agents</lib><name>NullInst</name></spec>
    <spec><lib>agents</lib><name>NullRegion</name></spec>
  </archetypes>
  <facility><name>Source</name><config><Source><commod>commodity</commod><recipe_name>commod_recipe</recipe_name>
    <capacity>1.00</capacity></Source></config></facility>
  <facility><name>Sink</name><config><Sink><in_commods><val>commodity</val></in_commods>
    <capacity>1.00</capacity></Sink></config></facility>
  <region><name>SingleRegion</name><config><NullRegion/></config>
    <institution><name>SingleInstitution</name>
      <initialfacilitylist><entry><prototype>Source</prototype><number>1</number></entry>
        <entry><prototype>Sink</prototype><number>1</number></entry></initialfacilitylist>
      <config><NullInst/></config></institution></region>
  <recipe><name>commod_recipe</name><basis>mass</basis><nuclide><id>010010000</id><comp>1</comp></nuclide></recipe>
</simulation>
"""


def sim_xml(duration: int = 3, archetype: str = "Source", more: str = "") -> str:
    """An input file of Cyclus; what is in `more` only the stand-in understands."""
    return SIM_XML.format(duration=duration, archetype=archetype, more=more)


def real_cyclus() -> bool:
    """Whether there is a real Cyclus on this machine."""
    python = os.environ.get(REAL_PYTHON)
    if python is None and find_spec("cyclus") is None:
        return False
    return subprocess.run([python or sys.executable, "-c", "import cyclus.lib"], capture_output=True, cwd="/", check=False).returncode == 0


def engine_environment(standin: bool) -> dict[str, str]:
    """What makes a gateway find the stand-in, or the real engine."""
    if standin:
        paths = [str(STANDIN), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {"PYTHONPATH": os.pathsep.join(paths)}
    python = os.environ.get(REAL_PYTHON)
    return {"TRIPLANE__ENGINES__SIMULATION__CYCLUS__PYTHON": python} if python else {}


class CyclusServer:
    """The command from its start to its end. As a context manager it is ready inside the block.

    Attributes:
        port: the one asked for.
    """

    def __init__(self, home: Path, *arguments: str, environment: dict[str, str] | None = None, port: int | None = None) -> None:
        self.home, self.port = home, port if port is not None else free_ports(4)[0]
        self._command = [sys.executable, "-m", "triplane.cli.main", "cyclus-server", "-p", str(self.port), *arguments]
        self._environment = {**os.environ, "HOME": str(home), **engine_environment(standin=True), **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, ready: bool = True) -> Self:
        """Start it (again)."""
        with (self.home / "stdout").open("wb") as out, (self.home / "stderr").open("wb") as err:
            self.process = subprocess.Popen(self._command, stdout=out, stderr=err, env=self._environment, cwd=self.home)
        deadline = time.monotonic() + READY_S
        while ready and "serving cyclus at" not in self.stdout:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.stderr}"
            assert time.monotonic() < deadline, f"it was not ready in {READY_S:g} s: {self.stderr}"
            time.sleep(0.02)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def stdout(self) -> str:
        return (self.home / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.home / "stderr").read_text()

    def end(self, number: int | None = None) -> int:
        """Send a signal, if one is given, and wait for the end; the exit code."""
        assert self.process is not None
        if number is not None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {STOP_S:g} s: {self.stderr[-2_000:]}") from None

    def kill_nine(self) -> None:
        """End it without any warning."""
        assert self.end(signal.SIGKILL) == -signal.SIGKILL

    def client(self, path: str = "/", port: int | None = None) -> "Client":
        """A real websocket client."""
        return Client(f"ws://localhost:{port or self.port}{path}")


class Client:
    """A client that skips heartbeats."""

    def __init__(self, url: str) -> None:
        self._connecting = connect(url, max_size=None)
        self._socket = self._connecting.__enter__()
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connecting.__exit__(None, None, None)

    def say(self, event: str, **params: Any) -> None:
        self._socket.send(json.dumps({"event": event, "params": params}))

    def next(self) -> dict[str, Any]:
        """The next frame."""
        while True:
            frame: dict[str, Any] = json.loads(self._socket.recv(timeout=ANSWER_S))
            if frame["event"] != "heartbeat":
                return frame

    def ask(self, event: str, **params: Any) -> dict[str, Any]:
        """Send an event; its answer, which other frames may come before."""
        self._asked += 1
        self._socket.send(json.dumps({"event": event, "params": params, "id": self._asked}))
        while (frame := self.next()).get("id") != self._asked:
            pass
        return frame

    def rows(self, table: str, **params: Any) -> Any:
        """The rows of a table as objects; a text where there is no such table."""
        return self.ask("table_data", table=table, orient="records", **params)["data"]

    def wait_for(self, table: str, **params: Any) -> Any:
        """The rows of a table once there are any."""
        deadline = time.monotonic() + ANSWER_S
        while isinstance(rows := self.rows(table, **params), str) or not rows:
            assert time.monotonic() < deadline, rows
            time.sleep(0.05)
        return rows

    def closed(self) -> int:
        """The close code once the server has closed."""
        try:
            while True:
                self._socket.recv(timeout=ANSWER_S)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006
