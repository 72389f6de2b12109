"""The gateway under test: a real `triplane serve` process on free ports, with everything on and a temporary home."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import zmq.auth
from zmq_requests import Endpoint, query

READY_S = 30.0
START_S = 60.0
"""A start is answered when its definition is read, which takes a while for a large one."""
TASK = "1/waits"
"""The task to hold and release: it waits for a job that outlives every measurement."""

GRAPH = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        R1 = quick & endless => waits
[runtime]
    [[quick]]
        script = true
    [[endless]]
        script = sleep 86400
    [[waits]]
        script = true
"""

CONFIG = """
[gateway]
data_dir = "{directory}/data"
[definitions]
directories = ["{directory}/definitions"]
[jobs]
run_dir = "{directory}/cylc-run"
[adapters.durable]
port = {http}
[adapters.cylc]
host = "localhost"
ports = [{first}, {last}]
[adapters.cyclus]
port = {websocket}
[adapters.web]
enabled = false
"""


def free_ports(count: int) -> int:
    """The first of `count` adjacent TCP ports that were free a moment ago, outside the ephemeral range's start."""
    for first in range(20_000 + os.getpid() % 5_000, 31_000, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, each in enumerate(sockets):
                each.bind(("127.0.0.1", first + offset))
            return first
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
    raise RuntimeError(f"no {count} adjacent free ports")


class Gateway:
    """`triplane serve` from start to SIGTERM; its output goes to `<directory>/serve.log`.

    Its data directory is `<directory>/data`; `prepare` may fill it first. `environment` is added to ours.
    """

    def __init__(self, prepare: Callable[[Path], None] | None = None, **environment: str) -> None:
        self.temporary = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        self.directory = Path(self.temporary.name)
        if prepare is not None:
            prepare(self.directory / "data")
        first = free_ports(103)
        self.http_port = first
        self.define("bench", GRAPH)
        config = self.directory / "triplane.toml"
        config.write_text(
            CONFIG.format(directory=self.directory, http=first, websocket=first + 1, first=first + 2, last=first + 101)
        )
        self.command = [sys.executable, "-m", "triplane.cli.main", "serve", "--config", str(config)]
        self.environment = {**os.environ, "HOME": str(self.directory), **environment}
        self.log = (self.directory / "serve.log").open("w")
        self.process = self._serve()

    def _serve(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self.command, stdout=self.log, stderr=subprocess.STDOUT, env=self.environment)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """Start it on the same data and ports, once it has ended; does not wait until it is ready."""
        self.process = self._serve()

    @property
    def pid(self) -> int:
        return self.process.pid

    def __enter__(self) -> Self:
        self.await_condition("the gateway to be ready", lambda: self.http("GET", "/api/ready") is not None)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.temporary.cleanup()

    def start_workflow(self, workflow_id: str) -> None:
        """Start a durable workflow that no worker will take."""
        body = {"workflow_id": workflow_id, "workflow_type": "bench.start", "task_queue": "bench-start"}
        self.http("POST", "/api/workflows", body)

    def http(self, method: str, path: str, body: object = None, patience_s: float = 5.0) -> Any:
        """The decoded answer, or None while there is none to be had."""
        headers = {"Content-Type": "application/json", "X-Durable-Workflow-Control-Plane-Version": "2"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=patience_s) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code >= 500:
                return None
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from error
        except (urllib.error.URLError, ConnectionError):
            return None

    def await_condition(self, what: str, holds: Any) -> None:
        """Return once `holds()` is true.

        Raises:
            RuntimeError: it was not within `READY_S`, or the gateway ended; the message ends with its log.
        """
        end = time.monotonic() + READY_S
        while not holds():
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.flush()
                log = (self.directory / "serve.log").read_text()[-3000:]
                raise RuntimeError(f"waited for {what}; the gateway's log ends:\n{log}")
            time.sleep(0.05)

    def define(self, name: str, text: str) -> None:
        """Add a graph to those that can be started by name."""
        definition = self.directory / "definitions" / name
        definition.mkdir(parents=True)
        (definition / "flow.cylc").write_text(text)

    def start_graph(self, name: str = "bench") -> Endpoint:
        """Start a graph that has `TASK`, wait until that is there to be held, and give its face's sockets."""
        self.http("POST", "/api/workflows", {"workflow_id": name, "workflow_type": f"graph:{name}"}, START_S)
        service = self.directory / "cylc-run" / name / ".service"
        self.await_condition("the face's contact file", (service / "contact").exists)
        lines = (service / "contact").read_text().splitlines()
        contact = dict(line.split("=", 1) for line in lines)
        server_key, _ = zmq.auth.load_certificate(service / "server.key")
        public, secret = zmq.auth.load_certificate(service / "client.key_secret")
        assert secret is not None
        endpoint = Endpoint(
            port=int(contact["CYLC_WORKFLOW_PORT"]), publish_port=int(contact["CYLC_WORKFLOW_PUBLISH_PORT"]),
            server_key=server_key, client_public=public, client_secret=secret, pid=self.pid,
        )  # fmt: skip
        self.await_condition("the task that waits", lambda: TASK.split("/")[1] in self._task_names(endpoint))
        return endpoint

    @staticmethod
    def _task_names(endpoint: Endpoint) -> str:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            request = endpoint.connect(context, zmq.REQ)
            request.send(query("query { taskProxies { name } }"))
            return request.recv().decode()
        finally:
            context.destroy(linger=0)

    def stop_graph(self, name: str = "bench") -> None:
        """End a graph and its endless job."""
        self.http("POST", f"/api/workflows/{name}/terminate", {"reason": "the measurement is over"})
