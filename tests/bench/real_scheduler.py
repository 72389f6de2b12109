"""The real Cylc scheduler with a paused workflow, run as a program with a home of its own; its clients are ours."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import zmq.auth
from environments import CannotBeHad
from zmq_requests import Endpoint

# Run as a script, only this folder is on the path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from interop.clients import cylc, environment_of

FLOW = """
[task parameters]
    i = 1..{tasks}
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        R1 = t<i>
[runtime]
    [[t<i>]]
        script = true
"""
START_S = 90.0
LAST_WRITTEN = "SCHEDULER_USE_LOGIN_SHELL="


class RealScheduler:
    """`cylc play --pause` of so many tasks, from start to the end of the process.

    Attributes:
        workflow: the run's id. task: one of its tasks.

    Raises:
        CannotBeHad: the program cannot be installed here, or does not start.
    """

    def __init__(self, tasks: int) -> None:
        try:
            folder = cylc()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            raise CannotBeHad(f"cylc-flow cannot be installed: {str(error)[-300:]}") from error
        self._temporary = tempfile.TemporaryDirectory(prefix="bench-cylc-", ignore_cleanup_errors=True)
        self.workflow, self.task = f"bench{tasks}", f"1/t_i{1:0{len(str(tasks))}d}"
        home = Path(self._temporary.name)
        run = home / "cylc-run" / self.workflow
        run.mkdir(parents=True)
        (run / "flow.cylc").write_text(FLOW.format(tasks=tasks))
        self._service = run / ".service"
        self._log = (home / "log").open("w+")
        self._process = subprocess.Popen(
            [str(folder / "cylc"), "play", "--pause", "--no-detach", self.workflow],
            env=environment_of(folder, home), stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_S
        # The file is there a moment before all that it says.
        while LAST_WRITTEN not in self._said():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                raise CannotBeHad(f"the real scheduler did not start: {self._log.read()[-300:]}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
        self._temporary.cleanup()

    def _said(self) -> str:
        contact = self._service / "contact"
        return contact.read_text() if contact.exists() else ""

    def endpoint(self) -> Endpoint:
        """Its sockets, and the keys that its own clients use."""
        contact = dict(line.split("=", 1) for line in self._said().splitlines())
        server_key, _ = zmq.auth.load_certificate(self._service / "server.key")
        public, secret = zmq.auth.load_certificate(self._service / "client.key_secret")
        assert secret is not None
        return Endpoint(
            port=int(contact["CYLC_WORKFLOW_PORT"]), publish_port=int(contact["CYLC_WORKFLOW_PUBLISH_PORT"]),
            server_key=server_key, client_public=public, client_secret=secret, pid=self.pid,
        )  # fmt: skip
