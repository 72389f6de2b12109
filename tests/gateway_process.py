"""A real `triplane serve` in a process of its own: free ports, a temporary home, and its command line beside it."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Self

from left_jobs import end_jobs

READY_S = 30.0
STOP_S = 15.0


def free_ports(count: int) -> list[int]:
    """So many adjacent TCP ports that were free a moment ago, below the range that the kernel hands out by itself.

    Test processes side by side have a range each: a gateway that was killed finds its ports free when it comes back.
    """
    lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw5").removeprefix("gw")) % 6
    for attempt in range(2_000):
        first = 12_000 + lane * 3_000 + (os.getpid() * 137 + attempt * 251) % (3_000 - count)
        taken = [socket.socket() for _ in range(count)]
        try:
            for offset, each in enumerate(taken):
                each.bind(("127.0.0.1", first + offset))
            return list(range(first, first + count))
        except OSError:
            continue
        finally:
            for each in taken:
                each.close()
    raise RuntimeError(f"no {count} adjacent free ports")


class GatewayProcess:
    """`triplane serve` from start to SIGTERM. Use it as a context manager; it is ready inside the block.

    Attributes:
        home: $HOME of the gateway and its clients; `cylc-run` is in it. data_dir, definitions, config_file: in it too.
        http_port, websocket_port, web_port: of the durable and the Cyclus wire, and of the page.
        output: what it printed so far (both streams), for messages of failing tests.
    """

    def __init__(self, home: Path, extra_config: str = "", environment: dict[str, str] | None = None, ready: bool = True) -> None:
        self.home, self.data_dir, self.definitions = home, home / "data", home / "definitions"
        self.config_file, self._log_file = home / "triplane.toml", home / "serve.log"
        self._ready = ready
        self.definitions.mkdir(parents=True, exist_ok=True)
        ports = free_ports(83)
        self.http_port, self.websocket_port, self.web_port = ports[0], ports[1], ports[82]
        self.environment = {**os.environ, "HOME": str(home), "PYTHONUNBUFFERED": "1", **(environment or {})}
        self.config_file.write_text(
            f"""
[gateway]
data_dir = "{self.data_dir}"
[definitions]
directories = ["{self.definitions}"]
[jobs]
run_dir = "{home}/cylc-run"
[adapters.durable]
port = {self.http_port}
[adapters.cylc]
host = "localhost"
ports = [{ports[2]}, {ports[81]}]
"""
            + (f"[adapters.web]\nport = {self.web_port}\n" if entry_points(group="triplane.adapters", name="web") else "")
            # Last, for some tests go on with it in `extra_config`.
            + f"[adapters.cyclus]\nport = {self.websocket_port}\n"
            + extra_config
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it (again), and wait until it says that it is ready."""
        command = [sys.executable, "-m", "triplane.cli.main", "serve", "--config", str(self.config_file)]
        with self._log_file.open("ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self.environment, cwd=self.home)
        if self._ready:
            self._await(lambda: "triplane: ready" in self.output[before:], "the gateway to be ready")
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
        finally:
            end_jobs(self.home)

    @property
    def output(self) -> str:
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal (SIGTERM) and wait for the end; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not end within {STOP_S} s; its log ends:\n{self.output[-3_000:]}") from None

    def cli(self, *arguments: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `triplane ARGUMENTS --config …` as a user of this gateway would.

        Raises:
            AssertionError: it ended with an exit code other than 0, and `check`.
        """
        command = [sys.executable, "-m", "triplane.cli.main", *arguments, "--config", str(self.config_file)]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=timeout, cwd=self.home, check=False)
        said = f"{shlex.join(arguments)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.output[-2_000:]}"
        assert not check or done.returncode == 0, said
        return done

    def http(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """(status, decoded JSON) of a request on the durable wire's control plane."""
        given = {"Content-Type": "application/json", "X-Durable-Workflow-Control-Plane-Version": "2", **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def _await(self, holds: Any, what: str) -> None:
        until = time.monotonic() + READY_S
        while not holds():
            assert self.process is not None
            ended = self.process.poll()
            if ended is not None or time.monotonic() > until:
                raise AssertionError(f"waited for {what} (exit code {ended}); its log ends:\n{self.output[-3_000:]}")
            time.sleep(0.02)
