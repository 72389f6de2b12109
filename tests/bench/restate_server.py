"""Peer: Restate as one node with its defaults (its own log on disk, synced), and a service of its Python SDK.

A workflow is a POST to the ingress that is answered once the handler has completed; the handler has one `run` step.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import uvloop
from environments import RESTATE_SDK, python_of, restate_server
from foreign import PEERS
from gateway import free_ports
from harness import Sample, tree_cpu_s
from workflow_clients import Http, closed_loop

READY_S = 60.0


class Restate:
    """The server and the service; both are gone when it is left.

    Raises:
        CannotBeHad: it is not installed. RuntimeError: it did not start.
    """

    def __init__(self) -> None:
        self.server, self.python = restate_server(), python_of(RESTATE_SDK)
        self.temporary = tempfile.TemporaryDirectory(prefix="restate-", ignore_cleanup_errors=True)
        self.directory = Path(self.temporary.name)
        self.ingress = free_ports(4)
        self.processes: list[subprocess.Popen[bytes]] = []
        said = subprocess.run([self.server, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = said.strip().splitlines()[0]

    def __enter__(self) -> Self:
        admin, node, service = self.ingress + 1, self.ingress + 2, self.ingress + 3
        addresses = {
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{self.ingress}", "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}", "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_LISTEN_MODE": "tcp", "RESTATE_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1",
        }  # fmt: skip
        served = [str(self.python), "-m", "hypercorn", "restate_service:app", "--bind", f"127.0.0.1:{service}"]
        try:
            self._start([str(self.server), "--base-dir", str(self.directory / "data"), "--no-logo"], self.directory, addresses)
            self._start(served, PEERS, {"PYTHONDONTWRITEBYTECODE": "1"})
            for port in (service, admin):
                self._await_port(port)
            self._post(f"http://127.0.0.1:{admin}/deployments", b'{"uri":"http://127.0.0.1:%d"}' % service)
            self._post(f"http://127.0.0.1:{self.ingress}/Greeter/greet", b'"bob"')
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, command: list[str], directory: Path, environment: dict[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with (self.directory / "log").open("ab") as log:
            started = subprocess.Popen(
                command, cwd=directory, env={**kept, **environment}, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(started)

    def _await_port(self, port: int) -> None:
        end = time.monotonic() + READY_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                raise RuntimeError(f"Restate did not start: {(self.directory / 'log').read_text(errors='replace')[-500:]}")
            time.sleep(0.05)

    def _post(self, url: str, body: bytes) -> None:
        end = time.monotonic() + READY_S
        while True:
            try:
                request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=10) as answer:
                    answer.read()
                return
            except (urllib.error.URLError, OSError) as error:
                if time.monotonic() > end:
                    raise RuntimeError(f"Restate refuses {url}: {error}") from error
                time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.temporary.cleanup()

    def measure(self, clients: int, seconds: float) -> Sample:
        """Completed workflows per second of `clients` keep-alive connections to the ingress."""
        return uvloop.run(self._measure(clients, seconds))

    async def _measure(self, clients: int, seconds: float) -> Sample:
        http = Http(self.ingress)
        pids = [process.pid for process in self.processes]

        async def once() -> None:
            if await http("POST", "/Greeter/greet", "bob") != "hello bob":
                raise RuntimeError("Restate gave a wrong result")

        try:
            await closed_loop(once, clients, seconds / 10, [])
            cpu, start = tree_cpu_s(pids), time.perf_counter()
            latencies = await closed_loop(once, clients, seconds, [])
            return Sample.of(latencies, time.perf_counter() - start, tree_cpu_s(pids) - cpu)
        finally:
            http.close()
